# SPDX-License-Identifier: Apache-2.0
"""The one error tree; every module raises from it and from nothing else.

::

    Error                     everything raised on purpose; .hint says what to do
      VerificationError       well-formed and false                              exit 1
        SignatureError        a signature does not hold under its key
        ProofError            a proof does not hold for the rebuilt instances
        BindingError          two parts that must agree by digest or value differ
        InclusionError        not in the ledger at the place that was named
        ConsistencyError      two views of one ledger contradict each other
        AttestationError      attestation evidence does not hold
        StaleError            true once, too old (or too early) now
        PolicyError           nothing is false, but what was asked for is not there
      UnsupportedError        a sound request that this version cannot serve     exit 1
      MalformedError          cannot be parsed, too large, not canonical         exit 65
      TrustError              no anchor to judge it by                           exit 66
      NetworkError            a peer is unreachable or misbehaves                exit 69
      FatalStateError         own state unknown or damaged: stop                 exit 70
      ConflictError           the state moved; retry                             exit 75

Three ways to say no, three names: malformed (cannot be read), false (read, and wrong), cannot judge
(nothing to judge it by). Exit codes follow BSD ``sysexits.h`` where it has a fitting one.
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Base of everything this library raises on purpose.

    ``message`` is one line that names the offending thing; ``hint`` is the next step, or empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class VerificationError(Error):
    """Well-formed and false."""


class SignatureError(VerificationError):
    """A signature does not hold under its key."""


class ProofError(VerificationError):
    """A proof does not hold for the instances rebuilt from the claim."""


class BindingError(VerificationError):
    """Two parts that must agree, by digest or by value, do not."""


class InclusionError(VerificationError):
    """Not in the ledger at the place that was named."""


class ConsistencyError(VerificationError):
    """Two views of one ledger contradict each other."""


class AttestationError(VerificationError):
    """Attestation evidence does not hold."""


class StaleError(VerificationError):
    """Was or will be true, but not at the time of judgement."""


class PolicyError(VerificationError):
    """Nothing is false, but what the policy asks for is not there."""


class UnsupportedError(Error):
    """A sound request that this version cannot serve."""


class MalformedError(Error):
    """Cannot be parsed, is too large, or is not in canonical form."""

    exit_code = 65


class TrustError(Error):
    """No anchor to judge it by."""

    exit_code = 66


class NetworkError(Error):
    """A peer is unreachable or misbehaves."""

    exit_code = 69


class FatalStateError(Error):
    """This machine's own state is unknown or damaged: stop."""

    exit_code = 70


class ConflictError(Error):
    """The state moved under us; the same request may succeed when tried again."""

    exit_code = 75
