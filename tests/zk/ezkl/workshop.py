# SPDX-License-Identifier: Apache-2.0
"""What the suites share: a workshop that builds circuits over one store, and small models."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from verifiable.blobs import LocalBlobs
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl.build import build
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.system import EzklSystem
from verifiable.zk.srs.store import SrsInfo, SrsStore
from verifiable.zk.system import Limits, ProverCircuit

LOGROWS = 10
SMALL = EzklParameters(decomp_base=128, decomp_legs=3, logrows=LOGROWS)
PUBLIC = Visibility()


@dataclass(frozen=True)
class Output:
    name: str
    dtype: str
    shape: tuple[int, ...]


def onnx_model(
    nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]], **constants: Any
) -> bytes:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def mlp(*dims: int, seed: int = 0) -> bytes:
    rng, nodes, constants, x = np.random.default_rng(seed), [], {}, "x"
    for i, (a, b) in enumerate(itertools.pairwise(dims)):
        constants[f"w{i}"] = (rng.standard_normal((b, a)) / np.sqrt(a)).astype(np.float32)
        constants[f"b{i}"] = (rng.standard_normal(b) * 0.1).astype(np.float32)
        last = i == len(dims) - 2
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["y" if last else f"g{i}"], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"r{i}"]))
            x = f"r{i}"
    return onnx_model(nodes, {"x": (1, dims[0])}, {"y": (1, dims[-1])}, **constants)


@dataclass
class Workshop:
    """Builds circuits over one store, and remembers them."""

    root: Path
    blobs: LocalBlobs
    store: SrsStore
    srs: SrsInfo
    system: EzklSystem

    def build(
        self,
        program: bytes,
        visibility: Visibility = PUBLIC,
        *,
        inputs: tuple[TensorSpec, ...] | None = None,
        outputs: tuple[Output, ...] = (Output("y", "float32", (1, 4)),),
        parameters: EzklParameters = SMALL,
        **options: Any,
    ) -> ProverCircuit:
        specs = inputs or (TensorSpec(name="x", dtype="float32", shape=(1, 8), scale=2.0**-7, low=-256, high=256),)
        arguments: dict[str, Any] = {
            "model": Digest.of(program), "program": program, "parameters": parameters, "visibility": visibility, "inputs": specs,
            "outputs": outputs, "fidelity": b"{}", "srs": self.srs, "blobs": self.blobs, "limits": Limits(),
        }  # fmt: skip
        return build(**(arguments | options))


def tensor(*values: int, shape: tuple[int, ...] | None = None) -> Tensor:
    return Tensor.from_array(np.array(values, dtype=np.int64).reshape(shape or (1, len(values))))


SAMPLE = {"x": tensor(-128, -91, -55, -18, 18, 55, 91, 128)}
