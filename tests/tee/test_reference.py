# SPDX-License-Identifier: Apache-2.0
"""Reference values: one spelling in, the same out; and an appraisal that each kind of wrong evidence fails."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.authority import DAY, NOW, Authority
from verifiable.encoding.record import CLOCK_SKEW
from verifiable.encoding.toml import MAX_SIZE
from verifiable.errors import AttestationError, Error, MalformedError, StaleError, VerificationError
from verifiable.tee.evidence import KINDS, VerifiedEvidence
from verifiable.tee.reference import IDENTIFYING, NAMES, Reference, appraise, parse_references

SECOND = timedelta(seconds=1)
(ROOT,) = Authority.root("root").roots("tdx").roots
WANTED = Reference(name="ours", kind="tdx", measurements={"mrtd": ("aa", "bb"), "rtmr1": ("cc",)}, max_age=DAY)
GOOD = VerifiedEvidence(
    kind="tdx", at=NOW, report_data=bytes(64), measurements={"mrtd": "bb", "rtmr1": "cc", "rtmr2": "dd"}, anchor=ROOT, checks=(),
    tcb={"pcesvn": 13, "evaluation": 17}, tcb_status="UpToDate",
)  # fmt: skip


def judge(evidence: VerifiedEvidence = GOOD, reference: Reference = WANTED, **options: Any) -> tuple[str, ...]:
    """The statuses of the checks."""
    appraisal = appraise(evidence, reference, **({"made": NOW, "at": NOW, "scope": "key"} | options))
    assert appraisal.reference == reference
    assert tuple(check.name for check in appraisal.checks) == NAMES
    return tuple(check.status for check in appraisal.checks)


def refuse(
    number: int, message: str, evidence: VerifiedEvidence = GOOD, reference: Reference = WANTED,
    kind: type[Error] = AttestationError, **options: Any,
) -> None:  # fmt: skip
    with pytest.raises(VerificationError, match=message) as caught:
        appraise(evidence, reference, **({"made": NOW, "at": NOW, "scope": "key"} | options))
    assert type(caught.value) is kind
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert [check.status for check in checks] == ["pass"] * (number - 1) + ["fail"]
    assert checks[-1].detail == caught.value.message


# Appraisal


def test_what_is_wanted_passes() -> None:
    assert judge() == ("pass",) * 7
    assert judge(scope=None) == ("pass",) * 6 + ("skip",)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tdx"])
def test_1_another_kind(kind: str) -> None:
    refuse(1, f"is for tdx, the evidence is {kind}", replace(GOOD, kind=kind))


def test_2_debug_mode() -> None:
    debug = replace(GOOD, debug=True)
    refuse(2, "in debug mode, where the machine's owner can look inside", debug)
    assert judge(debug, replace(WANTED, allow_debug=True)) == ("pass",) * 7


@pytest.mark.parametrize(
    ("measurements", "message"),
    [
        ({"mrtd": "dd", "rtmr1": "cc"}, "register mrtd holds dd, which is not among those allowed by 'ours'"),
        ({"mrtd": "aa", "rtmr1": "aa"}, "register rtmr1 holds aa"),  # allowed, in another register
        ({"mrtd": "aa"}, "register rtmr1 is not in the evidence"),
        ({}, "register mrtd is not in the evidence"),
        ({"mrtd": "", "rtmr1": "cc"}, "register mrtd holds ,"),
        ({"mrtd": "a", "rtmr1": "cc"}, "register mrtd holds a,"),  # a part of one
        ({"mrtd": "AA", "rtmr1": "cc"}, "register mrtd holds AA"),
    ],
)
def test_3_other_code(measurements: dict[str, str], message: str) -> None:
    refuse(3, message, replace(GOOD, measurements=measurements))


@pytest.mark.parametrize("status", ["OutOfDate", "Revoked", "UpToDat", "uptodate", "SWHardeningNeeded", ""])
@pytest.mark.parametrize("kind", ["tdx", "sgx"])
def test_4_a_platform_that_its_vendor_thinks_less_of(kind: str, status: str) -> None:
    wanted = replace(WANTED, kind=kind, measurements={"mrtd": ("bb",), "mrsigner": ("ee",)})
    evidence = replace(GOOD, kind=kind, tcb_status=status, measurements={"mrtd": "bb", "mrsigner": "ee"})
    refuse(4, f"the platform is {status or 'unrated'}, which is not allowed", evidence, wanted)
    if status:
        assert judge(evidence, replace(wanted, tcb_status=("UpToDate", status)))[3] == "pass"
    refuse(4, "not allowed", evidence, replace(wanted, tcb_status=()))


def test_4_who_does_not_rate_platforms_need_not() -> None:
    evidence = replace(GOOD, kind="snp", tcb_status="", measurements={"measurement": "aa"})
    assert judge(evidence, Reference(name="x", kind="snp", measurements={"measurement": ("aa",)}, max_age=DAY)) == ("pass",) * 7
    refuse(
        4,
        "the platform is Odd",
        replace(evidence, tcb_status="Odd"),
        Reference(name="x", kind="snp", measurements={"measurement": ("aa",)}, max_age=DAY),
    )


@pytest.mark.parametrize(
    ("minimum", "message"),
    [
        ({"pcesvn": 14}, "pcesvn is at version 13, at least 14 is wanted"),
        ({"pcesvn": 13, "evaluation": 18}, "evaluation is at version 17"),
        ({"microcode": 0}, "microcode is not in the evidence"),
    ],
)
def test_4_a_component_that_was_rolled_back(minimum: dict[str, int], message: str) -> None:
    refuse(4, message, reference=replace(WANTED, minimum_tcb=minimum))
    assert judge(reference=replace(WANTED, minimum_tcb={"pcesvn": 13, "evaluation": 17})) == ("pass",) * 7


def test_5_advisories_that_are_not_tolerated() -> None:
    evidence = replace(GOOD, advisories=("INTEL-SA-00615", "INTEL-SA-00289"))
    refuse(5, "INTEL-SA-00289, INTEL-SA-00615 applies", evidence)
    refuse(5, "tdx: INTEL-SA-00615 applies", evidence, replace(WANTED, advisories=("INTEL-SA-00289",)))
    assert judge(evidence, replace(WANTED, advisories=("INTEL-SA-00289", "INTEL-SA-00615", "INTEL-SA-00001"))) == ("pass",) * 7


def test_6_evidence_that_is_too_old_or_of_the_future() -> None:
    assert judge(at=NOW + DAY)[5] == judge(at=NOW - CLOCK_SKEW)[5] == "pass"
    refuse(6, "1d is the most allowed by 'ours'", kind=StaleError, at=NOW + DAY + SECOND)
    refuse(6, "made 2026-06-01T00:00:00Z, to stand for 2026-05-31T23:54:59Z", kind=StaleError, at=NOW - CLOCK_SKEW - SECOND)


def test_6_the_hardwares_own_clock_goes_before_what_others_say() -> None:
    old = replace(GOOD, issued_on=NOW - DAY - SECOND)
    refuse(6, "made 2026-05-30T23:59:59Z", old, kind=StaleError, made=NOW)
    assert judge(replace(GOOD, issued_on=NOW), made=NOW - 9 * DAY)[5] == "pass"


def test_7_evidence_of_the_key_where_each_receipt_is_asked_for() -> None:
    wanted = replace(WANTED, binding="receipt")
    refuse(7, "bound to the key, and 'ours' asks for evidence of each receipt", reference=wanted)
    assert judge(reference=wanted, scope="receipt") == judge(scope="receipt") == ("pass",) * 7


# Reference values themselves


def table(**fields: str) -> bytes:
    """The file, with ``fields`` in place of its own (dashes as underscores); an empty one is left out."""
    chosen = {
        "name": '"ours"', "kind": '"tdx"', "max-age": '"24h"', "measurements": '{ mrtd = ["aa", "bb"], rtmr1 = ["cc"] }',
    } | {name.replace("_", "-"): value for name, value in fields.items()}  # fmt: skip
    return ("[[references]]\n" + "".join(f"{name} = {value}\n" for name, value in chosen.items() if value)).encode()


def test_a_file_is_read() -> None:
    assert parse_references(table()) == (WANTED,)
    full = table(
        binding='"receipt"',
        tcb_status='["OutOfDate"]',
        advisories='["INTEL-SA-00001"]',
        minimum_tcb="{ pcesvn = 3 }",
        allow_debug="true",
    )
    assert parse_references(full) == (
        replace(
            WANTED,
            binding="receipt",
            tcb_status=("OutOfDate",),
            advisories=("INTEL-SA-00001",),
            minimum_tcb={"pcesvn": 3},
            allow_debug=True,
        ),
    )
    assert len(parse_references(table() + table(name='"theirs"'))) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""}, {"name": "3"}, {"name": '"' + "n" * 257 + '"'}, {"kind": ""}, {"kind": '"os"'}, {"kind": '"nvidia-rim"'},
        {"max_age": ""}, {"max_age": '"0s"'}, {"max_age": '"-1d"'}, {"max_age": '"24"'}, {"max_age": "24"}, {"max_age": '"1.5h"'},
        {"measurements": ""}, {"measurements": "{}"}, {"measurements": '["aa"]'}, {"measurements": "{ mrtd = [] }"},
        {"measurements": '{ mrtd = "aa" }'}, {"measurements": "{ mrtd = [3] }"}, {"measurements": '{ mrtd = [["aa"]] }'},
        {"measurements": '{ rtmr1 = ["cc"] }'}, {"measurements": '{ mrtd = ["aa"], rtmr1 = [] }'},
        {"measurements": '{ mrtd = [""] }'},
        {"measurements": '{ mrtd = ["a a"] }'}, {"measurements": '{ mrtd = ["' + "a" * 257 + '"] }'},
        {"measurements": '{ mrtd = ["aa"], MRTD = ["aa"] }'}, {"measurements": '{ mrtd = ["aa"], "a.b" = ["aa"] }'},
        {"measurements": '{ mrtd = ["aa"], "x\\n" = ["aa"] }'}, {"measurements": "{ mrtd = [" + '"aa",' * 257 + "] }"},
        {"binding": '"none"'}, {"binding": "true"}, {"tcb_status": '"UpToDate"'}, {"tcb_status": '["Up To Date"]'},
        {"advisories": '"INTEL-SA-00001"'}, {"advisories": "[1]"}, {"minimum_tcb": "{ pcesvn = -1 }"},
        {"minimum_tcb": '{ pcesvn = "1" }'}, {"minimum_tcb": "{ pcesvn = true }"}, {"minimum_tcb": "{ pcesvn = 1.0 }"},
        {"minimum_tcb": '{ "a b" = 1 }'}, {"minimum_tcb": "3"}, {"allow_debug": '"yes"'}, {"allow_debug": "1"}, {"unknown": "1"},
        {"maximum_age": '"1d"'},
    ],
)  # fmt: skip
def test_other_files_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        parse_references(table(**fields))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"references = []", b"references = 3", b"[references]\nname = 'x'", table() + b"[more]\n", b"\xff", table() * 2,
        table() + b"#" * MAX_SIZE, b"a = 1\n" + table(), b"".join(table(name=f'"{i}"') for i in range(257)),
    ],
)  # fmt: skip
def test_files_that_are_none(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_references(data)


def test_two_references_of_one_name() -> None:
    with pytest.raises(MalformedError, match="two of one name"):
        parse_references(table() + table(kind='"snp"', measurements='{ measurement = ["aa"] }'))


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_takes_any_code_for_the_right_one_is_refused(kind: str) -> None:
    others = {"rtmr1": ("aa",), "host-data": ("aa",), "pcr8": ("aa",), "attributes": ("aa",)}
    for registers in ({}, others):
        with pytest.raises(MalformedError, match="names no measurement that says which code it is") as caught:
            Reference(name="x", kind=kind, measurements=registers, max_age=DAY)
        assert IDENTIFYING[kind][0] in caught.value.hint
    for register in IDENTIFYING[kind]:
        Reference(name="x", kind=kind, measurements={register: ("aa",)}, max_age=DAY)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "os"}, {"binding": "none"}, {"measurements": {"mrtd": "aabb"}}, {"measurements": {"mrtd": ["aa"]}},
        {"measurements": {"mrtd": (b"aa",)}}, {"measurements": {"mrtd": ("aa",), "x": ()}}, {"measurements": {"mrtd": ("",)}},
        {"measurements": {"mrtd": ("aa",), "a = []\nb": ("aa",)}}, {"tcb_status": "UpToDate"}, {"advisories": "INTEL-SA-00001"},
        {"minimum_tcb": {"a b": 1}}, {"minimum_tcb": {"a = 1 }\n[more]\nb": 1}}, {"max_age": timedelta(0)}, {"max_age": -DAY},
        {"max_age": timedelta(microseconds=1)}, {"max_age": timedelta.max},
    ],
)  # fmt: skip
def test_references_that_could_not_be_written_or_would_match_pieces_are_not_made(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        replace(WANTED, **fields)


registers = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
values = st.lists(st.from_regex(r"[0-9A-Za-z._-]{1,9}", fullmatch=True), min_size=1, max_size=3).map(tuple)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    kind = draw(st.sampled_from(KINDS))
    measurements = draw(st.dictionaries(registers, values, max_size=4)) | {draw(st.sampled_from(IDENTIFYING[kind])): draw(values)}
    return Reference(
        name=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        kind=kind,
        measurements=measurements,
        max_age=draw(st.integers(1, 10**8)) * draw(st.sampled_from([SECOND, timedelta(minutes=1), timedelta(hours=1)])),
        binding=draw(st.sampled_from(["key", "receipt"])),
        tcb_status=draw(st.just(()) | values),
        advisories=draw(st.just(()) | values),
        minimum_tcb=draw(st.dictionaries(registers, st.integers(0, 2**53 - 1), max_size=3)),
        allow_debug=draw(st.booleans()),
    )


@given(st.lists(references(), min_size=1, max_size=3, unique_by=lambda reference: reference.name))
def test_what_is_written_reads_back(wanted: list[Reference]) -> None:
    assert parse_references("\n".join(reference.to_toml() for reference in wanted).encode()) == tuple(wanted)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode) | st.integers(0, len(table())).map(lambda n: table()[:n]))
def test_any_bytes_raise_only_malformed_errors(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert parse_references(data) == (WANTED,)


@given(references(), st.sampled_from(KINDS), st.dictionaries(registers, st.text(max_size=5)), st.booleans(), st.text(max_size=9))
def test_an_appraisal_passes_or_raises_our_errors(
    reference: Reference, kind: str, measurements: dict[str, str], debug: bool, status: str
) -> None:
    evidence = replace(GOOD, kind=kind, measurements=measurements, debug=debug, tcb_status=status)
    try:
        assert judge(evidence, reference)[:6] == ("pass",) * 6
    except VerificationError:
        return
    assert kind == reference.kind
    assert debug <= reference.allow_debug
    assert all(measurements[register] in allowed for register, allowed in reference.measurements.items())
