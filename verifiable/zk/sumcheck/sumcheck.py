# SPDX-License-Identifier: Apache-2.0
"""The verifier's half of the sum-check protocol (Lund, Fortnow, Karloff, Nisan 1992; Thaler 2022, section 4.1).

A claim "the sum of g over {0,1}^n is v" becomes a claim "g(point) = w" at a random point. Each round brings one univariate
polynomial with one coefficient left out: the one that the running claim implies. A false claim survives a round with
probability at most degree / |E|. Every polynomial is absorbed by the reader before its challenge is drawn.

1. The round's polynomial is read: a fixed number of coefficients, so its degree is bounded by its length.
2. The missing coefficient follows from the claim.
3. A challenge is drawn, and the polynomial's value there is the next claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from verifiable.errors import ProofError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Ext, ext_mul, ext_sub
from verifiable.zk.sumcheck.reader import Reader

Public: TypeAlias = Callable[[list[Ext]], Ext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """What a sum-check leaves to be shown: the summand's value at ``point`` is ``value``."""

    point: list[Ext]
    value: Ext


def verify_rounds(reader: Reader, label: str, claim: Ext, rounds: int, degree: int = 2) -> Reduced:
    """Reduce "the sum over {0,1}^rounds is ``claim``" for a summand of at most ``degree`` in each variable.

    A message holds the coefficients c_0, c_2, ..., c_degree; c_1 is claim - 2 c_0 - c_2 - ... The caller must check
    ``Reduced.value`` against the summand: nothing is rejected here, only carried on.
    """
    point: list[Ext] = []
    for _ in range(rounds):
        constant, *higher = reader.scalars(f"{label} round", degree)
        linear = ext_sub(ext_sub(ext_sub(claim, constant), constant), field.ext_sum(higher))
        challenge = reader.transcript.challenge(f"{label} challenge")
        claim = field.horner([constant, linear, *higher], challenge)
        point.append(challenge)
    return Reduced(point=point, value=claim)


def verify_weighted_rounds(reader: Reader, label: str, claim: Ext, weights: Sequence[Ext], degree: int = 2) -> Reduced:
    """Reduce "the sum over x of eq(weights, x) g(x) is ``claim``" to a claim on g itself; ``degree`` is g's.

    The factor eq is divided out (Gruen, ePrint 2024/108): the running claim is (1 - w) h(0) + w h(1) for the round's own weight w
    and a polynomial h of g's degree, with no factor from earlier rounds. A message holds the coefficients h_1, ..., h_degree; h_0
    is claim - w (h_1 + ... + h_degree), so nothing is ever divided.
    """
    point: list[Ext] = []
    for weight in weights:
        higher = reader.scalars(f"{label} round", degree)
        constant = ext_sub(claim, ext_mul(weight, field.ext_sum(higher)))
        challenge = reader.transcript.challenge(f"{label} challenge")
        claim = field.horner([constant, *higher], challenge)
        point.append(challenge)
    return Reduced(point=point, value=claim)


def verify_product(
    reader: Reader, label: str, claim: Ext, rounds: int, weights: Sequence[Ext] = ()
) -> tuple[list[Ext], Ext, Ext]:
    """Reduce "the sum over x of eq(weights, x_first) a(x) b(x) is ``claim``" to one claim on each of the multilinear a and b.

    ``weights`` belong to the first ``len(weights)`` of the ``rounds`` variables. Returns (point, a's value, b's value).
    Raises ProofError if the two values do not multiply to what the rounds ended in.
    """
    first = verify_weighted_rounds(reader, label, claim, weights)
    second = verify_rounds(reader, label, first.value, rounds - len(weights))
    left, right = reader.scalars(f"{label} values", 2)
    check_equal(ext_mul(left, right), second.value, f"{label}: the product of the two final evaluations")
    return first.point + second.point, left, right


def verify_against(reader: Reader, label: str, claim: Ext, rounds: int, public: Public) -> tuple[list[Ext], Ext]:
    """Reduce "the sum over x of a(x) b(x) is ``claim``" for a public b: returns (point, a's value).

    Raises ProofError if a's value times ``public(point)`` is not what the rounds ended in.
    """
    reduced = verify_rounds(reader, label, claim, rounds)
    value = reader.scalar(f"{label} value")
    check_equal(ext_mul(value, public(reduced.point)), reduced.value, f"{label}: the final evaluation")
    return reduced.point, value


def check_equal(found: Ext, due: Ext, what: str) -> None:
    """Raise ProofError, naming ``what``, unless the two are equal."""
    if found != due:
        raise ProofError(f"{what} is not what the sum-check requires")
