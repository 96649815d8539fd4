# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench ledger`` as typed, and which words after ``bench`` name a suite."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench.prove.fabricated import measured, results
from tests.cli.conftest import Run
from verifiable.bench.ledger.results import Results


def _results(folder: Path) -> Results:
    return Results.parse((folder / "ledger.json").read_bytes())


def test_a_small_log_from_beginning_to_end(run: Run, isolated_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("bench", "ledger", "--entries", "2000", "--runs", "1", "-o", out, "--json")
    assert done.code == 0, done.err
    found = _results(out)
    assert Results.parse(found.encode()) == found
    assert [m["entries"] for m in done.json["measurements"]] == [m.entries for m in found.measurements] == [1000, 2000]
    assert {m.status for m in found.measurements} == {"measured"}
    assert done.json["batch"] == 256
    assert f"wrote {out / 'ledger.json'} and {out / 'ledger.svg'}" in done.err
    assert ET.fromstring((out / "ledger.svg").read_bytes()).tag.endswith("svg")
    assert {path.name for path in (isolated_home / "cache" / "bench").iterdir()} == {"lock"}  # the log is gone

    again = run("bench", "ledger", "--from", out / "ledger.json", "--markdown", "-o", tmp_path / "other")
    assert again.code == 0, again.err
    assert again.out.count("| 2,000 | ") == 1
    assert f"Measured on {found.machine}" in again.out
    assert "| 2,000 entries: append | at least 5,000 |" in again.out
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--entries", "999"), 2, "999 is not in the range"),
        (("--entries", "many"), 2, "'many' is not a valid integer"),
        (("--entries", "100000001"), 2, "not in the range"),
        (("--runs", "0"), 2, "0 is not in the range"),
        (("--memory", "lots"), 2, "'lots' is not a size"),
        (("lenet5",), 2, "unexpected extra argument"),
        (("--system", "sumcheck"), 2, "--system"),
        (("--from", "absent.json"), 65, "absent.json"),
    ],
)
def test_a_bad_option_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], code: int, said: str, run: Run, isolated_home: Path, tmp_path: Path
) -> None:  # fmt: skip
    done = run("bench", "ledger", *arguments, "-o", tmp_path / "out")
    assert (done.code, done.out) == (code, "")
    errors = [line for line in done.err.splitlines() if not line.startswith("hint: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()
    assert not (isolated_home / "cache").exists()


def test_results_of_proving_are_not_results_of_a_log(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_bytes(results(measured("m", "sumcheck")).encode())
    done = run("bench", "ledger", "--from", tmp_path / "bench.json")
    assert done.code == 65
    assert "verifiable.bench.ledger.v1" in done.err
    assert run("bench", "--from", tmp_path / "bench.json").code == 0


def test_nowhere_to_write_is_said_before_anything_is_measured(run: Run, isolated_home: Path, tmp_path: Path) -> None:
    done = run("bench", "ledger", "-o", tmp_path / "no" / "such" / "folder")
    assert done.code == 70
    assert "benchmark" in done.err
    assert not (isolated_home / "cache").exists()


def test_what_is_no_suite_is_for_prove(run: Run) -> None:
    assert "no model 'nonesuch'" in run("bench", "nonesuch").err
    assert "no model 'nonesuch'" in run("bench", "prove", "nonesuch").err
    shown = run("bench", "--help")
    assert shown.code == 0
    assert all(f"\n  {name}  " in shown.out for name in ("ledger", "prove "))
    assert "--entries" in run("bench", "ledger", "--help").out
    assert "--system" in run("bench", "prove", "--help").out


def test_what_was_measured_survives_a_cancelled_run_and_the_log_does_not(isolated_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "verifiable_cli.main", "bench", "ledger", "--entries", "3000000", "-o", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out / "ledger.svg").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert "so far is in" in said
    assert _results(out).measurements[0].entries == 1000
    ET.fromstring((out / "ledger.svg").read_bytes())
    assert {path.name for path in (isolated_home / "cache" / "bench").iterdir()} == {"lock"}
