# SPDX-License-Identifier: Apache-2.0
"""The README is typed in by this test: its commands and its library example, as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(checkout: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((checkout / "README.md").read_text()) if kind == language]


def commands(block: str) -> list[list[str]]:
    text = block.replace("\\\n", " ")
    return [shlex.split(line[2:], comments=True) for line in text.splitlines() if line.startswith("$ ")]


@pytest.fixture
def desk(tmp_path: Path, checkout: Path) -> Path:
    """An empty folder with the checkout's models in it, where the README's reader sits."""
    (tmp_path / "models").symlink_to(checkout / "models")
    return tmp_path


def type_in(command: list[str], desk: Path) -> str:
    assert command[0] == "verifiable", command
    done = subprocess.run(
        [sys.executable, "-m", "verifiable_cli.main", *command[1:]],
        cwd=desk, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return done.stdout


def find(checkout: Path, word: str) -> list[list[str]]:
    return commands(next(block for block in blocks(checkout, "console") if word in block))


def test_the_three_commands(checkout: Path, desk: Path) -> None:
    compile_, prove, verify = find(checkout, "digits-cnn")
    type_in(compile_, desk)
    type_in(prove, desk)
    assert type_in(verify, desk).rstrip().endswith("verified")


def test_a_place_in_a_log(checkout: Path, desk: Path) -> None:
    for command in (*find(checkout, "digits-cnn")[:2], *find(checkout, "log init")):
        told = type_in(command, desk)
    assert told == "verdict.json\n"
    assert b"logIndex" in (desk / "settled.json").read_bytes()


def test_hardware_that_vouches(checkout: Path, desk: Path) -> None:
    for command in (find(checkout, "digits-cnn")[0], *find(checkout, "--attest software")):
        told = type_in(command, desk)
    assert "its TEE evidence is simulated" in told
    assert told.rstrip().endswith("verified")


def test_the_library_example(
    checkout: Path, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block by itself, in the order in which a reader meets them, beside what the three commands have left."""
    monkeypatch.chdir(desk)
    (desk / "circuit").mkdir()
    (desk / "circuit" / "circuit.json").write_text("{}")
    for block in blocks(checkout, "python"):
        exec(block, {})
    printed = capsys.readouterr().out
    assert "no:" not in printed, printed
    assert "9 policy pass" in printed


def test_the_package_docstrings_example_compiles_and_names_what_exists() -> None:
    import verifiable

    assert all(hasattr(verifiable, name) for name in verifiable.__all__)
    assert set(re.findall(r"verifiable\.([A-Za-z]+)", verifiable.__doc__ or "")) <= set(verifiable.__all__)


def test_a_hidden_input(checkout: Path, desk: Path) -> None:
    for command in find(checkout, "--input hashed"):
        told = type_in(command, desk)
    assert told.rstrip().endswith("verified")


def test_lenet_as_the_readme_says(checkout: Path, desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile, prove, and verify in a second environment that has the receipt and the id alone."""
    compile_, prove, verify = find(checkout, "lenet5-mnist")
    circuit_id = type_in(compile_, desk).strip()
    type_in(prove, desk)
    stranger = tmp_path_factory.mktemp("stranger")
    (stranger / "lenet-receipt.json").write_bytes((desk / "lenet-receipt.json").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "VERIFIABLE_CACHE", "VERIFIABLE_DATA"):
            patch.setenv(name, str(stranger / "home"))
        assert os.environ["HOME"].endswith("home")
        told = [circuit_id if word == "ID" else word for word in verify]
        assert type_in(told, stranger).rstrip().endswith("verified")


def test_every_help_page_teaches(checkout: Path) -> None:
    names = [name for name in (checkout / "cli" / "verifiable_cli" / "commands").glob("*.py") if name.stem != "__init__"]
    assert names
    for name in names:
        words = name.stem.replace("key_event", "key-event").split("_")  # log_cosign.py is `log cosign`
        page = subprocess.run(
            [sys.executable, "-m", "verifiable_cli.main", *words, "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert "Usage: verifiable" in page
        assert "Example:" in page or "Commands:" in page, name
