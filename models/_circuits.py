# SPDX-License-Identifier: Apache-2.0
"""Compiles the catalogue's verifier parts: ``python models/_circuits.py SYSTEM [NAME ...]`` writes ``circuits/SYSTEM/NAME``.

The id goes into the model's ``model.toml``, which is sealed again. ezkl's need a ceremony's setup in the store
(``verifiable srs``), and are made for the small models only: their keys would not fit.
"""

import re
import sys
import tempfile
from pathlib import Path

import verifiable
from verifiable import catalogue

HERE = Path(__file__).resolve().parent


def publish(system, entry):
    """The circuit of one entry, by the program of today."""
    made = verifiable.compile(entry.model, system=system, calibration=entry.calibration, max_error=entry.max_error)
    target = HERE.parent / "circuits" / system / entry.name
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "circuit")
        (Path(folder) / "circuit" / "program").unlink()
        for path in sorted((Path(folder) / "circuit").rglob("*")):
            if path.is_file():
                copy = target / path.relative_to(Path(folder) / "circuit")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    return made.circuit.id.hex


def main(system, *names):
    """Every entry, or those named."""
    for entry in catalogue.entries(HERE.parent):
        if names and entry.name not in names:
            continue
        toml = entry.folder / "model.toml"
        line, text = f'{system} = "{publish(system, entry)}"', toml.read_text()
        found = re.sub(rf'^{system} = "[0-9a-f]{{64}}"$', line, text, flags=re.MULTILINE)
        toml.write_text(found if line in found else found.replace("[circuits]\n", f"[circuits]\n{line}\n"))
        print(entry.name, line)


if __name__ == "__main__":
    main(*sys.argv[1:])
