# SPDX-License-Identifier: Apache-2.0
"""ezkl's settings file: made canonical when a circuit is built, read strictly whenever it is used.

ezkl believes its settings: they decide which constraints exist and how many instances there are. So each of its fields is either
derived again here from ``circuit.json`` and must be equal, or is one of the sizes that the verifying key was made with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import BindingError, MalformedError, UnsupportedError
from verifiable.zk.circuit import Circuit, TensorSpec, Visibility
from verifiable.zk.ezkl import VERSION
from verifiable.zk.ezkl.parameters import EPSILON, EzklParameters, check_visibility

MEDIA_TYPE = "application/vnd.verifiable.ezkl.settings.v1+json"
MAX_SIZE = 1 << 20
_SIZES = (
    "num_rows", "total_assignments", "total_const_size", "total_dynamic_col_size", "max_dynamic_input_len",
    "num_dynamic_lookups", "num_shuffles", "total_shuffle_col_size",
)  # fmt: skip
_VISIBILITY = {
    "public": "Public",
    "private": "Private",
    "fixed": "Fixed",
    "hashed": {"Hashed": {"hash_is_public": True, "outlets": []}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EzklSettings:
    """A canonical settings file. ``input_scales`` and ``output_scales`` in bits, one per tensor, in the model's order."""

    parameters: EzklParameters
    visibility: Visibility
    input_scales: tuple[int, ...]
    output_scales: tuple[int, ...]
    instance_sizes: tuple[int, ...]
    hashes: int
    num_rows: int
    lookups: int
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> EzklSettings:
        """Raises MalformedError for what is not canonical, UnsupportedError for what is not sound."""
        root = Record(json.parse_canonical(data, what="ezkl settings", max_size=MAX_SIZE), "ezkl settings")
        if (version := root.text("version", max_length=32)) != VERSION:
            raise UnsupportedError(f"ezkl settings: made by version {version!r}, not {VERSION}", hint=f"use ezkl {VERSION}")
        _check_products(root.record("einsum_params"))
        run_args = root.take("run_args")
        parameters, visibility = _read_run_args(run_args)
        if run_args != expected_run_args(parameters, visibility):
            raise UnsupportedError("ezkl settings: run arguments other than those that this version uses")
        sizes = {name: root.integer(name) for name in _SIZES}
        modules = root.record("module_sizes")
        if modules.items("polycommit", maximum=1):
            raise UnsupportedError("ezkl settings: polynomial commitments are not used here")
        poseidon = modules.take("poseidon")
        modules.done()
        settings = cls(
            parameters=parameters,
            visibility=visibility,
            input_scales=_integers(root, "model_input_scales"),
            output_scales=_integers(root, "model_output_scales"),
            instance_sizes=_sizes(root),
            hashes=_hashes(poseidon),
            num_rows=sizes["num_rows"],
            lookups=len(root.items("required_lookups", maximum=256)),
            data=data,
        )
        _check_rest(root)
        root.done()
        return settings

    def check(self, circuit: Circuit) -> None:
        """These settings are those of ``circuit``. Raises BindingError naming the difference."""
        if self.visibility != circuit.visibility:
            raise BindingError("ezkl settings: the visibility is not that of circuit.json")
        if circuit.setup is None or circuit.setup.logrows < self.parameters.logrows:
            raise BindingError(
                f"ezkl settings: the setup that circuit.json names is too small for 2^{self.parameters.logrows} rows"
            )
        _check_tensors("input", circuit.inputs, self.input_scales, self.parameters.bound)
        _check_tensors("output", circuit.outputs, self.output_scales, self.parameters.bound)
        public = [
            *(circuit.inputs if circuit.visibility.inputs == "public" else ()),
            *(circuit.outputs if circuit.visibility.outputs == "public" else ()),
        ]
        if self.instance_sizes != tuple(math.prod(spec.shape) for spec in public):
            raise BindingError("ezkl settings: the public values are not those of circuit.json")
        hashed = (circuit.visibility.inputs == "hashed") * len(circuit.inputs)
        hashed += (circuit.visibility.outputs == "hashed") * len(circuit.outputs)
        if self.hashes != hashed:
            raise BindingError(f"ezkl settings: {self.hashes} commitments, circuit.json implies {hashed}")


def canonicalise(made: bytes) -> bytes:
    """The settings file as ezkl wrote it, without its randomness: RFC 8785, no time, sets sorted.

    ezkl writes the ranges and lookups from hash sets, so that one model got a new verifying key at each compilation. It does not
    take a missing time; 0 stands for none. The list of matrix products only serves the randomised product, which is off.
    """
    document = json.parse(made, what="ezkl settings", max_size=MAX_SIZE)
    record = Record(document, "ezkl settings")
    for name in ("required_range_checks", "required_lookups"):
        document[name] = sorted(record.items(name, maximum=256), key=json.canonical)
    _check_products(record.record("einsum_params"), allow_equations=True)
    document["einsum_params"] = {"equations": [], "total_einsum_col_size": 0}
    document["timestamp"] = 0
    return json.canonical(document)


def expected_run_args(parameters: EzklParameters, visibility: Visibility) -> dict[str, Any]:
    """What the settings file says of ``EzklParameters.run_args``, in ezkl's own spelling of the same."""
    given = parameters.run_args(visibility)
    return {
        **given,
        "rebase_scale": None,
        "check_mode": "SAFE",
        "epsilon": EPSILON,
        "input_visibility": _VISIBILITY[visibility.inputs],
        "output_visibility": _VISIBILITY[visibility.outputs],
        "param_visibility": _VISIBILITY[visibility.weights],
    }


def _read_run_args(value: Any) -> tuple[EzklParameters, Visibility]:
    record = Record(value, "ezkl settings.run_args")
    if not record.boolean("disable_freivalds"):
        raise UnsupportedError(
            "ezkl settings: disable_freivalds is false; matrix products would not be bound to the next layer",
            hint="compile the model again with `verifiable compile`",
        )
    low, high = _pair(record, "lookup_range")
    integer = {
        name: record.integer(name)
        for name in (
            "input_scale", "param_scale", "scale_rebase_multiplier", "decomp_base", "decomp_legs", "num_inner_cols", "logrows",
        )
    }  # fmt: skip
    names = {}
    for field, argument in (("inputs", "input_visibility"), ("outputs", "output_visibility"), ("weights", "param_visibility")):
        spelled = record.take(argument)
        matches = [name for name, known in _VISIBILITY.items() if known == spelled]
        if not matches:
            raise UnsupportedError(f"ezkl settings: {argument} is none that this version uses")
        names[field] = matches[0]
    visibility = Visibility(**names)
    check_visibility(visibility)
    return EzklParameters(**integer, lookup_low=low, lookup_high=high), visibility


def _check_products(record: Record, *, allow_equations: bool = False) -> None:
    equations, size = record.items("equations", maximum=1 << 16), record.integer("total_einsum_col_size")
    record.done()
    if size or (equations and not allow_equations):
        raise UnsupportedError(
            "ezkl settings: randomised matrix products (Freivalds) are on; they are not bound to the next layer",
            hint="compile the model again with `verifiable compile`",
        )


def _check_rest(root: Record) -> None:
    root.constant("check_mode", "SAFE")
    if root.take("num_blinding_factors") is not None or root.integer("timestamp") != 0:
        raise MalformedError("ezkl settings: blinding factors and time must be unset")
    for name in ("input_types", "output_types"):
        if not all(isinstance(kind, str) for kind in root.items(name, maximum=256)):
            raise MalformedError(f"ezkl settings.{name}: expected a list of type names")
    ranges = root.items("required_range_checks", maximum=256)
    if ranges != sorted(ranges, key=json.canonical):
        raise MalformedError("ezkl settings: range checks are not sorted")


def _check_tensors(kind: str, specs: Sequence[TensorSpec], scales: Sequence[int], bound: int) -> None:
    if len(specs) != len(scales):
        raise BindingError(f"ezkl settings: {len(scales)} {kind} scales for {len(specs)} {kind}s")
    for spec, bits in zip(specs, scales, strict=True):
        if spec.scale != 2.0**-bits:
            raise BindingError(f"ezkl settings: {kind} {spec.name!r} has scale 2^-{bits}, circuit.json says {spec.scale!r}")
        if spec.low < -bound or spec.high > bound:
            raise BindingError(f"ezkl settings: {kind} {spec.name!r} is proved within ±{bound}, circuit.json says more")


def _integers(root: Record, name: str) -> tuple[int, ...]:
    values = root.items(name, maximum=256)
    if any(isinstance(v, bool) or not isinstance(v, int) or not -128 <= v <= 128 for v in values):
        raise MalformedError(f"ezkl settings.{name}: expected scales in bits")
    return tuple(values)


def _sizes(root: Record) -> tuple[int, ...]:
    shapes = root.items("model_instance_shapes", maximum=512)
    for shape in shapes:
        if not isinstance(shape, list) or any(isinstance(d, bool) or not isinstance(d, int) or d < 0 for d in shape):
            raise MalformedError("ezkl settings.model_instance_shapes: expected shapes")
    return tuple(math.prod(shape) for shape in shapes)


def _pair(record: Record, name: str) -> tuple[int, int]:
    values = record.items(name, maximum=2)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise MalformedError(f"{record.where}.{name}: expected two integers")
    return values[0], values[1]


def _hashes(poseidon: Any) -> int:
    """``[rows, [commitments]]``."""
    if (
        isinstance(poseidon, list) and len(poseidon) == 2 and isinstance(poseidon[1], list) and len(poseidon[1]) == 1
        and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in (poseidon[0], poseidon[1][0]))
    ):  # fmt: skip
        return int(poseidon[1][0])
    raise MalformedError("ezkl settings.module_sizes.poseidon: expected [rows, [commitments]]")
