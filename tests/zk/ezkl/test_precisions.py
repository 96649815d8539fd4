# SPDX-License-Identifier: Apache-2.0
"""Models in half and double precision: checked, compiled, proved and verified like any other, in their own dtypes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifiable
from verifiable.errors import UnsupportedError

_TYPES = {"float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE}


def written(folder: Path, dtype: str, op: str = "Gemm") -> Path:
    rng, kind = np.random.Generator(np.random.PCG64(1)), _TYPES[dtype]
    shapes = {"Gemm": ([1, 8], [1, 4], (4, 8)), "Conv": ([1, 1, 4, 4], [1, 4, 2, 2], (4, 1, 3, 3))}
    given, made, weight = shapes[op]
    weights = {"w": rng.uniform(-1, 1, weight), "b": rng.uniform(-1, 1, 4)}
    attributes = {"transB": 1} if op == "Gemm" else {}
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w", "b"], ["y"], **attributes)], "g",
        [helper.make_tensor_value_info("x", kind, given)], [helper.make_tensor_value_info("y", kind, made)],
        [numpy_helper.from_array(array.astype(dtype), name) for name, array in weights.items()],
    )  # fmt: skip
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return path


@pytest.mark.parametrize("dtype", sorted(_TYPES))
def test_a_dense_layer_with_bias(dtype: str, tmp_path: Path) -> None:
    """ezkl reads the bias of a Gemm in single precision only, and says no more than that it failed to import the model."""
    model = written(tmp_path, dtype)
    assert verifiable.check(model).cost is not None
    rng = np.random.Generator(np.random.PCG64(2))
    samples = [{"x": rng.uniform(-1, 1, (1, 8)).astype(dtype)} for _ in range(8)]
    compiled = verifiable.compile(model, calibration=samples, system="ezkl", srs="dev-insecure")
    proved = verifiable.prove(compiled.prover, samples[0])
    verifier = verifiable.Verifier(verifiable.TrustRoot.pin(compiled.circuit.id.hex))
    verified = verifier.verify(proved.receipt.encode(), now=datetime.now(UTC), allow_dev_srs=True)
    (ran,) = verifiable.run(compiled.prover, samples[0])
    assert ran.reference.dtype == dtype
    np.testing.assert_array_equal(verified.outputs[0].values(), ran.values)
    np.testing.assert_allclose(ran.values, ran.reference.astype("f8"), atol=0.05)


def test_what_onnxruntime_has_no_kernel_for_is_a_defect_with_its_fix(tmp_path: Path) -> None:
    report = verifiable.check(written(tmp_path, "float64", "Conv")).report
    assert [defect.fix for defect in report.defects] == ["export the model in float32"]
    with pytest.raises(UnsupportedError, match="no implementation of Conv"):
        report.require()
