# SPDX-License-Identifier: Apache-2.0
"""What a proof will cost, from the sizes of what it commits to and looks up. Measured factors; good to about a factor of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifiable.errors import FatalStateError
from verifiable.zk.sumcheck import commitment
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.system import Limits

#: Seconds on two cores of a server processor, and bytes: once, per element of the weights' table, per leaf of the lookups.
_SECONDS = (0.03, 0.12e-6, 2e-6)
_MEMORY = (150e6, 45, 300)
#: Bytes of a proof besides its two openings: per variable of each sum-check, and these grow slowly.
_MESSAGES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SumcheckCost:
    """``committed`` and ``looked_up``: elements of the trace with the weights, and leaves of the lookup argument."""

    seconds: float
    memory: int
    proof_size: int
    committed: int
    looked_up: int

    def to_json(self) -> Mapping[str, object]:
        return {
            "seconds": self.seconds, "memory": self.memory, "proofBytes": self.proof_size, "committed": self.committed,
            "lookedUp": self.looked_up,
        }  # fmt: skip

    def summary(self) -> str:
        """In one line, beside time and memory."""
        return (
            f"a proof of {self.proof_size / 1e3:,.0f} kB, {self.committed:,} committed values, {self.looked_up:,} lookups;"
            " no setup, no key; sumcheck is new and unaudited, and hides nothing"
        )


def estimate(structure: Structure, *, samples: int = 1) -> SumcheckCost:
    """Raises MalformedError for a number of samples that is none."""
    layout = Layout.of(structure, samples)
    weights, leaves = layout.weights.used, sum(1 << leaf.block.log_size for leaf in layout.leaves)
    shapes = [commitment.shape(stack.log_size, stack.used) for stack in (layout.trace, layout.weights)]
    openings = sum(commitment.expected_size(rows, log_cols) for rows, log_cols in shapes)
    return SumcheckCost(
        seconds=_SECONDS[0] + _SECONDS[1] * weights + _SECONDS[2] * leaves,
        memory=int(_MEMORY[0] + _MEMORY[1] * weights + _MEMORY[2] * leaves),
        proof_size=int(openings) + _MESSAGES,
        committed=weights + layout.trace.used,
        looked_up=leaves,
    )


def require_memory(structure: Structure, limits: Limits) -> None:
    """Raises FatalStateError when a proof would take more than the limit."""
    if limits.memory is not None and (needed := estimate(structure).memory) > limits.memory:
        raise FatalStateError(
            f"a proof takes about {needed / 1e9:.1f} GB of memory, the limit is {limits.memory / 1e9:.1f} GB",
            hint="allow more with --memory, or prove fewer samples at once",
        )
