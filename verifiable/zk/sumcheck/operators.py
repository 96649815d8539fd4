# SPDX-License-Identifier: Apache-2.0
"""Which ONNX operators have an integer Program: those that the quantiser and the lowering know, so there is no second list.

That an operator is here does not say that every use of it is; :func:`verifiable.compiling.check` makes the Program to find out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from verifiable.model.quantise.outline import OPERATORS as FLOAT

if TYPE_CHECKING:
    from verifiable.model.preflight import NodeView, OperatorRule

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")


def _yes(_node: NodeView) -> str | None:
    return None


OPERATORS: Mapping[str, OperatorRule] = dict.fromkeys(sorted((*FLOAT, *_QUANTISED)), _yes)
