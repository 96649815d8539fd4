# SPDX-License-Identifier: Apache-2.0
"""The attester without hardware measures the source that runs."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

import verifiable
from tests.fakes.pki.authority import NOW
from verifiable.errors import FatalStateError, MalformedError
from verifiable.keys.signer import temporary
from verifiable.tee.attesters import registry
from verifiable.tee.attesters.software import Software, measure, version_number
from verifiable.tee.roots import Roots
from verifiable.tee.software import parse

SOURCE = Path(verifiable.__file__).parent


def test_it_attests_what_is_installed() -> None:
    attester = Software(clock=lambda: NOW)
    given = attester.attest(b"r" * 64)
    assert given.collateral == ()
    found = parse(given.evidence).verify(at=NOW, roots=Roots())
    assert found.measurements == {"measurement": measure(SOURCE).hex()}
    assert (found.report_data, found.issued_on, found.debug) == (b"r" * 64, NOW, False)
    assert found.tcb == {"library": version_number(verifiable.__version__)}
    assert found.identity == {"public-key": str(attester.signer.fingerprint)}


def test_the_key_is_new_or_given() -> None:
    assert Software().signer.fingerprint != Software().signer.fingerprint
    signer = temporary()
    assert parse(Software(signer=signer, debug=True).attest(bytes(64)).evidence).public_key == signer.public_key
    assert parse(Software(debug=True).attest(bytes(64)).evidence).debug


def test_by_the_clock_of_this_machine() -> None:
    before = datetime.now(UTC)
    made = parse(registry.find("software").attest(bytes(64)).evidence).issued_on
    assert before <= made <= datetime.now(UTC)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_report_data_is_64_bytes(size: int) -> None:
    with pytest.raises(MalformedError):
        Software().attest(bytes(size))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(SOURCE / "tee", folder)
    return folder


def test_the_measurement_is_of_paths_and_contents(copy: Path) -> None:
    first = measure(copy)
    assert len(first) == 48
    assert first == measure(SOURCE / "tee")  # wherever it lies
    (copy / "der.py").rename(copy / "der2.py")
    assert measure(copy) != first
    (copy / "der2.py").rename(copy / "der.py")
    assert measure(copy) == first
    with (copy / "der.py").open("a") as stream:
        stream.write("\n")
    assert measure(copy) != first


def test_a_new_file_counts_and_what_is_no_source_does_not(copy: Path) -> None:
    first = measure(copy)
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "x.py").write_text("pass")
    (copy / "_catalogue").mkdir()
    (copy / "_catalogue" / "build.py").write_text("pass")
    (copy / "notes.txt").write_text("pass")
    assert measure(copy) == first
    (copy / "new.py").touch()
    assert measure(copy) != first


def test_nothing_moves_between_path_and_contents(tmp_path: Path) -> None:
    """Two trees whose names and contents concatenate alike."""
    for folder, name, text in (("a", "x.py", "y.pyz"), ("b", "x.pyy.py", "z")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    assert measure(tmp_path / "a") != measure(tmp_path / "b")


def test_the_documented_measurement(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"pass\n")
    stated = b"verifiable/tee/software/v1\0" + (4).to_bytes(8, "little") + b"a.py" + (5).to_bytes(8, "little") + b"pass\n"
    assert measure(tmp_path) == hashlib.sha384(stated).digest()


def test_no_source_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(FatalStateError):
        measure(tmp_path)


def test_version_numbers_grow() -> None:
    assert version_number("1.2.3") == 1002003
    assert [version_number(text) for text in ("0.1.0", "0.1.0.dev3+local", "0.2.0", "1.0.0")] == [1000, 1000, 2000, 1000000]
    assert version_number("unknown") == 0
