# SPDX-License-Identifier: Apache-2.0
"""`srs` as typed, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.zk.srs.test_ceremonies import smallest_file
from verifiable.zk.srs.ceremonies import CEREMONIES

AXIOM = next(one for one in CEREMONIES if one.name == "axiom-perpetual-powers-of-tau")


@pytest.fixture
def imported(run: Run, tmp_path: Path) -> Run:
    """With the k = 1 file of another ceremony than the default one in the store."""
    (tmp_path / "k1.srs").write_bytes(smallest_file(AXIOM))
    assert run("srs", "import", tmp_path / "k1.srs").code == 0
    return run


def test_what_is_here_is_not_fetched(imported: Run) -> None:
    """Nothing listens at this address: whoever went there would fail."""
    nowhere = "http://127.0.0.1:9/{k}"
    told = imported("srs", "fetch", 1, "--mirror", nowhere)
    assert told.code == 0, told.err
    assert f"already here, from {AXIOM.name}" in told.err
    assert AXIOM.name in told.out
    assert imported("srs", "fetch", 1, "--ceremony", "perpetual-powers-of-tau", "--mirror", nowhere).code == 69
    assert imported("srs", "fetch", 2, "--mirror", nowhere).code == 69
    assert imported("srs", "fetch", 1, "--ceremony", AXIOM.name, "--mirror", nowhere).code == 0


def test_the_list_gives_what_a_trust_root_wants(imported: Run) -> None:
    assert f"fingerprint sha256:{AXIOM.fingerprint.hex}" in imported("srs", "list").out
