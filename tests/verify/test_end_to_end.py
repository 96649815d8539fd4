# SPDX-License-Identifier: Apache-2.0
"""The same checklist over real proofs: a small network, ezkl, a development setup, a key in a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.fakes.proof_system import derived
from tests.fakes.receipts import NOW, resign
from verifiable.blobs import LocalBlobs
from verifiable.claim import Claim, ClaimedTensor
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, PolicyError, ProofError
from verifiable.keys.signer import Signer, generate
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.trust import TrustRoot
from verifiable.verify.policy import AllOf, ProvedBy, Rerun
from verifiable.verify.verifier import Verifier
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import dev_srs
from verifiable.zk.ezkl.build import build
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.system import EzklSystem
from verifiable.zk.quantise import quantise
from verifiable.zk.srs.store import SrsInfo, SrsStore
from verifiable.zk.system import Limits, ProverCircuit, no_progress

_LOGROWS = 10
_SPEC = TensorSpec(name="x", dtype="float32", shape=(1, 4), scale=2.0**-7, low=-256, high=256)
_X = Tensor.from_array(np.array([[1.0, -0.5, 0.25, 0.75]], np.float32))


@dataclass(frozen=True)
class _Output:
    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Shop:
    blobs: LocalBlobs
    srs: SrsInfo
    system: EzklSystem
    signer: Signer

    def circuit(self, visibility: Visibility, seed: int = 0) -> ProverCircuit:
        program = _network(seed)
        return build(
            model=Digest.of(program), program=program, visibility=visibility, inputs=(_SPEC,),
            parameters=EzklParameters(decomp_base=128, decomp_legs=3, logrows=_LOGROWS),
            outputs=(_Output("y", "float32", (1, 2)),), fidelity=b"{}", srs=self.srs, blobs=self.blobs, limits=Limits(),
            progress=no_progress,
        )  # fmt: skip

    def receipt(self, circuit: ProverCircuit) -> Receipt:
        proved = self.system.prove(circuit, {"x": quantise(_X, circuit.circuit.inputs[0])})
        evidence = [Evidence.zk(proved.proof, proved.media_type)]
        claim = Claim.build(
            circuit=circuit.circuit, inputs={"x": _X}, public=proved.public, evidence=[evidence[0].descriptor],
            public_key=self.signer.public_key, started_on=NOW, finished_on=NOW,
        )  # fmt: skip
        return make_receipt(claim, evidence, self.signer, circuit.verifier)

    def verifier(self, circuit: ProverCircuit) -> Verifier:
        return Verifier(TrustRoot.pin(circuit.circuit.id), {"ezkl": self.system})


def _network(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    weights = {
        "w": rng.standard_normal((3, 4)),
        "b": rng.standard_normal(3),
        "v": rng.standard_normal((2, 3)),
        "c": rng.standard_normal(2),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "v", "c"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2))],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()],
    )  # fmt: skip
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root: Path = tmp_path_factory.mktemp("shop")
    store, blobs = SrsStore(root / "srs"), LocalBlobs(root / "blobs")
    system = EzklSystem(blobs, store)
    yield Shop(blobs, store.dev_insecure(_LOGROWS, dev_srs.generate), system, generate(root / "key.pem"))
    system.close()


@pytest.fixture(scope="module")
def circuit(shop: Shop) -> ProverCircuit:
    return shop.circuit(Visibility())


@pytest.fixture(scope="module")
def receipt(shop: Shop, circuit: ProverCircuit) -> Receipt:
    return shop.receipt(circuit)


def test_a_real_receipt_is_verified(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    data = receipt.encode()
    policy = AllOf((ProvedBy(circuit=circuit.circuit.id), Rerun()))
    verified = shop.verifier(circuit).verify(
        data, now=NOW, policy=policy, inputs={"x": _X}, program=derived(circuit), allow_dev_srs=True
    )
    assert verified.evidence == ("zk", "rerun")
    assert verified.setup is not None
    assert verified.setup.insecure
    assert verified.outputs[0].integers is not None


def test_its_development_setup_is_refused_by_default(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    with pytest.raises(PolicyError, match="forge"):
        shop.verifier(circuit).verify(receipt.encode(), now=NOW)


def test_an_output_changed_by_one_unit_is_noticed(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    (y,) = receipt.claim.outputs
    assert y.value is not None
    wrong = ClaimedTensor.public("y", Tensor.from_array(y.value.array() + np.array([[0, 1]])), scale=y.scale)
    data = resign(receipt, replace(receipt.claim, outputs=(wrong,)), shop.signer).encode()
    with pytest.raises(ProofError) as caught:
        shop.verifier(circuit).verify(data, now=NOW, allow_dev_srs=True)
    assert caught.value.checks[-1].number == 6  # type: ignore[attr-defined]


def test_an_input_changed_by_one_unit_is_noticed(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    wrong = ClaimedTensor.public("x", Tensor.from_array(_X.array() + np.float32(2.0**-7)))
    data = resign(receipt, replace(receipt.claim, inputs=(wrong,)), shop.signer).encode()
    with pytest.raises(ProofError):
        shop.verifier(circuit).verify(data, now=NOW, allow_dev_srs=True)


def test_the_proof_of_another_model_is_noticed(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    other = shop.receipt(shop.circuit(Visibility(), seed=1))
    claim = replace(receipt.claim, evidence=other.claim.evidence)
    data = resign(replace(receipt, evidence=other.evidence), claim, shop.signer).encode()
    with pytest.raises(ProofError):
        shop.verifier(circuit).verify(data, now=NOW, allow_dev_srs=True)


def test_hashed_values_are_bound_by_their_commitments(shop: Shop) -> None:
    circuit = shop.circuit(Visibility(inputs="hashed", outputs="hashed"))
    receipt = shop.receipt(circuit)
    verifier = shop.verifier(circuit)
    assert verifier.verify(receipt.encode(), now=NOW, allow_dev_srs=True).inputs[0].stated is None
    assert verifier.verify(receipt.encode(), now=NOW, allow_dev_srs=True, inputs={"x": _X}).inputs[0].stated == _X
    other = Tensor.from_array(_X.array() + np.float32(2.0**-7))
    with pytest.raises(BindingError, match="committed"):
        verifier.verify(receipt.encode(), now=NOW, allow_dev_srs=True, inputs={"x": other})
    (x,) = receipt.claim.inputs
    assert x.commitment is not None
    wrong = replace(x, commitment=bytes([x.commitment[0] ^ 1]) + x.commitment[1:])
    with pytest.raises(ProofError):
        verifier.verify(
            resign(receipt, replace(receipt.claim, inputs=(wrong,)), shop.signer).encode(), now=NOW, allow_dev_srs=True
        )


def test_the_systems_own_caveats_are_in_the_verdict(shop: Shop, circuit: ProverCircuit, receipt: Receipt) -> None:
    """What a proof leaves to the prover's rounding must reach the reader, not stay in a part of the circuit."""
    from tests.test_compat import RECEIPTS, verify

    verified = shop.verifier(circuit).verify(receipt.encode(), now=NOW, allow_dev_srs=True)
    (told,) = (caveat for caveat in verified.caveats if caveat.startswith("rounding: "))
    assert "could have moved output 'y' by up to " in told
    exact = verify("mlp-breast-cancer", (RECEIPTS / "mlp-breast-cancer.receipt.json").read_bytes())
    assert not any("rounding" in caveat for caveat in exact.caveats)
