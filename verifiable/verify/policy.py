# SPDX-License-Identifier: Apache-2.0
"""Policies: what somebody asks of a receipt beyond its being true (docs/formats/trust.md).

Each is a small object with one method. A policy sees only what was established; a check that was skipped has
established nothing, so no policy can be met by it. However a policy is met, something must stand for the values: a proof, a
re-run, hardware, or a signature that was asked for by its key. A policy that could be met otherwise is refused before anything
is judged by it (:func:`require_grounds`), and the verifier asks again afterwards (:func:`judge`), whoever wrote the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from verifiable.digest import Digest
from verifiable.encoding.record import Record, format_time, parse_duration
from verifiable.encoding.toml import read_toml
from verifiable.errors import MalformedError, PolicyError, StaleError, VerificationError
from verifiable.tee.evidence import KINDS
from verifiable.verify.verified import STANDS_ALONE, Verified

_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """How a demand is met: in a few words, and the key whose signature was asked for (None: the demand was not about that)."""

    detail: str
    signer: Digest | None = None


class Policy(Protocol):
    """One demand. Stateless; judges nothing but what it is given."""

    def check(self, verified: Verified) -> Met:
        """How the demand is met. Raises PolicyError or StaleError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedBy:
    """A zero-knowledge proof was verified, for this circuit or (None) for whichever the trust root pins."""

    circuit: Digest | None = None

    def check(self, verified: Verified) -> Met:
        if "zk" not in verified.evidence:
            raise PolicyError("the policy asks for a proof, and the receipt has none", hint="ask the node for a proved receipt")
        if self.circuit is not None and verified.circuit.id != self.circuit:
            raise PolicyError(f"the policy asks for a proof by circuit {self.circuit}, this one is by {verified.circuit.id}")
        return Met(detail="proved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """The run was repeated and compared exactly."""

    def check(self, verified: Verified) -> Met:
        if "rerun" not in verified.evidence:
            raise PolicyError("the policy asks for a re-run, and none was made", hint="give the model: --model FILE")
        return Met(detail="re-run")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedBy:
    """Hardware of this ``kind`` (None: any) vouches for it, as the ``reference`` of this name (None: any of the trust root)
    wants.

    A GPU's evidence alone never counts, simulated evidence only where the caller allowed it.
    """

    kind: str | None = None
    reference: str | None = None

    def check(self, verified: Verified) -> Met:
        wanted = [each for each in verified.attested if self.kind in (None, each.kind)]
        for each in wanted:
            if each.counts and (self.reference is None or each.meets(self.reference)):
                return Met(detail=f"attested by {each.kind}")
        asked = f"the policy asks for {self.kind or 'TEE'} evidence"
        if self.reference is not None:
            asked += f" as {self.reference!r} wants it"
        if not wanted:
            raise PolicyError(f"{asked}, and the receipt has none", hint="ask the node for an attested receipt: prove --attest")
        met = [repr(appraisal.reference.name) for each in wanted for appraisal in each.appraisals]
        reasons = [each.problem for each in wanted if each.problem] or [f"it meets {', '.join(met)} only"]
        raise PolicyError(f"{asked}: {'; '.join(reasons)}", hint=_attested_hint(verified))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """Signed with the key of this fingerprint (SHA-256 of its SubjectPublicKeyInfo)."""

    key: Digest

    def check(self, verified: Verified) -> Met:
        if verified.signer.fingerprint != self.key:
            raise PolicyError(f"the policy asks for a signature by {self.key}, this one is by {verified.signer.fingerprint}")
        return Met(detail=f"signed by {self.key}", signer=self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class FresherThan:
    """Finished less than ``age`` before the time of judgement, by the signing node's own clock. A nonce proves more."""

    age: timedelta

    def check(self, verified: Verified) -> Met:
        finished = verified.claim.finished_on
        if verified.now - finished >= self.age:
            raise StaleError(f"the policy asks for a run in the last {self.age}, this one finished {format_time(finished)}")
        return Met(detail=f"finished in the last {self.age}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """Settled in the log with this origin, or (None) in whichever log of the trust root, cosigned as that asks."""

    origin: str | None = None

    def check(self, verified: Verified) -> Met:
        place = next((each for each in verified.settled if self.origin in (None, each.origin)), None)
        if place is None:
            where = "" if self.origin is None else f" in {self.origin!r}"
            raise PolicyError(
                f"the policy asks for a receipt that is settled{where}",
                hint="settle it: `verifiable log append`; and name the log in the trust root: [[logs]]",
            )
        return Met(detail=f"settled in {place.log!r}")


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of these. An empty list would ask for nothing and is refused."""

    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _refuse_empty(self.policies)

    def check(self, verified: Verified) -> Met:
        met = [_ask(policy, verified) for policy in self.policies]
        signer = next((m.signer for m in met if m.signer is not None), None)
        return Met(detail=", ".join(m.detail for m in met), signer=signer)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these. An empty list could never be met and is refused."""

    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        _refuse_empty(self.policies)

    def check(self, verified: Verified) -> Met:
        reasons = []
        for policy in self.policies:
            try:
                return _ask(policy, verified)
            except VerificationError as error:
                reasons.append(error.message)
        raise PolicyError("the policy is met in none of its ways: " + "; ".join(reasons))


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsAlone:
    """The default: at least one piece of evidence that convinces without the signer's word (a proof, a re-run, hardware)."""

    def check(self, verified: Verified) -> Met:
        kinds = [kind for kind in verified.evidence if kind in STANDS_ALONE]
        if not kinds and (problem := next((each.problem for each in verified.attested), None)):
            raise PolicyError(
                f"nothing in the receipt stands by itself, its TEE evidence included: {problem}", hint=_attested_hint(verified)
            )
        if not kinds:
            raise PolicyError(
                "nothing in the receipt stands by itself: there is only the signer's word",
                hint="run it again (--model FILE), ask for a proved receipt, or say with a policy that the signature is enough",
            )
        return Met(detail=f"evidence that stands by itself: {', '.join(kinds)}")


DEFAULT: Policy = StandsAlone()


_FLAGS: dict[str, Policy] = {"proved": ProvedBy(), "rerun": Rerun(), "attested": AttestedBy(), "logged": LoggedIn()}
#: Demands that say nothing of the values.
_NO_GROUNDS: tuple[tuple[type, tuple[str, ...]], ...] = ((FresherThan, ("fresher-than",)), (LoggedIn, ("logged",)))


def parse_policy(data: bytes) -> Policy:
    """Read a policy's TOML file: one demand, which may be ``all-of`` or ``any-of`` a list of others.

    Raises MalformedError, also for a policy that could be met without anything that stands for the values.
    """
    policy = _policy(Record(read_toml(data, what="policy"), "policy"), _MAX_DEPTH)
    require_grounds(policy)
    return policy


def require_grounds(policy: Policy) -> None:
    """On every way to meet ``policy``, something must stand for the values. Raises MalformedError.

    A caller's own objects cannot be looked into; :func:`judge` holds them to it.
    """
    if not callable(getattr(policy, "check", None)):
        raise MalformedError(f"policy: {type(policy).__name__} is none", hint="parse_policy(data), or ProvedBy(), Rerun(), ...")
    if loose := _groundless(policy):
        raise MalformedError(
            f"policy: one way to meet it asks only for {', '.join(loose)}: nothing would stand for the values",
            hint="add proved, rerun, attested or signed-by, on every way: all-of = [{proved = true}, {...}]",
        )


def judge(policy: Policy, verified: Verified) -> Met:
    """How ``policy`` is met; and whoever wrote it, there is a proof, a re-run, or the signature that it asked for by key.

    Raises what the policy raises, PolicyError where nothing stands for the values.
    """
    met = _ask(policy, verified)
    if verified.signature_only and met.signer != verified.signer.fingerprint:
        raise PolicyError(
            "the policy is met, but nothing stands for the values: no proof, no re-run, no hardware, and it asks for no signer",
            hint="ask for ProvedBy, Rerun, AttestedBy or SignedBy as well",
        )
    return met


def _ask(policy: Policy, verified: Verified) -> Met:
    met = policy.check(verified)
    if not isinstance(met, Met):  # False would otherwise count as met
        raise MalformedError(f"policy: {type(policy).__name__}.check gave {type(met).__name__}, not how it is met (Met)")
    return met


def _groundless(policy: Policy) -> tuple[str, ...]:
    """The demands of a way to meet ``policy`` on which nothing stands for the values; empty when there is no such way."""
    if isinstance(policy, AllOf):
        ways = [_groundless(each) for each in policy.policies]
        return tuple(name for way in ways for name in way) if all(ways) else ()
    if isinstance(policy, AnyOf):
        return next((way for way in map(_groundless, policy.policies) if way), ())
    return next((name for kind, name in _NO_GROUNDS if isinstance(policy, kind)), ())


def _policy(record: Record, depth: int) -> Policy:
    names = record.names()
    if len(names) != 1 or depth == 0:
        raise MalformedError(
            f"{record.where}: expected exactly one demand, found {len(names)}" if depth else f"{record.where}: nested too deeply",
            hint="put several into all-of = [{...}, {...}]",
        )
    name = names[0]
    if name in ("all-of", "any-of"):
        parts = tuple(_policy(each, depth - 1) for each in record.records(name, maximum=64))
        return AllOf(parts) if name == "all-of" else AnyOf(parts)
    return _demand(record, name)


def _demand(record: Record, name: str) -> Policy:
    if name in _FLAGS:
        if not record.boolean(name):
            raise MalformedError(f"{record.where}.{name}: only true is a demand; leave it out instead")
        return _FLAGS[name]
    if name == "proved-by":
        return ProvedBy(circuit=Digest.parse(record.text(name)))
    if name == "signed-by":
        return SignedBy(key=Digest.parse(record.text(name)))
    if name == "attested-by":
        return _attested_by(record.record(name))
    if name == "logged-in":
        return LoggedIn(origin=record.text(name, max_length=255))
    if name == "fresher-than":
        return FresherThan(age=parse_duration(record.text(name, max_length=16), f"{record.where}.{name}"))
    raise MalformedError(
        f"{record.where}: unknown demand {name[:80]!r}",
        hint="known: proved, proved-by, rerun, attested, attested-by, signed-by, fresher-than, logged, logged-in, all-of, any-of",
    )


def _attested_by(record: Record) -> AttestedBy:
    policy = AttestedBy(
        kind=record.choice("kind", KINDS) if record.has("kind") else None,
        reference=record.text("reference", max_length=256) if record.has("reference") else None,
    )
    record.done()
    if policy == AttestedBy():
        raise MalformedError(f"{record.where}: names neither a kind nor a reference", hint="attested = true asks for any")
    return policy


def _attested_hint(verified: Verified) -> str:
    """What whoever asked for hardware can do about evidence that does not count."""
    if any(each.simulated and each.appraisals for each in verified.attested):
        return "to try things out: --allow-simulated-tee"
    if any(each.evidence is None for each in verified.attested):
        return "give what is missing: --collateral FILE, or the root of its vendor in a trust root: [[vendors]]"
    if any("no reference values" in (each.problem or "") for each in verified.attested):
        return "say what the evidence should be: --reference FILE, or [[references]] in a trust root"
    return "ask the node for evidence as the reference values want it; what has aged is judged as of an earlier time by --at TIME"


def _refuse_empty(policies: tuple[Policy, ...]) -> None:
    if not policies:
        raise MalformedError("policy: an empty list asks for nothing", hint="name at least one demand")
