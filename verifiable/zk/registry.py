# SPDX-License-Identifier: Apache-2.0
"""The proof systems of this installation, by the id that ``circuit.json`` uses, and the stores they share.

The one place that knows them all; a proof system itself knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable import paths
from verifiable.blobs import LocalBlobs
from verifiable.errors import UnsupportedError
from verifiable.zk.system import Executor, ProofSystem

if TYPE_CHECKING:
    from verifiable.zk.srs.store import SrsStore

#: The first is what is used where none is named.
SYSTEMS = ("sumcheck", "ezkl")
DEFAULT_SYSTEM = SYSTEMS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where proving keys and setups live on this machine. Both are content-addressed; neither is trusted by name."""

    blobs: LocalBlobs
    srs: SrsStore

    @classmethod
    def default(cls) -> Stores:
        """Below the user's cache directory; created on first write."""
        return cls.below(paths.cache_directory())

    @classmethod
    def below(cls, root: Path) -> Stores:
        """Both stores in the folder ``root``."""
        from verifiable.zk.srs.store import SrsStore

        return cls(blobs=LocalBlobs(root / "blobs"), srs=SrsStore(root / "srs"))


class _Default(Mapping[str, ProofSystem]):
    """Each system is imported when it is asked for: who proves with one does not wait for the other."""

    def __getitem__(self, name: str) -> ProofSystem:
        if name == "sumcheck":
            return _sumcheck()
        if name == "ezkl":
            return _ezkl(paths.cache_directory())
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SYSTEMS)

    def __len__(self) -> int:
        return len(SYSTEMS)


def default_systems() -> Mapping[str, ProofSystem]:
    """All proof systems over the default stores. Constructing them starts nothing: children come with the first request."""
    return _Default()


def find(systems: Mapping[str, ProofSystem], name: str) -> ProofSystem:
    """The system with this id. Raises UnsupportedError."""
    if name not in systems:
        raise UnsupportedError(
            f"proof system {name[:40]!r} is not known to this version", hint=f"known: {', '.join(sorted(systems)) or 'none'}"
        )
    return systems[name]


def executor(system: ProofSystem) -> Executor:
    """``system``, if it can run a program without proving it. Raises UnsupportedError."""
    if not isinstance(system, Executor):
        raise UnsupportedError(f"{system.id} cannot run a program without proving it")
    return system


@cache  # circuits that have been proved stay ready
def _sumcheck() -> ProofSystem:
    from verifiable.zk.sumcheck.system import SumcheckSystem

    return SumcheckSystem()


@cache  # one warm child process per store, however many verifiers a service makes
def _ezkl(root: Path) -> ProofSystem:
    from verifiable.zk.ezkl.system import EzklSystem

    stores = Stores.below(root)
    return EzklSystem(stores.blobs, stores.srs)
