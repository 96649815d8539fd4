# SPDX-License-Identifier: Apache-2.0
"""The vectors of transparency-dev/merkle: one defect per file, with the expected verdict written in it."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

from verifiable.errors import ConsistencyError, InclusionError
from verifiable.merkle.verify import verify_consistency, verify_inclusion


def _hashes(texts: list[str] | None) -> list[bytes]:
    return [b64decode(text) for text in texts or []]


def _verdicts(folder: Path, judge) -> list[str]:
    """The names of the files whose verdict is not the expected one."""
    wrong, expected = [], set()
    for path in sorted(folder.rglob("*.json")):
        vector = json.loads(path.read_text())
        try:
            judge(vector)
            refused = False
        except (InclusionError, ConsistencyError):
            refused = True
        expected.add(vector["wantErr"])
        if refused != vector["wantErr"]:
            wrong.append(str(path))
    assert expected == {True, False}
    return wrong


def test_inclusion(shared: Path) -> None:
    def judge(v: dict) -> None:
        verify_inclusion(b64decode(v["leafHash"]), v["leafIdx"], v["treeSize"], _hashes(v["proof"]), b64decode(v["root"]))

    assert _verdicts(shared / "vectors" / "merkle" / "inclusion", judge) == []


def test_consistency(shared: Path) -> None:
    def judge(v: dict) -> None:
        verify_consistency(v["size1"], b64decode(v["root1"]), v["size2"], b64decode(v["root2"]), _hashes(v["proof"]))

    assert _verdicts(shared / "vectors" / "merkle" / "consistency", judge) == []
