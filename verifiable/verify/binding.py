# SPDX-License-Identifier: Apache-2.0
"""Checks 4 and 5: the claimed tensors are the circuit's, and their values are what their digests and commitments say.

The instance that the proof is checked against is rebuilt here, from the claim and from what the caller gives; nothing
of it comes from the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verifiable.checklist import Step
from verifiable.claim import ClaimedTensor
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, MalformedError, TrustError
from verifiable.verify.verified import VerifiedTensor
from verifiable.zk.circuit import TensorSpec
from verifiable.zk.quantise import quantise
from verifiable.zk.system import Bound

#: The commitment that a hashed tensor of these integers has.
Commit = Callable[[Tensor], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binder:
    """Binds all inputs, or all outputs. ``kind`` is ``input`` or ``output``; ``given``: the values that the caller expects."""

    kind: str
    specs: tuple[TensorSpec, ...]
    visibility: str
    given: Mapping[str, Tensor]
    commit: Commit

    def bind(self, claimed: tuple[ClaimedTensor, ...], step: Step) -> tuple[tuple[Bound, ...], tuple[VerifiedTensor, ...]]:
        """The proof's instance, and what is established of each tensor.

        Raises BindingError (not the circuit's, or not the values given), TrustError (a value that only a caller could
        give), MalformedError (a value outside the circuit's range).
        """
        if [tensor.name for tensor in claimed] != [spec.name for spec in self.specs]:
            raise BindingError(f"the claim's {self.kind}s are not the circuit's: {', '.join(spec.name for spec in self.specs)}")
        if unknown := sorted(set(self.given) - {spec.name for spec in self.specs}):
            raise MalformedError(f"{self.kind} {unknown[0][:80]!r} was given, and the circuit has none of that name")
        verified = tuple(self._one(spec, tensor, step) for spec, tensor in zip(self.specs, claimed, strict=True))
        bounds = tuple(
            # A commitment is the whole instance of a hashed tensor, also where the caller knows the value.
            Bound(name=v.name, integers=v.integers if v.visibility == "public" else None, commitment=v.commitment)
            for v in verified
        )
        return bounds, verified

    def _one(self, spec: TensorSpec, claimed: ClaimedTensor, step: Step) -> VerifiedTensor:
        self._check_type(spec, claimed)
        given = self.given.get(spec.name)
        value: Tensor | None = None
        if self.visibility == "public":
            value = self._public(claimed, given, step)
        elif self.visibility == "hashed":
            value = self._hashed(spec, claimed, given, step)
        else:
            self._private(claimed, given, step)
        return VerifiedTensor(
            name=spec.name, dtype=claimed.dtype, shape=claimed.shape, visibility=self.visibility, scale=spec.scale,
            stated=value, integers=self._integers(spec, value), digest=claimed.digest, commitment=claimed.commitment,
            post=spec.post,
        )  # fmt: skip

    def _check_type(self, spec: TensorSpec, claimed: ClaimedTensor) -> None:
        label = f"{self.kind} {spec.name!r}"
        dtype = "int64" if self.kind == "output" else spec.dtype
        if (claimed.dtype, claimed.shape) != (dtype, spec.shape):
            raise BindingError(
                f"{label}: the claim says {claimed.dtype}{list(claimed.shape)}, the circuit {dtype}{list(spec.shape)}"
            )
        if claimed.scale is not None and claimed.scale != spec.scale:
            raise BindingError(f"{label}: the claim says scale {claimed.scale!r}, the circuit {spec.scale!r}")
        if claimed.visibility != self.visibility:
            raise BindingError(f"{label}: the claim shows it as {claimed.visibility}, the circuit as {self.visibility}")

    def _public(self, claimed: ClaimedTensor, given: Tensor | None, step: Step) -> Tensor:
        if given is not None and given.digest != claimed.digest:
            raise BindingError(f"{self.kind} {claimed.name!r} is not the one that was given")
        value = given if given is not None else claimed.value
        if value is None:
            raise TrustError(
                f"{self.kind} {claimed.name!r} is too large to be in the receipt, and its value was not given",
                hint=f"pass it: --{self.kind} FILE",
            )
        step.note(f"{claimed.name}: {'as given' if given is not None else 'as in the receipt'}")
        return value

    def _hashed(self, spec: TensorSpec, claimed: ClaimedTensor, given: Tensor | None, step: Step) -> Tensor | None:
        if given is None:
            step.note(f"{claimed.name}: known by its commitment alone")
            return None
        integers = self._integers(spec, given)
        assert integers is not None
        if self.commit(integers) != claimed.commitment:
            raise BindingError(f"{self.kind} {claimed.name!r}: the value given is not the one that was committed to")
        step.note(f"{claimed.name}: the integers of the value given are the committed ones")
        return given

    def _private(self, claimed: ClaimedTensor, given: Tensor | None, step: Step) -> None:
        if given is not None:
            raise BindingError(
                f"{self.kind} {claimed.name!r} is private in this circuit: no value can be compared with it",
                hint=f"leave out --{self.kind}, or ask for a circuit whose {self.kind}s are hashed or public",
            )
        step.note(f"{claimed.name}: private, not bound to any value")

    def _integers(self, spec: TensorSpec, value: Tensor | None) -> Tensor | None:
        if value is None or self.kind == "input":
            return None if value is None else quantise(value, spec)
        if (value.dtype, value.shape) != ("int64", spec.shape):
            raise MalformedError(
                f"output {spec.name!r}: {value.dtype}{list(value.shape)} given, expected the integers, int64{list(spec.shape)}"
            )
        return value
