# SPDX-License-Identifier: Apache-2.0
"""What we export to Sigstore, judged by Sigstore's own verifier (npm), and refused by it when forged."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.log import FakeLog, settle, settle_bundle
from tests.fakes.receipts import attacker_key, honest, node_key
from verifiable.encoding.json import canonical
from verifiable.errors import MalformedError, SignatureError
from verifiable.keys.public import public_key_pem
from verifiable.ledger.note import NoteKey
from verifiable.ledger.sigstore import Bundle, log_id, trusted_root

RUN, OTHER = honest(), honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
LOG = FakeLog()
BUNDLE = settle(RUN.receipt, LOG).bundle
ROOT = trusted_root([LOG.signer.key])

Judge = Callable[..., str]


@pytest.fixture(scope="session")
def packages(checkout: Path) -> Path:
    """Sigstore's packages, as the lock file pins them, kept between runs."""
    npm, source = shutil.which("npm"), checkout / "tests" / "ledger" / "sigstore_js"
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine: Sigstore's own verifier cannot be run")
    lock = (source / "package-lock.json").read_bytes()
    folder = checkout / ".cache" / f"sigstore-js-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "node_modules" / ".complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stderr
        (folder / "node_modules" / ".complete").touch()
    return folder


@pytest.fixture
def judge(packages: Path, checkout: Path, tmp_path: Path) -> Judge:
    """What Sigstore's verifier says of a bundle, by a trusted root and the signer's key."""

    def run(bundle: bytes, root: bytes = ROOT, key: bytes | None = None) -> str:
        files = [tmp_path / name for name in ("bundle.json", "trusted_root.json", "key.pem")]
        pem = public_key_pem(node_key().public_key if key is None else key)
        for path, data in zip(files, (bundle, root, pem.encode()), strict=True):
            path.write_bytes(data)
        script = shutil.copy(checkout / "tests" / "ledger" / "sigstore_js" / "verify.js", packages / "verify.js")
        command = [shutil.which("node") or "node", script, *map(str, files)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert result.stderr == ""
        assert (result.returncode == 0) == (result.stdout.strip() == "verified")
        return result.stdout.strip()

    return run


def test_sigstore_accepts_a_settled_receipt(judge: Judge) -> None:
    assert judge(BUNDLE.encode()) == "verified"


def test_sigstore_accepts_a_settled_statement(judge: Judge) -> None:
    log = FakeLog()
    signed = Bundle.sign(b'{"_type":"https://in-toto.io/Statement/v1"}', node_key())
    assert judge(settle_bundle(signed, node_key().public_key, log), trusted_root([log.signer.key])) == "verified"


def _forged(name: str) -> Bundle:
    (place,) = BUNDLE.log_entries
    unsigned = place.checkpoint.note
    alien = FakeLog()
    (elsewhere,) = settle(RUN.receipt, alien).log_entries
    return {
        "in no log": replace(BUNDLE, log_entries=()),
        "another payload": replace(BUNDLE, payload=OTHER.receipt.bundle.payload),
        "the entry of another": replace(BUNDLE, log_entries=settle(OTHER.receipt, LOG).log_entries),
        "another place": replace(BUNDLE, log_entries=(replace(place, index=2),)),
        "a forged hash": replace(BUNDLE, log_entries=(replace(place, hashes=(bytes(32), *place.hashes[1:])),)),
        "another log of the name": replace(BUNDLE, log_entries=(elsewhere,)),
        "another log said to be this": replace(BUNDLE, log_entries=(replace(elsewhere, log_id=place.log_id),)),
        "not signed by the log": replace(
            BUNDLE,
            log_entries=(
                replace(place, checkpoint=replace(place.checkpoint, note=replace(unsigned, signatures=unsigned.signatures[1:]))),
            ),
        ),
    }[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("in no log", "TLOG_ERROR"),
        ("another payload", "TLOG_BODY_ERROR"),
        ("the entry of another", "TLOG_BODY_ERROR"),
        ("another place", "TLOG_INCLUSION_PROOF_ERROR"),
        ("a forged hash", "TLOG_INCLUSION_PROOF_ERROR"),
        ("another log of the name", "TLOG_INCLUSION_PROOF_ERROR"),
        ("another log said to be this", "TLOG_INCLUSION_PROOF_ERROR"),
        ("not signed by the log", "TLOG_INCLUSION_PROOF_ERROR"),
    ],
)
def test_sigstore_refuses_a_forged_one(judge: Judge, name: str, code: str) -> None:
    assert judge(_forged(name).encode()).startswith(f"{code}: ")


def test_sigstore_refuses_another_key_and_another_root(judge: Judge) -> None:
    assert judge(BUNDLE.encode(), key=attacker_key().public_key).startswith("SIGNATURE_ERROR")
    assert judge(BUNDLE.encode(), trusted_root([FakeLog().signer.key])).startswith("TLOG_INCLUSION_PROOF_ERROR")
    assert judge(BUNDLE.encode(), trusted_root([])).startswith("TLOG_INCLUSION_PROOF_ERROR")


def test_the_log_is_named_by_the_whole_of_its_key_id() -> None:
    key = LOG.signer.key
    assert log_id(key)[:4] == key.key_id
    (log,) = json.loads(ROOT)["tlogs"]
    assert log["logId"] == log["checkpointKeyId"] == {"keyId": base64.b64encode(log_id(key)).decode()}
    assert log["baseUrl"] == key.name


def test_only_a_logs_plain_key_is_in_a_trusted_root() -> None:
    cosigners: list[NoteKey] = [each.key for each in LOG.cosigners]
    for key in cosigners:
        with pytest.raises(MalformedError, match="not an Ed25519 key of a log"):
            trusted_root([key])


def test_a_bundle_reads_back() -> None:
    assert Bundle.parse(BUNDLE.encode()) == BUNDLE
    BUNDLE.verify(node_key().public_key)


def test_a_bundle_is_by_the_key_that_it_names() -> None:
    with pytest.raises(SignatureError, match="another key"):
        BUNDLE.verify(attacker_key().public_key)
    for field in ("keyid", "key_hint"):
        with pytest.raises(SignatureError, match="another key"):
            replace(BUNDLE, **{field: attacker_key().fingerprint}).verify(node_key().public_key)
    with pytest.raises(SignatureError):
        replace(BUNDLE, payload=b"{}").verify(node_key().public_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json"),
        lambda d: d.update(messageSignature={}),
        lambda d: d["verificationMaterial"].update(certificate={}),
        lambda d: d["verificationMaterial"].update(timestampVerificationData={}),
        lambda d: d["dsseEnvelope"].update(payloadType="text/plain"),
        lambda d: d["dsseEnvelope"].update(signatures=[]),
        lambda d: d["dsseEnvelope"].update(signatures=d["dsseEnvelope"]["signatures"] * 2),
    ],
)
def test_nothing_else_is_read(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(BUNDLE.encode())
    change(document)
    with pytest.raises(MalformedError):
        Bundle.parse(canonical(document))
