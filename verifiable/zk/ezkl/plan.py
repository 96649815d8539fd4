# SPDX-License-Identifier: Apache-2.0
"""What ezkl will really lay out, read from its own table of the circuit and judged kind by kind.

Preflight judges the ONNX graph, but between it and the circuit stands another optimiser that rewrites operators (``x ** 0.5``
into ``Sqrt``). So the node kinds that ezkl names are held against a list of those whose constraints were read; the reasons for
what is missing from it are in :mod:`.operators`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from verifiable.errors import UnsupportedError

#: Kinds whose output the constraints fix, given the inputs.
EXACT = frozenset(
    {
        "Input", "CONST", "ABS", "SIGN", "NEG", "ADD", "SUB", "MULT", "POW", "SUM", "PROD", "EINSUM", "CONV", "DECONV",
        "LEAKYRELU", "RECIP", "SOFTMAX", "MAX", "MIN", "REDUCEMAX", "REDUCEMIN", "MaxPool", "TOPK", "GATHER",
        "GATHERELEMENTS", "GATHERND", "GREATER", "GREATEREQUAL", "LESS", "LESSEQUAL", "EQUALS", "NOT", "AND", "OR", "XOR", "IFF",
        "FLOOR", "CEIL", "ROUND", "ROUND_HALF_TO_EVEN",
        "MULTIBROADCASTTO", "MOVEAXIS", "DOWNSAMPLE", "RESIZE", "IDENTITY", "RESHAPE", "FLATTEN", "PAD", "CONCAT", "SLICE",
        "EXP", "LN", "SIGMOID", "ERF", "HARDSWISH", "TAN", "ATAN", "TANH", "ATANH", "COS", "ACOS", "COSH", "ACOSH", "SIN", "ASIN",
        "SINH", "ASINH",
    }
)  # fmt: skip
#: Kinds that end in a division by a constant, which the prover may round down or up where it is not exact.
DIVIDING = frozenset({"DIV", "SUMPOOL", "MEANOFSQUARES"})
_REASONS = {
    "SQRT": "a square root may be proved with either sign",
    "RSQRT": "a square root may be proved with either sign",
    "REDUCEARGMAX": "among equal largest values the prover may choose",
    "REDUCEARGMIN": "among equal smallest values the prover may choose",
    "ONEHOT": "its elements are not tied to 0 and 1",
}
_ROW = re.compile(r"│ *(\d+) *│ *(.*?) *│ *(-?\d+) *│ *\[?(.*?)\]? *│ *\[(.*?)\] *│")
_PREFIX = re.compile(r"RESCALED INPUT \((.*)\)|REBASED \(div=[^,]*, rebasing_op=DIV ?\(denom=([^)]*)\)\) \((.*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: what it computes (``kind``), whether a division by a constant follows, its inputs, elements and scale."""

    number: int
    kind: str
    divides: bool
    inputs: tuple[int, ...]
    size: int
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The circuit's nodes in order. ``divisions``: how many values the prover may round up or down as it likes."""

    nodes: tuple[Node, ...]

    @property
    def divisions(self) -> int:
        return sum(node.size for node in self.nodes if node.divides)

    @property
    def quotients(self) -> Counter[tuple[int, int]]:
        """How many nodes end in such divisions, by (number of elements, scale)."""
        return Counter((node.size, node.scale) for node in self.nodes if node.divides)

    def check(self) -> None:
        """Every kind is one whose constraints are known to hold it. Raises UnsupportedError naming the first that is not."""
        for node in self.nodes:
            if node.kind not in EXACT | DIVIDING:
                reason = _REASONS.get(node.kind, "its constraints are not among those that were checked")
                raise UnsupportedError(
                    f"ezkl would lay out a {node.kind[:40]} node: {reason}", hint="`verifiable check` shows where it comes from"
                )

    def check_bounded(self) -> None:
        """Every input is used only as ``x + (|x| - |x|)``, so that its range is proved. Raises UnsupportedError."""
        by_number = {node.number: node for node in self.nodes}
        for given in self.nodes:
            if given.kind != "Input":
                continue
            users = [node for node in self.nodes if given.number in node.inputs]
            sizes = {node.number for node in users if node.kind == "ABS"}
            others = [node for node in users if node.number not in sizes]
            nothing = {
                n.number for n in by_number.values() if n.kind == "SUB" and len(set(n.inputs)) == 1 and set(n.inputs) <= sizes
            }
            if not sizes or any(node.kind != "ADD" or not set(node.inputs) - {given.number} <= nothing for node in others):
                raise UnsupportedError(
                    "ezkl would not check the range of a hashed input; a proof could be made for values that no tensor has",
                    hint="make the inputs public or private",
                )


def parse(table: str) -> Plan:
    """Read ezkl's table. Raises UnsupportedError for what is not a plain list of nodes (loops have tables within the table)."""
    if "SUBGRAPH" in table:
        raise UnsupportedError("ezkl: loops and recurrent layers are not supported", hint="unroll the model when it is exported")
    nodes = []
    for line in table.splitlines():
        if not line.startswith("│") or line.startswith("│ idx"):
            continue
        match = _ROW.fullmatch(line.strip())
        if match is None:
            raise UnsupportedError(f"ezkl: its table of the circuit cannot be read: {line.strip()[:120]}")
        number, kind, scale, inputs, dims = match.groups()
        inner, divides = _unwrap(kind)
        nodes.append(
            Node(
                number=int(number),
                kind=inner,
                divides=divides,
                inputs=tuple(int(pair[0]) for pair in re.findall(r"\((\d+), (\d+)\)", inputs)),
                size=math.prod(int(d) for d in dims.split(",") if d.strip()),
                scale=int(scale),
            )
        )
    if not nodes:
        raise UnsupportedError("ezkl: it lays out nothing for this model")
    return Plan(nodes=tuple(nodes))


def _unwrap(kind: str) -> tuple[str, bool]:
    """The innermost operation's name, and whether a division that may be rounded either way is part of the node."""
    divides = False
    while match := _PREFIX.fullmatch(kind):
        divides |= match[2] is not None and _rounds(match[2])
        kind = match[1] or match[3]
    name = re.split(r"[ (]", kind, maxsplit=1)[0]
    if name == "DIV":
        denominator = re.search(r"denom=([^)]*)", kind)
        divides |= denominator is None or _rounds(denominator[1])
    return name, divides or (name in DIVIDING and name != "DIV" and "normalized=false" not in kind)


def _rounds(denominator: str) -> bool:
    """Division by a whole number is checked to within less than the divisor; any other goes through a table, which is exact."""
    try:
        value = float(denominator)
    except ValueError:
        return True
    return value != 1 and value == int(value)
