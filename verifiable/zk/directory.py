# SPDX-License-Identifier: Apache-2.0
"""A circuit on disk: ``circuit.json``, ``parts/<role>`` for verifiers, ``program`` for provers (docs/formats/circuit.md).

Roles come from ``circuit.json`` and are checked before they become file names; nothing in the folder is
believed before its digest is.
"""

from __future__ import annotations

import re
from pathlib import Path

from verifiable import files
from verifiable.errors import MalformedError
from verifiable.zk import circuit as _circuit
from verifiable.zk.circuit import Circuit, VerifierCircuit
from verifiable.zk.system import ProverCircuit

_ROLE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MAX_PROGRAM_SIZE = 1 << 31


def save(prover: ProverCircuit, path: Path, *, replace: bool = False) -> None:
    """Write the circuit to a new folder, whole or not at all. Raises FatalStateError."""
    with files.new_directory(path, what="circuit", replace="circuit.json" if replace else "") as folder:
        (folder / "parts").mkdir()
        for role, data in prover.verifier.parts.items():
            files.write(folder / "parts" / _checked(role), data, what=f"circuit part {role!r}")
        files.write(folder / "program", prover.program, what="program")
        files.write(folder / "circuit.json", prover.circuit.encode(), what="circuit.json")


def load_verifier(path: Path) -> VerifierCircuit:
    """The verifier's part of the circuit in folder ``path``. Raises MalformedError, BindingError."""
    if not path.is_dir():
        raise MalformedError(
            f"circuit: {path} is not a circuit folder", hint="make one with `verifiable compile MODEL -o FOLDER`"
        )
    data = files.read(path / "circuit.json", what="circuit.json", max_size=_circuit.MAX_SIZE)
    try:
        parsed = Circuit.parse(data)
    except MalformedError as error:
        raise MalformedError(f"{path / 'circuit.json'}: {error.message}", hint=error.hint) from error
    parts = {
        role: files.read(path / "parts" / _checked(role), what=f"circuit part {role!r}", max_size=_circuit.MAX_PART_SIZE)
        for role in parsed.parts
    }
    return VerifierCircuit(circuit=parsed, parts=parts)


def load_prover(path: Path) -> ProverCircuit:
    """The circuit in folder ``path`` with its program. Raises MalformedError, BindingError."""
    verifier = load_verifier(path)
    program = files.read(path / "program", what="program", max_size=_MAX_PROGRAM_SIZE)
    return ProverCircuit(verifier=verifier, program=program)


def _checked(role: str) -> str:
    if not _ROLE.fullmatch(role):
        raise MalformedError(f"circuit: {role[:80]!r} is not a part's role")
    return role
