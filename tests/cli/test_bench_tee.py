# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench tee`` as typed, with evidence of fake vendors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.prove.fabricated import measured, results
from tests.bench.tee.fabricated import case
from tests.cli.conftest import Run
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import FakeNitro
from verifiable.bench.tee.results import Results
from verifiable.encoding.record import format_time

AT = ("--at", format_time(NOW))


def test_software_alone_and_shown_again(run: Run, isolated_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("bench", "tee", "--runs", "2", "-o", out, "--json")
    assert done.code == 0, done.err
    found = Results.parse((out / "tee.json").read_bytes())
    assert [m["name"] for m in done.json["measurements"]] == [m.name for m in found.measurements] == ["software"]
    assert {"cryptography", "dcap-qvl", "verifiable"} <= set(found.machine.packages)
    assert f"wrote {out / 'tee.json'}" in done.err
    assert {path.name for path in out.iterdir()} == {"tee.json"}
    assert {path.name for path in (isolated_home / "cache" / "bench").iterdir()} == {"lock"}

    again = run("bench", "tee", "--from", out / "tee.json", "--markdown", "-o", tmp_path / "other")
    assert again.code == 0, again.err
    assert "\n| software | software | " in again.out
    assert f"Measured on {found.machine}" in again.out
    assert not (tmp_path / "other").exists()


def test_evidence_with_collateral_and_a_root_of_its_own(run: Run, tmp_path: Path) -> None:
    given = case(tmp_path, FakeAmd().mint())
    options = [word for path in given.collateral for word in ("--collateral", path)] + ["--root", given.roots[0], *AT]
    done = run("bench", "tee", given.evidence, *options, "--runs", "2", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["evidence", "kind"]
    assert [line.split()[:2] for line in lines[1:3]] == [["evidence", "snp"], ["software", "software"]]
    assert all(line.endswith(("met", "MISSED")) for line in lines[1:3])
    assert lines[-1].startswith("measured on ")


def test_a_list_of_several_kinds_and_the_rest_goes_on_where_one_fails(run: Run, tmp_path: Path) -> None:
    for name, minted in (("snp", FakeAmd().mint()), ("nitro", FakeNitro().mint())):
        (tmp_path / name).mkdir()
        case(tmp_path / name, minted)
    (tmp_path / "cases.toml").write_text(
        f"[[cases]]\nevidence = 'nitro/evidence'\nname = 'under no root'\nat = '{AT[1]}'\n"
        f"[[cases]]\nevidence = 'nitro/evidence'\nname = 'one'\nroots = ['nitro/nitro-0.pem']\nat = '{AT[1]}'\n"
        f"[[cases]]\nevidence = 'snp/evidence'\nname = 'two'\nroots = ['snp/snp-0.pem']\nat = '{AT[1]}'\n"
        "collateral = ['snp/piece-0', 'snp/piece-1']\n"
    )
    done = run("bench", "tee", "--cases", tmp_path / "cases.toml", "--runs", "2", "-o", tmp_path / "out", "--json")
    assert done.code == 1
    assert [(m["name"], m["kind"], m["status"]) for m in done.json["measurements"]] == [
        ("under no root", "nitro", "failed"), ("one", "nitro", "measured"), ("two", "snp", "measured"),
        ("software", "software", "measured"),
    ]  # fmt: skip
    assert "under no root: failed: verify: " in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--runs", "0"), 2, "0 is not in the range"),
        (("--runs", "1001"), 2, "1001 is not in the range"),
        (("--memory", "lots"), 2, "'lots' is not a size"),
        (("--kind", "tdx"), 2, "none is named"),
        (("--collateral", "x"), 2, "none is named"),
        (AT, 2, "none is named"),
        (("--kind", "sev", "x"), 2, "'sev' is not one of"),
        (("--at", "noon", "x"), 2, "not a UTC time"),
        (("--cases", "absent.toml"), 65, "absent.toml"),
        (("--from", "absent.json"), 65, "absent.json"),
    ],
)
def test_a_bad_option_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], code: int, said: str, run: Run, isolated_home: Path, tmp_path: Path
) -> None:  # fmt: skip
    done = run("bench", "tee", *arguments, "-o", tmp_path / "out")
    assert (done.code, done.out) == (code, "")
    errors = [line for line in done.err.splitlines() if not line.startswith("hint: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()
    assert not (isolated_home / "cache").exists()


def test_results_of_proving_are_not_results_of_evidence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_bytes(results(measured("m", "sumcheck")).encode())
    done = run("bench", "tee", "--from", tmp_path / "bench.json")
    assert done.code == 65
    assert "verifiable.bench.tee.v1" in done.err


def test_the_help_says_how_to_list_cases(run: Run) -> None:
    assert "\n  tee     " in run("bench", "--help").out
    shown = run("bench", "tee", "--help")
    assert shown.code == 0
    assert all(words in shown.out for words in ("[[cases]]", 'kind = "tdx"', "--rim-root"))
