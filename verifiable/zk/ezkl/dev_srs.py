# SPDX-License-Identifier: Apache-2.0
"""A setup made on this machine, for development: whoever runs this could keep the secret, and with it forge any proof."""

from __future__ import annotations

from pathlib import Path

from verifiable.errors import UnsupportedError
from verifiable.zk.ezkl.parameters import MAX_LOGROWS
from verifiable.zk.ezkl.process import job
from verifiable.zk.system import Limits, Progress, no_progress


def generate(path: Path, logrows: int, *, limits: Limits = Limits(), progress: Progress = no_progress) -> None:  # noqa: B008
    """Write a raw setup file of 2^logrows powers to ``path``; 12 s at 16, twice as long per step. Raises FatalStateError."""
    if not 1 <= logrows <= MAX_LOGROWS:
        raise UnsupportedError(f"a setup of 2^{logrows} powers: between 2^1 and 2^{MAX_LOGROWS} can be made")
    with job(limits=limits, progress=progress) as child:
        child.ask("making a development setup", {"op": "gen_srs", "srs": str(path), "logrows": logrows})
