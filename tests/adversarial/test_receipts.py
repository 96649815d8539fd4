# SPDX-License-Identifier: Apache-2.0
"""Every tampered receipt is rejected, for the stated reason, at the stated check.

Attacks by the signing node itself (who can sign anything) use its own key; attacks from outside re-sign with a key of the
attacker's, or cannot sign. Each case names the check number and the error that must stop it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.proof_system import ceremony_srs, make_circuit, small_srs
from tests.fakes.receipts import NONCE, NOW, Honest, attacker_key, edit, honest, node_key, resign, rewrite
from verifiable.claim import Claim, ClaimedTensor, EvidenceDescriptor
from verifiable.digest import Digest
from verifiable.encoding import json as canonical_json
from verifiable.encoding.tensor import Tensor
from verifiable.errors import (
    BindingError,
    Error,
    MalformedError,
    PolicyError,
    ProofError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.receipt import EmbeddedCircuit, Evidence, Receipt
from verifiable.trust import Trusted, TrustedKey, TrustRoot, Validity
from verifiable.zk.circuit import VerifierCircuit
from verifiable.zk.srs.ceremonies import CEREMONIES

RUN = honest()
OTHER = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
#: Somebody who judges by the circuit alone, and so lets anybody sign.
ANYONE = replace(RUN.trust, keys=())


def _stopped(run: Honest, data: bytes, check: int, error: type[Error], match: str = "", **options: Any) -> Error:
    with pytest.raises(error, match=match or None) as caught:
        run.verify(data, **options)
    assert type(caught.value) is error
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert [c.number for c in checks] == list(range(1, check + 1))
    assert checks[-1].status == "fail"
    assert all(c.status in {"pass", "skip"} for c in checks[:-1])
    return caught.value


def _with(tensor: ClaimedTensor, change: Callable[[Any], Any], **fields: Any) -> ClaimedTensor:
    assert tensor.value is not None
    made = ClaimedTensor.public(tensor.name, Tensor.from_array(change(tensor.value.array())), scale=tensor.scale)
    return replace(made, **fields)


def _claim(run: Honest = RUN, **fields: Any) -> Claim:
    return replace(run.receipt.claim, **fields)


@dataclass(frozen=True)
class Attack:
    """``receipt`` makes the tampered file; it must be stopped at ``check`` with ``error``."""

    name: str
    receipt: Callable[[], Receipt | bytes]
    check: int
    error: type[Error]
    match: str = ""

    @property
    def data(self) -> bytes:
        made = self.receipt()
        return made if isinstance(made, bytes) else made.encode()


def _payload_tensor(side: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda statement: statement["predicate"][side][0].update(fields)


def _signed_by_node(claim: Claim, receipt: Receipt = RUN.receipt) -> Receipt:
    return resign(receipt, claim, node_key())


def _tree(change: Callable[[dict[str, Any]], Any]) -> Callable[[], bytes]:
    """Change the receipt as JSON, outside of what is signed."""
    return lambda: edit(RUN.data, change)


def _statement(change: Callable[[dict[str, Any]], Any]) -> Callable[[], bytes]:
    """Change the statement as JSON, and let the node sign it."""
    return lambda: rewrite(RUN.data, change)


def _outputs(change: Callable[[Any], Any]) -> Callable[[], Receipt]:
    return lambda: _signed_by_node(_claim(outputs=(_with(Y, change),)))


def _inputs(change: Callable[[Any], Any]) -> Callable[[], Receipt]:
    return lambda: _signed_by_node(_claim(inputs=(_with(X, change),)))


def _no_key() -> bytes:
    """Consistent in all its names, but the key is none."""
    name = Digest.of(b"no key").hex

    def rename(document: dict[str, Any]) -> None:
        document["bundle"]["dsseEnvelope"]["signatures"][0]["keyid"] = name
        document["bundle"]["verificationMaterial"]["publicKey"]["hint"] = name

    key = base64.b64encode(b"no key").decode()
    return rewrite(edit(RUN.data, rename), lambda s: s["predicate"]["node"].update(publicKey=key))


def _swap_proof() -> Receipt:
    descriptor = OTHER.receipt.claim.evidence[0]
    return _signed_by_node(_claim(evidence=(descriptor,)), replace(RUN.receipt, evidence=OTHER.receipt.evidence))


def _add_evidence(claimed: bool, twice: bool = False) -> Receipt:
    extra = RUN.receipt.evidence[0] if twice else Evidence.zk(b"x" * 32, RUN.proved.media_type)
    evidence = (*RUN.receipt.evidence, extra)
    descriptors = tuple(e.descriptor for e in evidence) if claimed else RUN.receipt.claim.evidence
    return _signed_by_node(_claim(evidence=descriptors), replace(RUN.receipt, evidence=evidence))


def _relabel(**fields: Any) -> Receipt:
    """The descriptor in the receipt, not in the claim."""
    (evidence,) = RUN.receipt.evidence
    return replace(RUN.receipt, evidence=(replace(evidence, descriptor=replace(evidence.descriptor, **fields)),))


def _promise(data: bytes, **fields: Any) -> Receipt:
    """A descriptor, in claim and receipt alike, that is not of the evidence beside it."""
    descriptor = replace(EvidenceDescriptor.of(RUN.proved.proof, kind="zk", media_type=RUN.proved.media_type), **fields)
    receipt = replace(RUN.receipt, evidence=(Evidence(descriptor=descriptor, data=data),))
    return _signed_by_node(_claim(evidence=(descriptor,)), receipt)


def _proof(change: Callable[[bytes], bytes]) -> Receipt:
    evidence = Evidence.zk(change(RUN.proved.proof), RUN.proved.media_type)
    return _signed_by_node(_claim(evidence=(evidence.descriptor,)), replace(RUN.receipt, evidence=(evidence,)))


def _embedded(change: Callable[[EmbeddedCircuit], EmbeddedCircuit]) -> Receipt:
    assert RUN.receipt.circuit is not None
    return replace(RUN.receipt, circuit=change(RUN.receipt.circuit))


(X,), (Y,) = RUN.receipt.claim.inputs, RUN.receipt.claim.outputs
OTHER_CIRCUIT = make_circuit(weights=((9, 9, 9), (9, 9, 9)))
HASHED_CIRCUIT = honest(inputs="hashed")


BY_THE_NODE = [
    Attack("output changed", _outputs(lambda a: a + 1), 6, ProofError),
    Attack("output negated", _outputs(np.negative), 6, ProofError),
    Attack("output reordered", _outputs(lambda a: a[:, ::-1]), 6, ProofError),
    Attack("input swapped for another", lambda: _signed_by_node(_claim(inputs=OTHER.receipt.claim.inputs)), 6, ProofError),
    Attack(
        "inputs and outputs of another run",
        lambda: _signed_by_node(_claim(inputs=OTHER.receipt.claim.inputs, outputs=OTHER.receipt.claim.outputs)),
        6,
        ProofError,
    ),
    Attack("proof of another run", _swap_proof, 6, ProofError),
    Attack("proof with a bit flipped", lambda: _proof(lambda p: bytes([p[0] ^ 1]) + p[1:]), 6, ProofError),
    Attack("proof with a byte appended", lambda: _proof(lambda p: p + b"\0"), 6, MalformedError),
    Attack("proof truncated", lambda: _proof(lambda p: p[:-1]), 6, MalformedError),
    Attack("proof empty", lambda: _proof(lambda p: b""), 6, MalformedError),
    Attack(
        "circuit swapped for one of the same shapes",
        lambda: _signed_by_node(
            _claim(circuit=OTHER_CIRCUIT.circuit.id), replace(RUN.receipt, circuit=EmbeddedCircuit.of(OTHER_CIRCUIT.verifier))
        ),
        3,
        TrustError,
        "not one that you trust",
    ),
    Attack("model digest changed", lambda: _signed_by_node(_claim(model=Digest.of(b"a better model"))), 3, BindingError, "model"),
    Attack(
        "scale of an output changed", lambda: _signed_by_node(_claim(outputs=(replace(Y, scale=0.5),))), 5, BindingError, "scale"
    ),
    Attack(
        "input renamed", lambda: _signed_by_node(_claim(inputs=(replace(X, name="z"),))), 4, BindingError, "are not the circuit's"
    ),
    Attack(
        "output renamed",
        lambda: _signed_by_node(_claim(outputs=(replace(Y, name="z"),))),
        5,
        BindingError,
        "are not the circuit's",
    ),
    Attack("input left out", lambda: _signed_by_node(_claim(inputs=())), 4, BindingError),
    Attack(
        "output added",
        lambda: _signed_by_node(_claim(outputs=(*RUN.receipt.claim.outputs, replace(Y, name="z")))),
        5,
        BindingError,
    ),
    Attack("input twice", lambda: _signed_by_node(_claim(inputs=RUN.receipt.claim.inputs * 2)), 4, BindingError),
    Attack("input of another shape", _inputs(lambda a: a.reshape(3, 1)), 4, BindingError, r"\[3, 1\]"),
    Attack("input of another dtype", _inputs(lambda a: a.astype(np.float64)), 4, BindingError, "float64"),
    Attack("input beyond the circuit's range", _inputs(lambda a: a * 1e6), 4, MalformedError, "outside the calibrated range"),
    Attack(
        "public input shown as a commitment",
        lambda: _signed_by_node(_claim(inputs=HASHED_CIRCUIT.receipt.claim.inputs)),
        4,
        BindingError,
        "hashed, the circuit as public",
    ),
    Attack(
        "public input hidden",
        lambda: _signed_by_node(_claim(inputs=(replace(X, digest=None, value=None),))),
        4,
        BindingError,
        "private, the circuit as public",
    ),
    Attack(
        "public output hidden",
        lambda: _signed_by_node(_claim(outputs=(replace(Y, digest=None, value=None),))),
        5,
        BindingError,
        "private, the circuit as public",
    ),
    Attack(
        "value is not its digest's",
        _statement(_payload_tensor("inputs", value=base64.b64encode(bytes(12)).decode())),
        1,
        BindingError,
        "digest",
    ),
    Attack("digest is not its value's", _statement(_payload_tensor("inputs", sha256="00" * 32)), 1, BindingError, "digest"),
    Attack("small value withheld", _statement(lambda s: s["predicate"]["inputs"][0].pop("value")), 1, MalformedError, "64 KiB"),
    Attack(
        "commitment beside a digest",
        _statement(_payload_tensor("inputs", commitment="00" * 32)),
        1,
        MalformedError,
        "beside its commitment",
    ),
    Attack(
        "subject of other outputs",
        _statement(lambda s: s["subject"][0]["digest"].update(sha256="00" * 32)),
        1,
        BindingError,
        "subject",
    ),
    Attack(
        "subject under another name", _statement(lambda s: s["subject"][0].update(name="diagnosis")), 1, BindingError, "subject"
    ),
    Attack(
        "second subject",
        _statement(lambda s: s["subject"].append({"name": "z", "digest": {"sha256": "00" * 32}})),
        1,
        BindingError,
        "subject",
    ),
    Attack(
        "unknown field in the claim",
        _statement(lambda s: s["predicate"].update(approved=True)),
        1,
        MalformedError,
        "unknown field",
    ),
    Attack(
        "another predicate type", _statement(lambda s: s.update(predicateType="urn:other")), 1, MalformedError, "predicateType"
    ),
    Attack(
        "extra evidence, not in the claim", lambda: _add_evidence(claimed=False), 6, BindingError, "not what the claim describes"
    ),
    Attack("extra evidence that does not hold", lambda: _add_evidence(claimed=True), 6, ProofError),
    Attack("the same evidence twice", lambda: _add_evidence(claimed=True, twice=True), 6, BindingError, "twice"),
    Attack("evidence left out", lambda: replace(RUN.receipt, evidence=()), 6, BindingError),
    Attack(
        "evidence by descriptor alone",
        lambda: replace(RUN.receipt, evidence=(replace(RUN.receipt.evidence[0], data=None),)),
        6,
        TrustError,
        "not in the receipt",
    ),
    Attack(
        "no evidence at all",
        lambda: _signed_by_node(_claim(evidence=()), replace(RUN.receipt, evidence=())),
        9,
        PolicyError,
        "signer's word",
    ),
    Attack(
        "proof under another media type",
        lambda: _promise(RUN.proved.proof, media_type="application/vnd.verifiable.ezkl.proof.v1"),
        6,
        BindingError,
        "a proof by fake is",
    ),
    Attack("descriptor of another size", lambda: _promise(RUN.proved.proof, size=31), 6, BindingError),
    Attack("descriptor of another digest", lambda: _promise(RUN.proved.proof, digest=Digest.of(b"")), 6, BindingError),
    Attack("data that is not the descriptor's", lambda: _promise(bytes(32)), 6, BindingError),
    Attack("started after it finished", lambda: _signed_by_node(_claim(started_on=NOW)), 8, BindingError, "before it started"),
    Attack(
        "finished in the future",
        lambda: _signed_by_node(_claim(finished_on=NOW + timedelta(hours=1))),
        8,
        StaleError,
        "not come yet",
    ),
]

FROM_OUTSIDE = [
    Attack(
        "output changed, not signed again",
        lambda: replace(RUN.receipt, claim=_claim(outputs=(_with(Y, lambda a: a + 1),))),
        2,
        SignatureError,
    ),
    Attack("signed by a stranger", lambda: resign(RUN.receipt, _claim()), 2, SignatureError, "not in the trust root"),
    Attack(
        "a stranger's signature under the node's name",
        lambda: replace(RUN.receipt, signature=attacker_key().sign(RUN.receipt.signed_bytes)),
        2,
        SignatureError,
        "does not hold",
    ),
    Attack(
        "the stranger's key in the claim, the node's keyid",
        lambda: replace(resign(RUN.receipt, _claim()), keyid=node_key().fingerprint),
        2,
        SignatureError,
        "another key",
    ),
    Attack(
        "keyid of another key", lambda: replace(RUN.receipt, keyid=attacker_key().fingerprint), 2, SignatureError, "another key"
    ),
    Attack(
        "hint of another key", lambda: replace(RUN.receipt, key_hint=attacker_key().fingerprint), 2, SignatureError, "another key"
    ),
    Attack(
        "another key in the claim",
        lambda: replace(RUN.receipt, claim=_claim(public_key=attacker_key().public_key)),
        2,
        SignatureError,
    ),
    Attack(
        "signature of another receipt",
        lambda: replace(RUN.receipt, signature=OTHER.receipt.signature),
        2,
        SignatureError,
        "does not hold",
    ),
    Attack("signature empty", lambda: replace(RUN.receipt, signature=b""), 2, SignatureError),
    Attack(
        "signature over the payload without its type",
        lambda: replace(RUN.receipt, signature=node_key().sign(RUN.receipt.claim.encode())),
        2,
        SignatureError,
    ),
    Attack("key that is none", _no_key, 2, MalformedError, "public key"),
    Attack(
        "payload type changed",
        _tree(lambda d: d["bundle"]["dsseEnvelope"].update(payloadType="application/json")),
        1,
        MalformedError,
        "payloadType",
    ),
    Attack(
        "two signatures",
        _tree(lambda d: d["bundle"]["dsseEnvelope"].update(signatures=d["bundle"]["dsseEnvelope"]["signatures"] * 2)),
        1,
        MalformedError,
        "signatures",
    ),
    Attack("no signature", _tree(lambda d: d["bundle"]["dsseEnvelope"].update(signatures=[])), 1, MalformedError, "signatures"),
    Attack(
        "certificate instead of a key",
        _tree(lambda d: d["bundle"]["verificationMaterial"].update(certificate={"rawBytes": ""})),
        1,
        MalformedError,
        "unknown field",
    ),
    Attack(
        "claims to be settled",
        _tree(lambda d: d["bundle"]["verificationMaterial"].update(tlogEntries=[{"logIndex": "1"}])),
        1,
        MalformedError,
        "tlogEntries",
    ),
    Attack(
        "verifying key replaced",
        lambda: _embedded(lambda c: replace(c, parts={**c.parts, "verifying-key": b"mine"})),
        3,
        BindingError,
        "'verifying-key'",
    ),
    Attack(
        "setup replaced",
        lambda: _embedded(lambda c: replace(c, parts={**c.parts, "srs": small_srs(5)})),
        3,
        BindingError,
        "'srs'",
    ),
    Attack("part left out", lambda: _embedded(lambda c: replace(c, parts={"srs": c.parts["srs"]})), 3, BindingError, "missing"),
    Attack(
        "part added",
        lambda: _embedded(lambda c: replace(c, parts={**c.parts, "../../etc/passwd": b""})),
        3,
        BindingError,
        "not named",
    ),
    Attack(
        "another circuit embedded",
        lambda: _embedded(lambda c: EmbeddedCircuit.of(OTHER_CIRCUIT.verifier)),
        3,
        BindingError,
        "not the one that the claim names",
    ),
    Attack(
        "circuit.json edited",
        lambda: _embedded(lambda c: replace(c, circuit=c.circuit.replace(b'"scale":0.5', b'"scale":0.7'))),
        3,
        BindingError,
    ),
    Attack("circuit left out", lambda: replace(RUN.receipt, circuit=None), 3, TrustError, "does not carry"),
    Attack("evidence relabelled", lambda: _relabel(kind="tee"), 6, BindingError),
    Attack("media type relabelled", lambda: _relabel(media_type="text/plain"), 6, BindingError),
    Attack("evidence kind unknown", _tree(lambda d: d["evidence"][0].update(kind="hearsay")), 1, MalformedError, "hearsay"),
    Attack(
        "duplicate key",
        lambda: RUN.data.replace(b'"mediaType":', b'"mediaType":"x","mediaType":', 1),
        1,
        MalformedError,
        "duplicate",
    ),
    Attack(
        "duplicate key with the same value",
        lambda: RUN.data.replace(b'"kind":"zk"', b'"kind":"zk","kind":"zk"'),
        1,
        MalformedError,
        "duplicate",
    ),
    Attack("re-formatted", lambda: json.dumps(RUN.document, indent=2).encode(), 1, MalformedError, "canonical"),
    Attack(
        "keys in another order",
        lambda: json.dumps(dict(reversed(RUN.document.items())), separators=(",", ":")).encode(),
        1,
        MalformedError,
        "canonical",
    ),
    Attack("newline at the end", lambda: RUN.data + b"\n", 1, MalformedError, "canonical"),
    Attack("escaped letter", lambda: RUN.data.replace(b'"zk"', b'"\\u007ak"', 1), 1, MalformedError, "canonical"),
    Attack("1.0 for 1", lambda: RUN.data.replace(b'"size":32', b'"size":32.0'), 1, MalformedError),
    Attack("base64 without padding", lambda: _respell(lambda t: t.rstrip("=")), 1, MalformedError, "base64"),
    Attack("base64 with other padding bits", lambda: _respell(_other_padding), 1, MalformedError, "canonical base64"),
    Attack("base64url", lambda: _respell(lambda t: t[:-4] + "_-__"), 1, MalformedError, "base64"),
    Attack("base64 with a line break", lambda: _respell(lambda t: t[:8] + "\n" + t[8:]), 1, MalformedError, "base64"),
    Attack(
        "upper-case hex",
        _tree(lambda d: d["evidence"][0].update(sha256=d["evidence"][0]["sha256"].upper())),
        1,
        MalformedError,
        "lower-case",
    ),
    Attack("truncated", lambda: RUN.data[:-1], 1, MalformedError),
    Attack("empty", lambda: b"", 1, MalformedError),
    Attack("NaN", lambda: b'{"mediaType":NaN}', 1, MalformedError, "NaN"),
    Attack("deep nesting", lambda: b"[" * 100_000, 1, MalformedError, "nested"),
    Attack("a million lists", lambda: b"[" * 1_000_000, 1, MalformedError, "too many values"),
    Attack("a number of a million digits", lambda: b'{"a":' + b"9" * 1_000_000 + b"}", 1, MalformedError, "beyond"),
    Attack("lone surrogate", lambda: b'{"a":"\\ud800"}', 1, MalformedError),
]


def _respell(change: Callable[[str], str]) -> bytes:
    return edit(RUN.data, lambda d: d["evidence"][0].update(data=change(d["evidence"][0]["data"])))


def _other_padding(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text.rstrip("=")[-1]
    other = alphabet[alphabet.index(last) ^ 1]
    respelled = text.rstrip("=")[:-1] + other + "=" * text.count("=")
    assert base64.b64decode(respelled) == base64.b64decode(text)
    return respelled


@pytest.mark.parametrize("attack", BY_THE_NODE + FROM_OUTSIDE, ids=lambda attack: attack.name)
def test_a_tampered_receipt_is_stopped(attack: Attack) -> None:
    assert attack.data != RUN.data
    _stopped(RUN, attack.data, attack.check, attack.error, attack.match)


def test_the_honest_receipt_is_not() -> None:
    assert RUN.verify(nonce=NONCE).evidence == ("zk",)


@pytest.mark.parametrize("attack", [a for a in BY_THE_NODE if a.check > 2], ids=lambda attack: attack.name)
def test_a_stranger_gets_no_further_where_anybody_may_sign(attack: Attack) -> None:
    made = attack.receipt()
    receipt = Receipt.parse(made) if isinstance(made, bytes) else made
    _stopped(RUN, resign(receipt, receipt.claim).encode(), attack.check, attack.error, attack.match, trust=ANYONE)


def test_an_old_receipt_does_not_answer_a_new_challenge() -> None:
    _stopped(RUN, RUN.data, 8, BindingError, "another challenge", nonce=b"a new challenge")
    _stopped(RUN, honest(nonce=None).data, 8, BindingError, "no nonce", nonce=NONCE)


def test_a_nonce_cannot_be_put_in_by_somebody_else() -> None:
    fresh = b"a new challenge"
    _stopped(RUN, replace(RUN.receipt, claim=_claim(nonce=fresh)).encode(), 2, SignatureError, nonce=fresh)


@pytest.mark.parametrize("validity", [Validity(until=NOW), Validity(since=NOW + timedelta(seconds=1))])
def test_a_key_outside_its_time(validity: Validity) -> None:
    key = TrustedKey(name="the node", public_key=node_key().public_key, validity=validity)
    _stopped(RUN, RUN.data, 2, StaleError, "not valid at", trust=replace(RUN.trust, keys=(key,)))


def test_a_trusted_circuit_does_not_lend_its_trust_to_a_key() -> None:
    _stopped(RUN, resign(RUN.receipt, _claim()).encode(), 2, SignatureError, "not in the trust root")


# hidden values


def _signed(run: Honest, **fields: Any) -> bytes:
    return resign(run.receipt, _claim(run, **fields), node_key()).encode()


def test_a_hashed_input_is_not_downgraded_to_a_public_one() -> None:
    run = honest(inputs="hashed")
    _stopped(run, _signed(run, inputs=RUN.receipt.claim.inputs), 4, BindingError, "public, the circuit as hashed")


def test_a_plain_digest_is_not_a_commitment() -> None:
    run = honest(inputs="hashed")
    (x,) = run.receipt.claim.inputs
    digest = run.inputs["x"].digest.value
    _stopped(run, _signed(run, inputs=(replace(x, commitment=digest),)), 6, ProofError)
    _stopped(run, _signed(run, inputs=(replace(x, commitment=digest),)), 4, BindingError, "committed", inputs=run.inputs)


def test_a_commitment_to_another_value() -> None:
    run, other = honest(inputs="hashed"), honest(x=[[4.0, 5.0, 6.0]], inputs="hashed")
    data = _signed(run, inputs=other.receipt.claim.inputs)
    _stopped(run, data, 6, ProofError)
    _stopped(run, data, 4, BindingError, "committed", inputs=run.inputs)


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_a_hashed_value_cannot_be_made_private(kind: str) -> None:
    run = honest(**{kind: "hashed"})
    (tensor,) = getattr(run.receipt.claim, kind)
    check = 4 if kind == "inputs" else 5
    _stopped(
        run, _signed(run, **{kind: (replace(tensor, commitment=None),)}), check, BindingError, "private, the circuit as hashed"
    )


def test_a_value_claimed_for_a_private_input_is_not_believed() -> None:
    run = honest(inputs="private")
    _stopped(run, _signed(run, inputs=RUN.receipt.claim.inputs), 4, BindingError, "public, the circuit as private")


def test_a_commitment_to_an_output_is_not_another_outputs() -> None:
    run, other = honest(outputs="hashed"), honest(x=[[4.0, 5.0, 6.0]], outputs="hashed")
    _stopped(run, _signed(run, outputs=other.receipt.claim.outputs), 6, ProofError)


@pytest.mark.parametrize("role", ["verifying-key", "srs", "program", "proving key"])
def test_a_file_of_the_circuit_under_another_media_type(role: str) -> None:
    """A second circuit id for the same files, told apart by nothing that is proved."""
    circuit = RUN.circuit.circuit
    if role == "program":
        circuit = replace(circuit, program=replace(circuit.program, media_type="text/html"))
    elif role == "proving key":
        circuit = replace(circuit, proving_key=replace(circuit.program, media_type="text/html"))
    else:
        circuit = replace(circuit, parts={**circuit.parts, role: replace(circuit.parts[role], media_type="text/html")})
    embedded = EmbeddedCircuit.of(VerifierCircuit(circuit=circuit, parts=RUN.circuit.verifier.parts))
    receipt = resign(replace(RUN.receipt, circuit=embedded), _claim(circuit=circuit.id), node_key())
    trust = replace(RUN.trust, circuits=(Trusted(name="c", digest=circuit.id),))
    _stopped(RUN, receipt.encode(), 3, BindingError, "'text/html'", trust=trust)


# setups: whoever knows the secret forges


def _with_setup(srs: bytes, ceremony: str, **lies: Any) -> tuple[Honest, TrustRoot]:
    """A run over this setup, whose ``circuit.json`` says ``ceremony`` and tells ``lies``; pinned by a trusting verifier."""
    run = honest(srs=srs, ceremony=ceremony)
    assert run.circuit.circuit.setup is not None
    circuit = replace(run.circuit.circuit, setup=replace(run.circuit.circuit.setup, **lies))
    embedded = EmbeddedCircuit.of(VerifierCircuit(circuit=circuit, parts=run.circuit.verifier.parts))
    receipt = resign(replace(run.receipt, circuit=embedded), _claim(run, circuit=circuit.id), node_key())
    return replace(run, receipt=receipt), TrustRoot.pin(circuit.id)


REAL = CEREMONIES[0]


@pytest.mark.parametrize("allow_dev_srs", [False, True])
def test_a_development_setup_under_a_ceremonys_name(allow_dev_srs: bool) -> None:
    run, trust = _with_setup(small_srs(7), REAL.name)
    _stopped(run, run.data, 3, BindingError, "none of the known ceremonies", trust=trust, allow_dev_srs=allow_dev_srs)


@pytest.mark.parametrize("allow_dev_srs", [False, True])
def test_a_development_setup_with_a_ceremonys_fingerprint(allow_dev_srs: bool) -> None:
    run, trust = _with_setup(small_srs(7), REAL.name, fingerprint=REAL.fingerprint)
    _stopped(run, run.data, 3, BindingError, "not the one that circuit.json names", trust=trust, allow_dev_srs=allow_dev_srs)


def test_a_ceremonys_powers_with_the_secret_of_somebody_else() -> None:
    """The pairing uses s.G2 alone: a setup that is the ceremony's up to there would verify whatever its maker forges."""
    forged = ceremony_srs(REAL.name)[:-128] + small_srs(7)[-128:]
    run, trust = _with_setup(forged, REAL.name)
    _stopped(run, run.data, 3, BindingError, "none of the known ceremonies", trust=trust)
    run, trust = _with_setup(forged, REAL.name, fingerprint=REAL.fingerprint)
    _stopped(run, run.data, 3, BindingError, "not the one that circuit.json names", trust=trust)


def test_one_ceremony_under_the_name_of_another() -> None:
    run, trust = _with_setup(ceremony_srs(REAL.name), CEREMONIES[1].name)
    _stopped(run, run.data, 3, BindingError, CEREMONIES[1].name, trust=trust)


def test_an_invented_ceremony() -> None:
    run, trust = _with_setup(small_srs(7), "the great ceremony")
    _stopped(run, run.data, 3, BindingError, "great ceremony", trust=trust)


@pytest.mark.parametrize(
    "srs", [b"", b"\1\0\0\0", small_srs(7)[:-1], b"\xff" * 516], ids=["empty", "short", "truncated", "noise"]
)
def test_a_setup_that_is_none(srs: bytes) -> None:
    good = honest()
    parts = {**good.circuit.verifier.parts, "srs": srs}
    circuit = replace(
        good.circuit.circuit,
        parts={**good.circuit.circuit.parts, "srs": type(good.circuit.circuit.program).of(srs, "application/octet-stream")},
    )
    embedded = EmbeddedCircuit.of(VerifierCircuit(circuit=circuit, parts=parts))
    receipt = resign(replace(good.receipt, circuit=embedded), _claim(good, circuit=circuit.id), node_key())
    _stopped(good, receipt.encode(), 3, MalformedError, "SRS", trust=TrustRoot.pin(circuit.id))


@pytest.mark.parametrize("lie", ["no setup", "no part"])
def test_a_circuit_that_hides_its_setup(lie: str) -> None:
    good = honest()
    circuit, parts = good.circuit.circuit, dict(good.circuit.verifier.parts)
    if lie == "no setup":
        circuit = replace(circuit, setup=None)
    else:
        del parts["srs"]
        circuit = replace(circuit, parts={role: part for role, part in circuit.parts.items() if role != "srs"})
    embedded = EmbeddedCircuit.of(VerifierCircuit(circuit=circuit, parts=parts))
    receipt = resign(replace(good.receipt, circuit=embedded), _claim(good, circuit=circuit.id), node_key())
    _stopped(good, receipt.encode(), 3, BindingError, "setup", trust=TrustRoot.pin(circuit.id), allow_dev_srs=True)


def test_a_trusted_fingerprint_does_not_cover_another_setup() -> None:
    run, _ = _with_setup(small_srs(7), "dev-insecure")
    trust = replace(RUN.trust, circuits=(Trusted(name="c", digest=run.receipt.claim.circuit),))
    _stopped(run, run.data, 3, PolicyError, "forge", trust=trust)


# any byte


@cache
def _accepted() -> tuple[bytes, Honest]:
    return RUN.data, RUN


def _flip_everywhere(step: int, start: int = 0) -> int:
    data, run = _accepted()
    tried = 0
    for position in range(start, len(data), step):
        for mask in (0x01, 0x20, 0x80):
            tampered = bytearray(data)
            tampered[position] ^= mask
            with pytest.raises(Error):
                run.verify(bytes(tampered), nonce=NONCE)
            tried += 1
    return tried


def test_a_sample_of_all_bytes_changed() -> None:
    assert _flip_everywhere(step=17, start=3) > 500


@pytest.mark.slow
def test_every_byte_changed() -> None:
    assert _flip_everywhere(step=1) == 3 * len(RUN.data)


def test_every_truncation_of_a_sample() -> None:
    for end in range(0, len(RUN.data), 41):
        with pytest.raises(Error):
            RUN.verify(RUN.data[:end])


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with pytest.raises(Error):
        RUN.verify(data)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12), st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()),
    st.binary(min_size=32, max_size=32).map(bytes.hex), st.just([]), st.just({}),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200, deadline=None)
@given(st.data())
def test_structured_changes_raise_only_errors(data: st.DataObject) -> None:
    """Any node of the receipt or of the signed statement replaced, removed, doubled or moved; re-signed by the node itself."""
    inside = data.draw(st.booleans())

    def change(tree: Any) -> None:
        node = tree
        while True:
            key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 3)) == 0:
                break
            node = node[key]
        action = data.draw(st.sampled_from(["replace", "remove", "double"]))
        if action == "remove":
            del node[key]
        elif action == "double" and isinstance(node, list):
            node.append(node[key])
        else:
            node[key] = data.draw(_VALUES)

    try:
        tampered = rewrite(RUN.data, change) if inside else edit(RUN.data, change)
    except Error:  # no canonical JSON can say this
        return
    # Who made it and for which request is the node's to say; everything else is bound by something.
    try:
        verified = RUN.verify(tampered, nonce=NONCE)
    except Error:
        return
    free = {"node_name": None, "request_id": None, "sources": (), "started_on": NOW, "finished_on": NOW, "evidence": ()}
    assert replace(verified.claim, **free) == replace(RUN.receipt.claim, **free)
    assert verified.inputs[0].stated == RUN.inputs["x"]
    assert verified.outputs[0].integers == RUN.proved.outputs["y"]
    assert canonical_json.canonical(json.loads(tampered)) == tampered
