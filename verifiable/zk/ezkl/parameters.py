# SPDX-License-Identifier: Apache-2.0
"""The numbers that shape an ezkl circuit, all explicit: ezkl's own defaults differ between its Python and its command line.

``disable_freivalds`` is not among the fields. The randomised matrix product that it switches off does not tie its result to the
next layer, so a circuit made with it proves nothing about that layer; it is off here, and settings that have it on are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.zk.circuit import Visibility

MAX_SCALE = 30
MAX_LOGROWS = 26
MIN_LOGROWS = 6
#: ezkl's own value for "no epsilon": the smallest step of a double at 1.
EPSILON = 2.0**-52
_WEIGHTS = ("fixed", "private")


@dataclass(frozen=True, slots=True, kw_only=True)
class EzklParameters:
    """One choice of circuit shape.

    ``input_scale``, ``param_scale``: bits after the binary point of inputs and weights. ``scale_rebase_multiplier``: a product
    is rescaled once its scale exceeds this many times the larger of the two. ``decomp_base``, ``decomp_legs``: numbers are
    checked to be within ``±(base^legs - 1)`` by that many digits. ``num_inner_cols``: columns of a dot product. ``logrows``:
    log2 of the rows. ``lookup_low``, ``lookup_high``: the range of table lookups, for functions that have no arithmetic form.
    """

    input_scale: int = 7
    param_scale: int = 7
    scale_rebase_multiplier: int = 1
    decomp_base: int = 256
    decomp_legs: int = 3
    num_inner_cols: int = 2
    logrows: int = 12
    lookup_low: int = -32768
    lookup_high: int = 32768

    def __post_init__(self) -> None:
        for name, low, high in (
            ("input_scale", 0, MAX_SCALE), ("param_scale", 0, MAX_SCALE), ("scale_rebase_multiplier", 1, 10),
            ("decomp_base", 2, 1 << 20), ("decomp_legs", 1, 62), ("num_inner_cols", 1, 64), ("logrows", MIN_LOGROWS, MAX_LOGROWS),
            ("lookup_low", -(1 << 40), 0), ("lookup_high", 0, 1 << 40),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise MalformedError(f"ezkl parameter {name}: {getattr(self, name)} is outside [{low}, {high}]")
        if self.bound >= 2**63:
            raise UnsupportedError(
                f"ezkl parameters: {self.decomp_legs} digits of base {self.decomp_base} exceed a 64-bit integer",
                hint="choose fewer digits or a smaller base",
            )

    @property
    def bound(self) -> int:
        """Every input, and every public output, is proved to be within ``±bound``."""
        return int(self.decomp_base**self.decomp_legs) - 1

    def run_args(self, visibility: Visibility) -> dict[str, Any]:
        """ezkl's run arguments, every one of them. Raises UnsupportedError for what ezkl cannot honour."""
        check_visibility(visibility)
        return {
            "input_scale": self.input_scale, "param_scale": self.param_scale,
            "scale_rebase_multiplier": self.scale_rebase_multiplier,
            "decomp_base": self.decomp_base, "decomp_legs": self.decomp_legs,
            "num_inner_cols": self.num_inner_cols, "logrows": self.logrows,
            "lookup_range": [self.lookup_low, self.lookup_high],
            "input_visibility": visibility.inputs, "output_visibility": visibility.outputs,
            "param_visibility": visibility.weights,
            "disable_freivalds": True, "ignore_range_check_inputs_outputs": False, "check_mode": "safe",
            "bounded_log_lookup": False, "rebase_frac_zero_constants": False, "epsilon": EPSILON,
            "variables": [["batch_size", 1]],
        }  # fmt: skip


def check_visibility(visibility: Visibility) -> None:
    """Raises UnsupportedError for what ezkl cannot honour; nothing is silently weakened.

    Hashed weights: a constant that is used once, and nearly all are, is laid out anew where it is used and not copied from
    the cells that were hashed. The proving key's permutation shows it: no cycle joins the two. So the commitment would be to
    one model and the computation could be another's.
    """
    if visibility.weights == "hashed":
        raise UnsupportedError(
            "ezkl does not tie hashed weights to the computation: the proof would hold for any other weights",
            hint="use --weights fixed: they are bound by the verifying key, which shows no more of them than an unsalted hash",
        )
    if visibility.weights not in _WEIGHTS:
        raise UnsupportedError(
            f"ezkl cannot keep weights {visibility.weights!r}", hint=f"choose one of {', '.join(_WEIGHTS)} for the weights"
        )
    if visibility.inputs == visibility.outputs == "private":
        raise UnsupportedError(
            "a proof with private inputs and private outputs says nothing about any particular run",
            hint="make the inputs or the outputs public or hashed",
        )
