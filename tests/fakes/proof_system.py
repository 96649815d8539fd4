# SPDX-License-Identifier: Apache-2.0
"""A small, honest proof system behind the same seam as the real one.

It computes ``out = W·x`` in integers and "proves" with an HMAC under a secret that stands for the setup's: without the secret
nobody can make a proof, and a proof holds for one circuit and one instance only. It is not zero-knowledge and not publicly
verifiable, which is the difference to the real thing; every binding is there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from py_ecc import optimized_bn128 as bn128

from verifiable.digest import Digest, tagged
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, ProofError, UnsupportedError
from verifiable.zk.circuit import Circuit, Part, Setup, TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.srs import ceremonies, curve
from verifiable.zk.srs import format as srs_format
from verifiable.zk.system import Bound, Limits, MediaTypes, ModelProgram, Progress, Proved, ProverCircuit, Public, no_progress

MEDIA_TYPE = "application/vnd.verifiable.fake.proof.v1"
PROOF_SIZE = 32
_NO_LIMITS = Limits()
_PUBLIC = Visibility()


@dataclass(frozen=True)
class FakeSystem:
    """``secret`` stands for the setup's trapdoor."""

    secret: bytes = b"the secret of the setup"
    id: str = "fake"

    @property
    def media_types(self) -> MediaTypes:
        parts = {"verifying-key": "application/octet-stream", "srs": "application/octet-stream"}
        return MediaTypes(proof=MEDIA_TYPE, program="application/json", parts=parts)

    def prove(
        self,
        circuit: ProverCircuit,
        integers: Mapping[str, Tensor],
        *,
        limits: Limits = _NO_LIMITS,
        progress: Progress = no_progress,
    ) -> Proved:
        spec = circuit.circuit
        outputs = self.execute(circuit, integers)
        public = Public(
            inputs=tuple(self._bound(spec, s, spec.visibility.inputs, integers[s.name]) for s in spec.inputs),
            outputs=tuple(self._bound(spec, s, spec.visibility.outputs, outputs[s.name]) for s in spec.outputs),
        )
        return Proved(proof=self._mac(spec, public), media_type=MEDIA_TYPE, public=public, outputs=outputs)

    def execute(self, circuit: ProverCircuit, integers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        spec = circuit.circuit
        flat = np.concatenate([integers[s.name].array().ravel() for s in spec.inputs])
        weights = np.array(json.loads(circuit.program), dtype=np.int64)
        results = np.split(weights @ flat, np.cumsum([int(np.prod(s.shape)) for s in spec.outputs])[:-1])
        return {s.name: Tensor.from_array(r.reshape(s.shape)) for s, r in zip(spec.outputs, results, strict=True)}

    def verify(self, circuit: VerifierCircuit, public: Public, proof: bytes) -> None:
        if len(proof) != PROOF_SIZE:
            raise MalformedError("fake proof: wrong length")
        if not hmac.compare_digest(proof, self._mac(circuit.circuit, public)):
            raise ProofError("fake proof: does not hold for this circuit and instance")

    def caveats(self, circuit: VerifierCircuit) -> tuple[str, ...]:
        return (f"fake: {len(circuit.parts)} parts",)

    def commit(self, circuit: Circuit, integers: Tensor) -> bytes:
        if "hashed" not in (circuit.visibility.inputs, circuit.visibility.outputs):
            raise UnsupportedError("nothing of this circuit is hashed")
        return tagged("fake/commitment", integers.encode()).value

    def _bound(self, circuit: Circuit, spec: TensorSpec, visibility: str, integers: Tensor) -> Bound:
        if visibility == "public":
            return Bound(name=spec.name, integers=integers)
        return Bound(name=spec.name, commitment=self.commit(circuit, integers) if visibility == "hashed" else None)

    def _mac(self, circuit: Circuit, public: Public) -> bytes:
        fields = [circuit.id.value]
        for bound in (*public.inputs, *public.outputs):
            fields += [bound.name.encode(), bound.integers.encode() if bound.integers else b"", bound.commitment or b""]
        return hmac.digest(self.secret, tagged("fake/instance", *fields).value, hashlib.sha256)


def make_circuit(
    *,
    weights: tuple[tuple[int, ...], ...] = ((1, 2, 3), (-1, 0, 4)),
    visibility: Visibility = _PUBLIC,
    srs: bytes | None = None,
    ceremony: str = "dev-insecure",
    input_dtype: str = "float32",
    name: str = "x",
    model: bytes = b"an ONNX file",
) -> ProverCircuit:
    """A circuit of one input and one output for the fake system, over a setup file of 2 rows."""
    program = json.dumps(weights).encode()
    srs = srs or small_srs(1234567)
    parts = {"verifying-key": b"a verifying key of " + hashlib.sha256(program).digest(), "srs": srs}
    rows, columns = len(weights), len(weights[0])
    circuit = Circuit(
        model=Digest.of(model),
        program=Part.of(program, "application/json"),
        system="fake",
        system_version="1",
        visibility=visibility,
        inputs=(TensorSpec(name=name, dtype=input_dtype, shape=(1, columns), scale=0.5, low=-100000, high=100000),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(1, rows), scale=0.25, low=-(2**40), high=2**40),),
        parts={role: Part.of(data, "application/octet-stream") for role, data in parts.items()},
        setup=Setup(
            ceremony=ceremony, digest=Digest.of(srs), fingerprint=srs_format.fingerprint(srs_format.Srs.parse(srs)), logrows=1
        ),
    )
    return ProverCircuit(verifier=VerifierCircuit(circuit=circuit, parts=parts), program=program)


def derived(circuit: ProverCircuit, **changes: Any) -> ModelProgram:
    """What somebody with the model of ``circuit`` would derive from it, or with ``changes``."""
    named = circuit.circuit
    honest = ModelProgram(
        model=named.model, program=circuit.program, inputs=tuple(s.type for s in named.inputs),
        outputs=tuple(s.type for s in named.outputs),
    )  # fmt: skip
    return replace(honest, **changes)


@cache
def small_srs(secret: int) -> bytes:
    """A well-formed setup file of 2 rows whose secret everybody knows."""
    (power,) = curve.affine([curve.multiply((*curve.GENERATOR, 1), secret)])
    assert power is not None
    return _srs(power, _twisted(bn128.multiply(bn128.G2, secret)))


@cache
def ceremony_srs(name: str) -> bytes:
    """The 2-row file of a known ceremony, from its published points."""
    (ceremony,) = [c for c in ceremonies.CEREMONIES if c.name == name]
    return _srs(ceremony.s_g1, ceremony.s_g2)


def _srs(s_g1: curve.Affine, s_g2: tuple[int, ...]) -> bytes:
    powers = [curve.GENERATOR, s_g1]
    lagrange = [point for point in curve.lagrange_basis(powers, 1) if point]
    twisted = (_twisted(bn128.G2), s_g2)
    return (1).to_bytes(4, "little") + b"".join(
        [*map(srs_format.encode_g1, (*powers, *lagrange)), *map(srs_format.encode_g2, twisted)]  # type: ignore[arg-type]
    )


def _twisted(point: Any) -> tuple[int, ...]:
    x, y = bn128.normalize(point)
    return (*(int(c) for c in x.coeffs), *(int(c) for c in y.coeffs))
