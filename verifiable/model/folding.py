# SPDX-License-Identifier: Apache-2.0
"""Constant folding, of what every machine computes alike.

Only data movement, integer arithmetic and the float operations that IEEE 754 rounds exactly are folded. Sums and transcendental
functions differ in the last bit between processors, and with them would the normalised model and every circuit id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from verifiable.model.guard import guarded
from verifiable.model.runtime import open_session
from verifiable.model.tensors import CODES, check_finite

Array = NDArray[np.generic]

_EXACT = set("""
    Constant ConstantOfShape Shape Size Identity Cast CastLike Reshape Squeeze Unsqueeze Flatten Transpose Concat Split Slice
    Gather GatherElements GatherND ScatterElements ScatterND Expand Tile Range Pad Where Trilu EyeLike OneHot NonZero
    Add Sub Mul Div Neg Abs Sign Min Max Mod Sqrt Reciprocal Floor Ceil Round Relu Clip
    Equal Less Greater LessOrEqual GreaterOrEqual And Or Not Xor ReduceProd ReduceMin ReduceMax ArgMin ArgMax
""".split())  # fmt: skip  # noqa: SIM905 - a table reads better without sixty pairs of quotes
# Their results have as many elements as their input's values say, so only small inputs are tried.
_UNSIZED = {"NonZero": 1 << 16}
#: Bytes of one folded constant, and of all of them together.
MAX_CONSTANT = 1 << 26
MAX_CONSTANTS = 1 << 29


def foldable(op: str, inputs: Sequence[Array]) -> bool:
    """Whether a node of this operator on these constants is computed now."""
    return op in _EXACT and all(array.size <= _UNSIZED.get(op, array.size) for array in inputs)


def fold(node: onnx.NodeProto, inputs: Mapping[str, Array], dtypes: Mapping[str, str], opset: int) -> dict[str, Array]:
    """The node's outputs by name, computed by onnxruntime on one thread. Output sizes have been checked by the caller.

    ``dtypes``: of the outputs. Raises UnsupportedError, or MalformedError for a result that is not finite.
    """
    values = [helper.make_tensor_value_info(name, CODES[a.dtype.name], a.shape) for name, a in inputs.items()]
    results = [helper.make_tensor_value_info(name, CODES[dtype], None) for name, dtype in dtypes.items()]
    graph = helper.make_graph([node], "fold", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session: Any = open_session(model.SerializeToString())
    with guarded("it cannot be computed"):
        arrays = session.run(list(dtypes), dict(inputs))
    folded = {name: np.asarray(array) for name, array in zip(dtypes, arrays, strict=True)}
    for array in folded.values():
        check_finite(array, "its constant result")
    return folded
