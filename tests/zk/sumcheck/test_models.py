# SPDX-License-Identifier: Apache-2.0
"""Networks of the usual families, quantised by us or by others, are proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.model.lower.models import Quantised, static
from tests.model.lower.test_lowering import lowered, power_of_two
from tests.model.quantise.cases import normalised, quantised, samples
from tests.model.quantise.networks import FAMILIES
from tests.zk.sumcheck.proving import holds
from verifiable.errors import UnsupportedError
from verifiable.model.program.ir import Program
from verifiable.model.program.ops import Conv
from verifiable.model.program.values import quantise_inputs
from verifiable.model.quantise.options import Options

MAIN = ["", "Add", "Sub", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Pad"]


def integers(program: Program, data: bytes, count: int) -> dict[str, np.ndarray]:
    given = samples(data, count, seed=11)
    return quantise_inputs(program, {name: np.stack([sample[name] for sample in given]) for name in given[0]})[0]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_float_network_of_8_bits(family: str, count: int) -> None:
    data = FAMILIES[family]()
    program = quantised(normalised(data), samples(data, 16))
    assert not holds(program, integers(program, data, count)).structure.ties


@pytest.mark.parametrize("family", ["mlp", "inception"])
def test_a_float_network_of_16_bits(family: str) -> None:
    """Activations of 2^16 levels, looked up in tables of some 2^20 rows."""
    data = FAMILIES[family]()
    program = quantised(normalised(data), samples(data, 16), Options(activation_bits=16))
    prover = holds(program, integers(program, data, 1))
    assert max(table.log_size for table in prover.structure.tables) > 16


@pytest.mark.parametrize(
    ("family", "operator_form", "signed", "per_channel"),
    [
        ("mlp", False, False, False), ("mlp, batch of 4", True, True, False), ("vgg", False, True, True),
        ("resnet", True, True, True),
    ],
)  # fmt: skip
def test_a_network_quantised_by_onnxruntime(
    family: str, operator_form: bool, signed: bool, per_channel: bool, tmp_path: Path
) -> None:
    data = FAMILIES[family]()
    ready = static(
        data, samples(data, 16), tmp_path, operator_form=operator_form, signed=signed, per_channel=per_channel
    )  # fmt: skip
    program, _ = lowered(ready)
    holds(program, integers(program, data, 2))


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
@pytest.mark.parametrize("kind", MAIN)
def test_scales_that_are_powers_of_two_and_their_ties(activation: str, kind: str) -> None:
    data = power_of_two(activation, kind, 120)
    program, _ = lowered(data)
    assert holds(program, integers(program, data, 3)).structure.ties


def wide(scale: float) -> bytes:
    """Activations of 16 bits."""
    net = Quantised()
    x = net.qdq("x", 2.0**-12, np.int16(0))
    w = net.dq(net.constant(np.arange(-20, 20).reshape(8, 5).astype(np.int8)), 2.0**-5, np.int8(0))
    y = net.qdq(net.op("Relu", net.op("MatMul", x, w)), scale, np.int16(-(2**15)))
    proto = onnx.ModelProto.FromString(net.model([3, 8], y))
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", 21))
    proto.ir_version = 10
    return proto.SerializeToString()


def test_quantised_activations_of_16_bits() -> None:
    data = wide(2.0**-13)
    program, _ = lowered(data)
    assert holds(program, integers(program, data, 2)).structure.ties


def test_a_quantised_activation_past_any_table_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="its table would have"):
        lowered(wide(2.0**-17))


def test_the_mobile_network_is_depthwise() -> None:
    data = FAMILIES["mobilenet"]()
    program = quantised(normalised(data), samples(data, 4))
    groups = {op.groups for op in program.ops if isinstance(op, Conv)}
    assert groups == {1, 16, 32}
