# SPDX-License-Identifier: Apache-2.0
"""The soundness of a whole proof: the chance, part by part and exactly, that a false statement passes one run of the protocol.

Each part is one row of the table in docs/formats/sumcheck.md, "Soundness". The sum bounds an interactive prover; one who computes
the challenges by SHA-256 gains a factor of the number of hashes it tries, and breaks the commitment with a collision.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from verifiable.model.program.ops import Combine, Conv, Dense, Maximum, Requantise, Scale, Transpose, sources
from verifiable.zk.sumcheck import commitment, logup
from verifiable.zk.sumcheck.layout import Layout, Stack, convolution
from verifiable.zk.sumcheck.soundness import FIELD, LOG_BLOWUP, QUERIES, opening_error, whole_bits
from verifiable.zk.sumcheck.structure import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``parts``: error by name."""

    parts: dict[str, Fraction]

    @property
    def bits(self) -> int:
        """What the sum of all parts leaves, rounded down."""
        return whole_bits(sum(self.parts.values(), Fraction(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """How many claims the walk meets: by operation, on its result before they are merged; on T and on W when they are opened."""

    results: tuple[int, ...]
    trace: int
    weights: int


def budget(layout: Layout) -> Budget:
    """Raises MalformedError for a stack that is too large."""
    structure, found = layout.structure, claims(layout.structure)
    # A table's multiplicities are one column; no lookup has more columns in T than it is wide.
    columns = sum(leaf.block.width if leaf.block.rows is None else 1 for leaf in layout.leaves)
    rounds = sum(_variables(layout, i) for i, count in enumerate(found.results) if count)
    # Several claims on one tensor: a power of a challenge for each, and a sum-check over the tensor.
    merges = sum(
        count + 2 * sum(layout.tensor_logs(layout.result(i)))
        for i, count in enumerate(found.results)
        if count > 1 and not isinstance(structure.ops[i], Requantise | Maximum)
    )
    points = sum(sum(layout.tensor_logs(output.tensor)) for output in structure.outputs)
    batched = (found.trace + columns + 2 * layout.trace.log_size) + (found.weights + 2 * layout.weights.log_size)
    numerators = {
        "tables": logup.error_numerator([leaf.block for leaf in layout.leaves]) if layout.leaves else 0,
        # Two extensions of n variables that differ are equal at a random point with n / |E|; then a selection of n rounds.
        "outputs": points + 2 * points,
        "walk": 2 * rounds,
        "merges": merges,
        # A power of gamma for each claim, and a sum-check over the whole stack.
        "batching": batched,
    }
    return Budget(
        parts={name: Fraction(numerator, FIELD) for name, numerator in numerators.items()}
        | {f"{name} opening": _opening(stack) for name, stack in (("trace", layout.trace), ("weights", layout.weights))}
    )


def claims(structure: Structure) -> Claims:
    """As :mod:`.walk` makes them: whatever is claimed of a tensor is one claim by the time that it is reduced."""
    count = [0] * len(structure.shapes)
    for op in structure.ops:
        if isinstance(op, Requantise | Maximum):  # by its lookup
            for source in sources(op):
                count[source] += 1
    for output in structure.outputs:
        count[output.tensor] += 1
    trace = weights = 0
    first = len(structure.inputs)
    for i, op in reversed(list(enumerate(structure.ops))):
        mine = count[first + i]
        if isinstance(op, Requantise | Maximum):
            trace += mine
        elif mine:
            weights += 2 if isinstance(op, Dense | Conv | Scale) else 0
            for source in sources(op):
                count[source] += 1
    return Claims(results=tuple(count[first:]), trace=trace, weights=weights)


def _variables(layout: Layout, number: int) -> int:
    """At most so many rounds reduce the claim on the operation's result; each is of degree 2."""
    op, stack = layout.structure.ops[number], layout.weights.blocks
    if isinstance(op, Requantise | Maximum | Combine | Transpose):
        return 0
    if isinstance(op, Dense):
        return stack[number, "weight"][0] - stack[number, "bias"][0]
    if isinstance(op, Conv):
        form = convolution(layout.structure, number)
        groups = 0 if form.groups is None else form.groups.log_inputs
        return form.log_inner + groups + form.height.log_inputs + form.width.log_inputs
    return sum(sum(layout.tensor_logs(source)) for source in sources(op))


def _opening(stack: Stack) -> Fraction:
    return opening_error(log_cols=commitment.shape(stack.log_size, stack.used)[1], log_blowup=LOG_BLOWUP, queries=QUERIES)
