# SPDX-License-Identifier: Apache-2.0
"""Check 3, its second half: may a proof rest on this setup?

Whoever knows the secret behind a structured reference string can prove anything under it, for every circuit. So it is
not enough that ``circuit.json`` names a ceremony: the identity is computed anew from the very bytes that the proof will be
checked with, and must be a known ceremony's or one that the trust root accepts.
"""

from __future__ import annotations

from datetime import datetime

from verifiable.checklist import Step
from verifiable.errors import BindingError, PolicyError, StaleError, TrustError
from verifiable.trust import TrustRoot
from verifiable.verify.verified import AcceptedSetup
from verifiable.zk.circuit import Setup, VerifierCircuit

#: Proof systems that need no setup; every other circuit must name one.
TRANSPARENT = frozenset({"sumcheck"})
_ROLE = "srs"
_FORGE = "whoever made it can forge proofs"


def accept(circuit: VerifierCircuit, trust: TrustRoot, *, now: datetime, allow_dev_srs: bool, step: Step) -> AcceptedSetup | None:
    """The setup, accepted; None for a transparent system.

    Raises BindingError (it is not what the circuit names), PolicyError (a development setup), TrustError (nobody vouches for
    it), StaleError (the trust root's word for it does not cover ``now``).
    """
    from verifiable.zk.srs.ceremonies import ceremony_of
    from verifiable.zk.srs.format import Srs, fingerprint

    setup = circuit.circuit.setup
    if setup is None:
        _check_transparent(circuit.circuit.system)
        step.note("no trusted setup")
        return None
    part = circuit.parts.get(_ROLE)
    if part is None:
        raise BindingError("circuit: it names a setup and has no part 'srs' to check it by")
    if fingerprint(Srs.parse(part)) != setup.fingerprint:
        raise BindingError("circuit: the setup in its part 'srs' is not the one that circuit.json names")
    known = ceremony_of(setup.fingerprint)
    if known is not None or _claims_ceremony(setup):
        return _ceremony(setup, known, step)
    return _vouched(setup, trust, now, step) or _development(setup, allow_dev_srs, step)


def _check_transparent(system: str) -> None:
    if system not in TRANSPARENT:
        raise BindingError(f"circuit: a circuit for {system[:40]!r} must name its setup")


def _claims_ceremony(setup: Setup) -> bool:
    return setup.ceremony not in ("unknown", "dev-insecure")


def _ceremony(setup: Setup, known: str | None, step: Step) -> AcceptedSetup:
    if known != setup.ceremony:
        raise BindingError(
            f"circuit: it says that its setup is {setup.ceremony[:64]!r}, but it is {known or 'none of the known ceremonies'!r}",
            hint=f"a setup under a false name: {_FORGE}",
        )
    step.note(f"setup from the ceremony {known}")
    return AcceptedSetup(fingerprint=setup.fingerprint, name=known)


def _vouched(setup: Setup, trust: TrustRoot, now: datetime, step: Step) -> AcceptedSetup | None:
    entries = [entry for entry in trust.setups if entry.digest == setup.fingerprint]
    if not entries:
        return None
    current = next((entry for entry in entries if entry.validity.holds(now)), None)
    if current is None:
        raise StaleError(f"setup {entries[0].name!r} is in the trust root, but not for this time")
    step.note(f"setup {current.name!r} by the word of the trust root")
    return AcceptedSetup(fingerprint=setup.fingerprint, name=current.name)


def _development(setup: Setup, allow_dev_srs: bool, step: Step) -> AcceptedSetup:
    if allow_dev_srs:
        step.note(f"setup {setup.ceremony} ACCEPTED ON REQUEST: {_FORGE}, so the proof shows nothing to others")
        return AcceptedSetup(fingerprint=setup.fingerprint, name=setup.ceremony, insecure=True)
    if setup.insecure:
        raise PolicyError(
            f"the circuit rests on a development setup: {_FORGE}",
            hint="compile with a ceremony's setup, or for tests only: --allow-dev-srs",
        )
    raise TrustError(
        f"the circuit rests on a setup that nobody vouches for ({setup.fingerprint}): {_FORGE}",
        hint="if you know its ceremony, add the fingerprint to [[setups]] of your trust root",
    )
