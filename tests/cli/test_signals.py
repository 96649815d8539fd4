# SPDX-License-Identifier: Apache-2.0
"""How a command ends when it is told to, or when nobody reads what it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Made

COMMAND = [sys.executable, "-W", "error", "-m", "verifiable_cli.main"]


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    """Whether it goes on working: not what has ended, is ending, or has a SIGKILL before it (proc(5); PF_EXITING is 4)."""
    folder = Path(f"/proc/{process}")
    try:
        state, *fields = (folder / "stat").read_text().rpartition(")")[2].split()
        pending = [int(line.split()[1], 16) for line in (folder / "status").read_text().splitlines() if "Pnd:" in line]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not (state in "ZX" or int(fields[5]) & 4 or any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_told_to_stop_leaves_nothing(made: Made, tmp_path: Path, number: signal.Signals) -> None:
    """What it would leave is a prover at work, and a folder with hidden inputs."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [
            *COMMAND,
            "compile",
            str(made.model),
            "--calibration",
            str(made.calibration),
            "--system",
            "ezkl",
            "--srs",
            "dev-insecure",
            "-o",
            "out",
        ],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(scratch.glob("verifiable-ezkl-*/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    offspring = children(process.pid)
    assert offspring
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, err.strip()) == ("", "verifiable: cancelled; nothing was written")
    assert list(scratch.iterdir()) == []
    assert not [one for one in offspring if alive(one)]
    assert not (tmp_path / "out").exists()


def test_under_nohup_a_hangup_is_ignored(made: Made) -> None:
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from verifiable_cli import main as m; m._stop_cleanly();"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{script} signal.raise_signal(signal.SIGHUP); print('on')"], capture_output=True
    )
    assert done.stdout == b"on\n"


@pytest.mark.parametrize(
    "arguments", [("inspect", "RECEIPT"), ("inspect", "RECEIPT", "--json"), ("--help",), ("prove", "--help"), ()]
)
def test_a_reader_that_goes_away_is_told_nothing(made: Made, arguments: tuple[str, ...]) -> None:
    """As `verifiable inspect x | head -0`; 1 would mean that something is false."""
    ours, theirs = os.pipe()
    os.close(ours)
    given = [str(made.receipt) if word == "RECEIPT" else word for word in arguments]
    done = subprocess.run([*COMMAND, *given], stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
