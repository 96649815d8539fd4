# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what one party found of a receipt, for others who cannot look themselves (docs/formats/settled.md).

One is signed here only on the way out of a verification. It is read by six numbered checks, the same here, in the document and
in the output:

1. parse: verdict and receipt, canonical
2. signature: holds, by a verifier whom the caller or the trust root names; who made the receipt is none for it
3. ledger: settled in a log of the trust root, which and a quorum of whose cosigners signed the checkpoint
4. key: valid at that place, and no key event speaks against it there
5. subject: the leaf of this receipt
6. findings: all that is asked for; nothing that rests on what is insecure
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from verifiable.checklist import Check, Checklist
from verifiable.digest import Digest
from verifiable.encoding.record import format_time
from verifiable.errors import BindingError, PolicyError, TrustError
from verifiable.keys.signer import Signer
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import Verdict
from verifiable.receipt import Receipt
from verifiable.trust import TrustedKey, TrustRoot
from verifiable.verify import arguments
from verifiable.verify.keys import KeyHistory, signatory
from verifiable.verify.ledger import Finding, settled
from verifiable.verify.policy import parse_policy
from verifiable.verify.verified import STANDS_ALONE, Settled, Signatory, Verified
from verifiable.verify.verifier import Verifier

CHECKS = ("parse", "signature", "ledger", "key", "subject", "findings")
#: What a verdict says of itself where a development setup, or TEE evidence that is simulated or of debug mode, was let count.
INSECURE_SETUP, INSECURE_TEE = "VERIFIABLE_INSECURE_SETUP", "VERIFIABLE_INSECURE_TEE"
_PREFIX, _INSECURE = "VERIFIABLE_", "VERIFIABLE_INSECURE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A signed verdict that no log holds yet, and the verification that it reports."""

    verdict: Verdict
    bundle: Bundle
    verified: Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedVerdict:
    """A verdict that holds: who found it, where it is settled. Its ``created_on`` and ``verifier`` are its signer's word."""

    verdict: Verdict
    signer: Signatory
    settled: tuple[Settled, ...]
    checks: tuple[Check, ...]


def issue(
    verifier: Verifier, receipt: bytes, signer: Signer, *, now: datetime, name: str | None = None, policy: bytes | None = None,
    **options: Any,
) -> Issued:  # fmt: skip
    """Verify ``receipt`` and sign what was found about its leaf; nothing is signed of one that does not hold.

    ``name``: the verifier's URI, by default one made of the key's fingerprint; ``policy``: the policy's file, whose digest the
    verdict names; ``options``: the others of :meth:`.Verifier.verify`. Raises what that raises, PolicyError for a receipt by
    ``signer`` itself, MalformedError for a ``name`` that is no URI, and what signing raises.
    """
    rules = None if policy is None else parse_policy(policy)
    verified = verifier.verify(receipt, now=now, policy=rules, **options)
    judged = Receipt.parse(receipt)
    _require_another(signer.public_key, judged)
    verdict = Verdict.about(
        judged.entry,
        verifier=name or f"urn:verifiable:verifier:{signer.fingerprint}",
        properties=properties(verified),
        created_on=verified.now,
        policies=() if policy is None else (Digest.of(policy),),
    )
    return Issued(verdict=verdict, bundle=Bundle.sign(verdict.encode(), signer), verified=verified)


def properties(verified: Verified) -> tuple[str, ...]:
    """What was found, as a verdict says it: each check that passed, each kind of evidence, and what it rests on insecurely."""
    found = [check.name for check in verified.checks if check.status == "pass"]
    found += [f"evidence_{kind}" for kind in dict.fromkeys(verified.evidence)]
    insecure = {
        INSECURE_SETUP: verified.setup is not None and verified.setup.insecure,
        INSECURE_TEE: any(each.counts and each.insecure for each in verified.attested),
    }
    return (*(_PREFIX + name.upper() for name in found), *(name for name, is_so in insecure.items() if is_so))


def read(
    verdict: bytes,
    receipt: bytes,
    trust: TrustRoot,
    *,
    now: datetime,
    verifiers: Sequence[bytes] = (),
    key_events: Sequence[bytes] = (),
    required: Iterable[str] = (),
    allow_dev_srs: bool = False,
    allow_simulated_tee: bool = False,
) -> VerifiedVerdict:
    """What the settled ``verdict`` establishes of ``receipt`` at ``now`` (aware). Whatever fails raises an Error with ``checks``.

    ``verifiers``: DER keys that are believed besides those of the trust root; ``key_events``: as for :meth:`.Verifier.verify`;
    ``required``: properties that it must have, by default one evidence that stands by itself; ``allow_dev_srs``,
    ``allow_simulated_tee``: accept one that rests on a setup whose maker could forge, on TEE evidence that is simulated or of
    debug mode.

    Raises MalformedError, TrustError (nobody named its signer; not settled where you trust), SignatureError, PolicyError,
    StaleError, BindingError (about something else), and what :func:`verifiable.verify.ledger.settled` raises.
    """
    steps = Checklist(CHECKS)
    with steps.step(1) as step:
        now = arguments.aware(now)
        arguments.wanted("trust", trust, TrustRoot, hint="TrustRoot.parse(data)")
        for name, data in (("verdict", verdict), ("receipt", receipt)):
            arguments.wanted(name, data, bytes, hint="read the file: Path(...).read_bytes()")
        bundle, judged = Bundle.parse(verdict), Receipt.parse(receipt)
        said = Verdict.parse(bundle.payload)
        step.note(f"of {format_time(said.created_on)} by its signer's clock, who goes by {said.verifier}")
    with steps.step(2) as step:
        named = (*(TrustedKey(name="named by the caller", public_key=key) for key in verifiers), *trust.verifiers)
        key = next((each.public_key for each in named if each.digest == bundle.key_hint), None)
        if key is None:
            raise TrustError(
                f"the verdict is by {bundle.key_hint}, which is no verifier that you trust",
                hint="name its key: --verifier FILE, or [[verifiers]] in the trust root",
            )
        bundle.verify(key)
        _require_another(key, judged)
        step.note(f"intact under key {bundle.key_hint}")
    with steps.step(3) as step:
        places = settled(bundle.entry(key), bundle.log_entries, trust.logs, now=now)
        if not places:
            raise TrustError(
                "the verdict is settled in no log that you trust",
                hint="`verifiable log append` settles it; name the log in the trust root: [[logs]]",
            )
        Finding(places=places).report(step, claimed=len(places), logs=len(trust.logs))
    with steps.step(4) as step:
        history = KeyHistory.read(key_events, trust, now=now)
        whose = signatory(key, replace(trust, keys=named), history, places, now=now)
        step.note(f"of {whose!r}")
    with steps.step(5) as step:
        leaf = Digest.of(judged.entry.encode())
        if said.entry != leaf:
            raise BindingError(f"the verdict is about entry {said.entry}, the receipt's is {leaf}")
        step.note(f"the receipt's entry, {leaf}")
    with steps.step(6) as step:
        allowed = {INSECURE_SETUP: allow_dev_srs, INSECURE_TEE: allow_simulated_tee}
        _judge(said.properties, tuple(required), {name for name, is_so in allowed.items() if is_so})
        step.note(", ".join(said.properties))
    signer = Signatory(fingerprint=bundle.key_hint, name=whose)
    return VerifiedVerdict(verdict=said, signer=signer, settled=places, checks=steps.checks)


def _require_another(key: bytes, receipt: Receipt) -> None:
    if key == receipt.claim.public_key:
        raise PolicyError(
            "the receipt is signed with this very key: nobody gives a verdict on a receipt of their own",
            hint="verify and sign with the key of somebody else",
        )


def _judge(found: tuple[str, ...], required: tuple[str, ...], allowed: set[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise PolicyError(f"the verdict does not say {', '.join(missing)}; it says {', '.join(found)}")
    if not required and not {f"{_PREFIX}EVIDENCE_{kind.upper()}" for kind in STANDS_ALONE} & set(found):
        raise PolicyError(
            f"the verdict says of no evidence that it stands by itself; it says {', '.join(found)}",
            hint="if that is enough, say what you ask for: --property NAME",
        )
    insecure = [name for name in found if name.startswith(_INSECURE) and name not in allowed]
    if insecure:
        raise PolicyError(
            f"the verdict rests on what is insecure: {', '.join(insecure)}",
            hint="to try things out: --allow-dev-srs for a development setup, --allow-simulated-tee for a simulated TEE",
        )
