# SPDX-License-Identifier: Apache-2.0
"""Everything real: ezkl, a development setup, keys, proofs. Made once per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.zk.ezkl.workshop import LOGROWS, SAMPLE, Workshop, mlp
from verifiable.blobs import LocalBlobs
from verifiable.zk.ezkl import dev_srs
from verifiable.zk.ezkl.system import EzklSystem
from verifiable.zk.srs.store import SrsStore
from verifiable.zk.system import Proved, ProverCircuit


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    root = tmp_path_factory.mktemp("ezkl")
    store, blobs = SrsStore(root / "srs"), LocalBlobs(root / "blobs")
    system = EzklSystem(blobs, store)
    yield Workshop(root, blobs, store, store.dev_insecure(LOGROWS, dev_srs.generate), system)
    system.close()


@pytest.fixture(scope="session")
def circuit(workshop: Workshop) -> ProverCircuit:
    """An 8-8-4 MLP, public, public, fixed."""
    return workshop.build(mlp(8, 8, 4))


@pytest.fixture(scope="session")
def proved(workshop: Workshop, circuit: ProverCircuit) -> Proved:
    return workshop.system.prove(circuit, SAMPLE)
