# SPDX-License-Identifier: Apache-2.0
"""Multiply-adds of a node, from its shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]


def multiply_adds(op: str, attributes: Mapping[str, Any], inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
    """Products that are summed up: matrix products, convolutions, recurrent layers; element-wise operators count as none."""
    if not outputs or len(inputs) < 2:
        return 0
    if op == "MatMul":
        return math.prod(outputs[0]) * (inputs[0][-1] if inputs[0] else 1)
    if op == "Gemm":
        return math.prod(outputs[0]) * inputs[0][0 if attributes.get("transA") else 1]
    if op == "Conv":
        return math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if op == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if op == "Einsum":
        return _einsum(str(attributes.get("equation", "")), inputs)
    if op in ("RNN", "GRU", "LSTM") and len(inputs) > 2:
        # X [sequence, batch, input], W [directions, gates x hidden, input], R [directions, gates x hidden, hidden]
        return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))
    return 0


def _einsum(equation: str, inputs: Sequence[Shape]) -> int:
    """The product of all index sizes; an ellipsis counts as the largest batch that it stands for."""
    sizes: dict[str, int] = {}
    batch = 1
    terms = equation.replace(" ", "").split("->")[0].split(",")
    for term, shape in zip(terms, inputs, strict=False):
        front, _, back = term.partition("...")
        hidden = len(shape) - len(front) - len(back) if "..." in term else 0
        named = [*shape[: len(front)], *shape[len(front) + hidden :]]
        for letter, size in zip(front + back, named, strict=False):
            sizes[letter] = max(size, sizes.get(letter, 1))
        batch = max(batch, math.prod(shape[len(front) : len(front) + hidden]))
    return batch * math.prod(sizes.values())
