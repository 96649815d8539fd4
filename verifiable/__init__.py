# SPDX-License-Identifier: Apache-2.0
"""Verifiable inference: which model, on which input, gave which output, checkable by anybody, offline.

Three verbs and a verifier are the whole public surface::

    import verifiable

    compiled = verifiable.compile("model.onnx", calibration="calibration.npz")
    compiled.save("circuit")
    proved = verifiable.prove("circuit", "input.json")
    verifier = verifiable.Verifier(verifiable.TrustRoot.pin(compiled.circuit.id))
    verified = verifier.verify(proved.receipt.encode(), now=datetime.now(UTC))

Names are loaded on first use, so that importing this package costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from verifiable.checklist import Check
    from verifiable.claim import Claim
    from verifiable.compiling import Compiled, audit, check, compile  # noqa: A004
    from verifiable.digest import Digest
    from verifiable.encoding.tensor import Tensor
    from verifiable.errors import Error
    from verifiable.proving import ProvedReceipt, prove, run
    from verifiable.receipt import Receipt
    from verifiable.trust import TrustRoot
    from verifiable.verify.policy import parse_policy
    from verifiable.verify.verified import Verified
    from verifiable.verify.verifier import Verifier
    from verifiable.zk.circuit import Circuit, Visibility
    from verifiable.zk.system import Limits

_HOMES = {
    "Check": "verifiable.checklist",
    "Circuit": "verifiable.zk.circuit",
    "Claim": "verifiable.claim",
    "Compiled": "verifiable.compiling",
    "Digest": "verifiable.digest",
    "Error": "verifiable.errors",
    "Limits": "verifiable.zk.system",
    "ProvedReceipt": "verifiable.proving",
    "Receipt": "verifiable.receipt",
    "Tensor": "verifiable.encoding.tensor",
    "TrustRoot": "verifiable.trust",
    "Verified": "verifiable.verify.verified",
    "Verifier": "verifiable.verify.verifier",
    "Visibility": "verifiable.zk.circuit",
    "audit": "verifiable.compiling",
    "check": "verifiable.compiling",
    "compile": "verifiable.compiling",
    "parse_policy": "verifiable.verify.policy",
    "prove": "verifiable.proving",
    "run": "verifiable.proving",
}

__all__ = [
    "Check", "Circuit", "Claim", "Compiled", "Digest", "Error", "Limits", "ProvedReceipt", "Receipt", "Tensor", "TrustRoot",
    "Verified", "Verifier", "Visibility", "audit", "check", "compile", "parse_policy", "prove", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'verifiable' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
