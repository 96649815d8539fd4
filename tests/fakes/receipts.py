# SPDX-License-Identifier: Apache-2.0
"""Honest receipts to start from, and the tools an attacker has: change anything, sign it again with a key of one's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from tests.fakes.proof_system import FakeSystem, make_circuit
from verifiable.claim import Claim
from verifiable.encoding import json as canonical_json
from verifiable.encoding.dsse import pre_authentication_encoding
from verifiable.encoding.tensor import Tensor
from verifiable.keys.signer import Signer
from verifiable.ledger.sigstore import PAYLOAD_TYPE
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.trust import Trusted, TrustedKey, TrustRoot
from verifiable.verify.verified import Verified
from verifiable.verify.verifier import Verifier
from verifiable.zk.circuit import Visibility
from verifiable.zk.quantise import quantise
from verifiable.zk.system import Proved, ProverCircuit

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NONCE = bytes.fromhex("00112233445566778899aabbccddeeff")


@cache
def node_key() -> Signer:
    return _key()


@cache
def attacker_key() -> Signer:
    return _key()


def _key() -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(CryptoSigner(key), key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@dataclass(frozen=True)
class Honest:
    """One honest run: the circuit, the proof, the receipt, and the trust root of somebody who would accept it."""

    circuit: ProverCircuit
    inputs: dict[str, Tensor]
    proved: Proved
    receipt: Receipt
    trust: TrustRoot
    system: FakeSystem

    @property
    def data(self) -> bytes:
        return self.receipt.encode()

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.data)

    def verify(self, data: bytes | None = None, *, trust: TrustRoot | None = None, **options: Any) -> Verified:
        options.setdefault("now", NOW)
        verifier = Verifier(self.trust if trust is None else trust, {"fake": self.system})
        return verifier.verify(self.data if data is None else data, **options)


def honest(
    x: Any = None,
    *,
    embed: bool = True,
    nonce: bytes | None = NONCE,
    inputs: str = "public",
    outputs: str = "public",
    **options: Any,
) -> Honest:
    """``options`` go to :func:`make_circuit`."""
    system = FakeSystem()
    circuit = make_circuit(visibility=Visibility(inputs=inputs, outputs=outputs, **options.pop("visible", {})), **options)
    (spec,) = circuit.circuit.inputs
    values = np.array([[1.0, -2.5, 3.0]] if x is None else x, dtype=spec.dtype)
    given = {spec.name: Tensor.from_array(values)}
    proved = system.prove(circuit, {spec.name: quantise(given[spec.name], spec)})
    evidence = (Evidence.zk(proved.proof, proved.media_type),)
    claim = Claim.build(
        circuit=circuit.circuit,
        inputs=given,
        public=proved.public,
        evidence=[each.descriptor for each in evidence],
        public_key=node_key().public_key,
        started_on=NOW - timedelta(minutes=2),
        finished_on=NOW - timedelta(minutes=1),
        nonce=nonce,
        node_name="a node",
    )
    receipt = make_receipt(claim, evidence, node_key(), circuit.verifier if embed else None)
    return Honest(circuit, given, proved, receipt, trust_for(circuit), system)


def trust_for(circuit: ProverCircuit) -> TrustRoot:
    assert circuit.circuit.setup is not None
    return TrustRoot(
        keys=(TrustedKey(name="the node", public_key=node_key().public_key),),
        circuits=(Trusted(name="the circuit", digest=circuit.circuit.id),),
        setups=(Trusted(name="the test setup", digest=circuit.circuit.setup.fingerprint),),
    )


def resign(receipt: Receipt, claim: Claim, key: Signer | None = None) -> Receipt:
    """``claim`` in place of the receipt's, signed by ``key`` (default: the attacker's), who is named as its signer."""
    key = key or attacker_key()
    claim = replace(claim, public_key=key.public_key)
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, claim.encode()))
    return replace(receipt, claim=claim, signature=signature, keyid=key.fingerprint, key_hint=key.fingerprint)


def rewrite(receipt: bytes, change: Callable[[dict[str, Any]], None], key: Signer | None = None) -> bytes:
    """Change the statement as JSON, past every check of our own types, and sign it with ``key`` (default: the node's)."""
    document = json.loads(receipt)
    envelope = document["bundle"]["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    payload = canonical_json.canonical(statement)
    signature = (key or node_key()).sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return canonical_json.canonical(document)


def edit(receipt: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change the receipt outside the signed payload, and write it canonically."""
    document = json.loads(receipt)
    change(document)
    return canonical_json.canonical(document)
