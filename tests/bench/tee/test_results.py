# SPDX-License-Identifier: Apache-2.0
"""Figures of evidence, goals and the two ways to show them."""

from __future__ import annotations

import json

import pytest

from tests.bench.ledger import fabricated as logs
from tests.bench.tee.fabricated import measured, results
from verifiable.bench import table
from verifiable.bench.tee import MAX_RUNS
from verifiable.bench.tee.goals import LIMIT, LIMITS, judge
from verifiable.bench.tee.report import HEADINGS, lines, markdown, rows
from verifiable.bench.tee.results import Measurement, Results
from verifiable.errors import MalformedError

MIXED = results(
    measured("quote.bin", "tdx", 0.003, 0.002, 0.009, collateral=16_000),
    measured("report.dat", "nvidia", 0.051),
    Measurement(name="slow", kind="snp", status="skipped", reason="verify: over the limit of time"),
    Measurement(name="noise", kind="", status="failed", reason="what kind of evidence this is cannot be told"),
)


def test_json_and_back() -> None:
    assert Results.parse(MIXED.encode()) == MIXED
    document = json.loads(MIXED.encode())
    assert [m["status"] for m in document["measurements"]] == ["measured", "measured", "skipped", "failed"]
    assert document["measurements"][0]["seconds"]["cpu"] == [0.003, 0.002, 0.009]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tee.v1", b"tee.v2"),
        (b'"skipped"', b'"left out"'),
        (b'"cpu"', b'"gpu"'),
        (b"0.051", b'"0.051"'),
        (b"0.08", b"NaN"),
        (b'"memory-verify": 40000000', b'"memory-verify": -1'),
        (b'"memory-verify"', b'"memory-parse"'),
        (b'"reason"', b'"Reason"'),
        (b'"machine"', b'"Machine"'),
        (b"[\n     0.08\n    ]", b"[]"),
        (b"[\n     0.08\n    ]", b"[" + b",".join([b"1"] * (MAX_RUNS + 1)) + b"]"),
    ],
)
def test_another_document_is_malformed(old: bytes, new: bytes) -> None:
    data = MIXED.encode()
    assert old in data
    with pytest.raises(MalformedError):
        Results.parse(data.replace(old, new, 1))


def test_as_many_runs_as_can_be_asked_for_are_read() -> None:
    many = results(measured("quote.bin", "tdx", *[0.001] * MAX_RUNS))
    assert Results.parse(many.encode()) == many


def test_what_was_measured_of_a_log_is_another_document() -> None:
    with pytest.raises(MalformedError, match="format"):
        Results.parse(logs.results(logs.measured(1000)).encode())


def test_figures_are_medians_and_sizes_and_none_where_nothing_was_measured() -> None:
    one, _, skipped, failed = MIXED.measurements
    assert [one.figure(name) for name in ("cpu", "total", "memory-verify", "rss")] == [0.003, 0.006, 4 * 10**7, None]
    assert skipped.figure("cpu") is None
    assert MIXED.failed == (failed,)


def test_goals_are_on_the_median_of_processor_time() -> None:
    one, gpu, skipped, _ = MIXED.measurements
    judged = judge(one)
    assert judged is not None
    assert (judged.limit, judged.found, judged.met) == (LIMIT, 0.003, True)
    assert [each is not None and each.met for each in map(judge, (gpu, skipped))] == [False, False]
    assert judge(skipped) is None
    for kind in ("tdx", "sgx", "nitro", "snp", "software", "nvidia"):
        limit = 0.05 if kind == "nvidia" else 0.005
        found = [judge(measured("x", kind, seconds)) for seconds in (limit, limit * 1.001)]
        assert [each is not None and each.met for each in found] == [True, False]
    assert LIMITS == {"nvidia": 0.05}


def test_the_table_has_what_was_found_or_why_there_is_nothing() -> None:
    shown = rows(MIXED)
    assert shown[0] == (
        "quote.bin", "tdx", "5.0 kB", "16.0 kB", "80 ms", "3.0 ms", "6.0 ms (4.0 ms to 18 ms)", "3.0 ms (2.0 ms to 9.0 ms)",
        "40.0 MB", "5.0 ms: met",
    )  # fmt: skip
    assert shown[1][3:] == ("", "80 ms", "51 ms", "102 ms", "51 ms", "40.0 MB", "50 ms: MISSED")
    assert shown[2] == ("slow", "snp", "skipped: verify: over the limit of time")
    assert [len(row) for row in shown] == [len(HEADINGS), len(HEADINGS), 3, 3]
    text = "\n".join(lines(MIXED))
    for words in ("failed: what kind of evidence", "MISSED", "measured on Some <fast> & cheap processor", "2026-01-02"):
        assert words in text


def test_markdown_is_one_table_of_equal_rows() -> None:
    shown = [line for line in markdown(MIXED).splitlines() if line.startswith("|")]
    assert len(shown) == 2 + len(MIXED.measurements)
    assert {line.count("|") for line in shown} == {len(HEADINGS) + 1}
    assert "Measured on Some <fast> & cheap processor, 2 cores, 24 GB" in markdown(MIXED)


def test_a_spread_is_a_median_with_its_ends_where_there_are_any() -> None:
    assert table.spread(()) == ""
    assert table.spread((0.5,)) == "500 ms"
    assert table.spread((3.0, 1.0, 2.0)) == "2.0 s (1.0 s to 3.0 s)"
