# SPDX-License-Identifier: Apache-2.0
"""Committing to a Program's weights, when it is compiled: multiplier x weight and bias of every layer, padded with zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.program.ir import LIMIT, Program
from verifiable.model.program.ops import Conv, Dense, Scale
from verifiable.zk.sumcheck import commit_prover, field
from verifiable.zk.sumcheck.commit_prover import Committed
from verifiable.zk.sumcheck.field import Array
from verifiable.zk.sumcheck.layout import weight_stack
from verifiable.zk.sumcheck.maps import log_padded
from verifiable.zk.sumcheck.structure import Structure


def weight_table(program: Program, structure: Structure) -> Array:
    """W, over F. Raises UnsupportedError for a folded weight of 2^62 and more."""
    stack = weight_stack(structure)
    table = np.zeros(1 << stack.log_size, np.uint64)
    for i, op in enumerate(program.ops):
        if isinstance(op, Dense | Conv):
            weight, multiplier, bias = (
                program.constants[c].array().astype(np.int64) for c in (op.weight, op.multiplier, op.bias)
            )
            # Exact judgement, so in Python's integers: the product itself could have wrapped.
            largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1).tolist()
            if any(w * abs(m) >= LIMIT for w, m in zip(largest, multiplier.tolist(), strict=True)):
                raise UnsupportedError(f"program: operation {i} ({type(op).__name__}): a weight of 2^62 and more")
            folded = weight * multiplier.reshape(-1, *[1] * (weight.ndim - 1))
            table[stack.slice((i, "weight"))] = field.from_signed(_padded(folded).ravel())
            table[stack.slice((i, "bias"))] = field.from_signed(_padded(bias))
        elif isinstance(op, Scale):
            for role, number in (("weight", op.multiplier), ("bias", op.bias)):
                constant = program.constants[number].array().astype(np.int64)
                if max(-int(constant.min()), int(constant.max())) >= LIMIT:
                    raise UnsupportedError(f"program: operation {i} (Scale): a {role} of 2^62 and more")
                table[stack.slice((i, role))] = field.from_signed(_padded(constant).ravel())
    return table


def commit(program: Program, structure: Structure, *, keep: bool | None = None) -> Committed:
    """The commitment whose root is part of the circuit."""
    return commit_prover.commit(weight_table(program, structure), weight_stack(structure).used, keep=keep)


def _padded(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.pad(values, [(0, (1 << log_padded(extent)) - extent) for extent in values.shape])
