# SPDX-License-Identifier: Apache-2.0
"""What was once released verifies for ever: receipts on a public ceremony's setup, judged by the catalogue's circuits."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from verifiable import catalogue
from verifiable.errors import BindingError, TrustError
from verifiable.trust import TrustRoot
from verifiable.verify.verified import Verified
from verifiable.verify.verifier import Verifier
from verifiable.zk import directory

RECEIPTS = Path(__file__).parent / "compat" / "v0.1"
NAMES = sorted(path.name.removesuffix(".receipt.json") for path in RECEIPTS.glob("*.receipt.json"))


def verify(name: str, data: bytes) -> Verified:
    """With what the catalogue gives a verifier: an id, and the folder of that circuit. No flag relaxes anything."""
    published = catalogue.find(name).circuits["ezkl"]
    verifier = Verifier(TrustRoot.pin(published.id))
    return verifier.verify(data, now=datetime(2026, 12, 1, tzinfo=UTC), circuit=directory.load_verifier(published.folder))


def test_there_are_receipts() -> None:
    assert len(NAMES) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_receipt_verifies_on_the_ceremonys_setup(name: str) -> None:
    verified = verify(name, (RECEIPTS / f"{name}.receipt.json").read_bytes())
    assert verified.setup is not None
    assert (verified.setup.name, verified.setup.insecure) == ("axiom-perpetual-powers-of-tau", False)
    assert verified.evidence == ("zk",)
    values = verified.outputs[0].values()
    assert values is not None
    entry = catalogue.find(name)
    if entry.classes:
        assert int(np.argmax(values)) == int(entry.expected)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_receipt_of_that_circuit_and_no_other(name: str) -> None:
    other = NAMES[NAMES.index(name) - 1]
    data = (RECEIPTS / f"{name}.receipt.json").read_bytes()
    with pytest.raises(TrustError, match="not one that you trust"):
        verify(other, data)


def test_a_ceremonys_name_on_another_setup_is_refused() -> None:
    """The circuit says 'dev-insecure' is the ceremony's: its points say otherwise, and the id changes with it."""
    honest = directory.load_verifier(catalogue.find(NAMES[0]).circuits["ezkl"].folder)
    assert honest.circuit.setup is not None
    forged = dataclasses.replace(
        honest.circuit, setup=dataclasses.replace(honest.circuit.setup, ceremony="perpetual-powers-of-tau")
    )
    data = (RECEIPTS / f"{NAMES[0]}.receipt.json").read_bytes()
    with pytest.raises(BindingError):
        Verifier(TrustRoot.pin(honest.circuit.id)).verify(
            data, now=datetime(2026, 12, 1, tzinfo=UTC), circuit=dataclasses.replace(honest, circuit=forged)
        )


def test_recorded_receipts_are_small_because_the_circuit_is_not_in_them() -> None:
    for name in NAMES:
        assert "circuit" not in json.loads((RECEIPTS / f"{name}.receipt.json").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_catalogues_circuit_is_what_its_model_compiles_to(name: str, shared: Path) -> None:
    """Audit by anybody who has the ceremony's file: the pinned id follows from the ONNX file and the calibration data."""
    from verifiable.compiling import audit
    from verifiable.zk.registry import Stores

    entry = catalogue.find(name)
    published = entry.circuits["ezkl"]
    Stores.default().srs.import_file(shared / "srs" / "kzg_bn254_14.srs")
    audited = audit(published.folder, entry.model, calibration=entry.calibration)
    assert audited.circuit.id == published.id
    assert audited.measured == audited.reported
