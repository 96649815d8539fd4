# SPDX-License-Identifier: Apache-2.0
"""The attestation document as AWS specifies it: docs/attestation_process.md of github.com/aws/aws-nitro-enclaves-nsm-api, §2.2
(fields), §3.1 (COSE) and §3.2.2 (limits).

The Nitro Secure Module writes COSE_Sign1 without its tag, and ``null`` where the caller gave nothing. A tagged one would be a
second spelling of the same evidence, and is refused; a field that is missing is taken like ``null``, since either is signed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.tee.nitro import cbor
from verifiable.tee.nitro.evidence import DIGESTS, PROTECTED, SIGNATURE_SIZE, NitroEvidence
from verifiable.tee.x509 import Certificate

MAX_PAYLOAD = 16384
MAX_SIZE = MAX_PAYLOAD + 128
MAX_CERTIFICATE = 1024
MAX_BUNDLE = 8
#: Of the optional fields, in bytes.
MAX_PUBLIC_KEY, MAX_USER_DATA, MAX_NONCE = 1024, 512, 512
_MAX_PCRS = 32
_MAX_MODULE_ID = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIMESTAMP = 253402300799999  # the last millisecond of the year 9999
_WHAT = "nitro evidence"
_FIELDS = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"}


def parse(data: bytes, *, kind: str = "nitro") -> NitroEvidence:
    """Read an attestation document. Raises MalformedError, UnsupportedError (another algorithm or digest)."""
    if kind != "nitro":
        raise UnsupportedError(f"{kind!r} evidence is not read here")
    if len(data) > MAX_SIZE:
        raise MalformedError(f"{_WHAT}: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    if data[:1] == b"\xd2":
        raise MalformedError(f"{_WHAT}: COSE_Sign1 with its tag", hint="the hardware writes it without: drop the first byte")
    outer = cbor.decode(data, what=_WHAT, max_depth=2)
    if not isinstance(outer, list) or len(outer) != 4:
        raise MalformedError(f"{_WHAT}: not a COSE_Sign1")
    protected, unprotected, payload, signature = outer
    if protected != PROTECTED:
        raise UnsupportedError(f"{_WHAT}: its protected header is not that of ES384 alone")
    if unprotected != {} or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise MalformedError(f"{_WHAT}: a COSE_Sign1 with an empty unprotected header is wanted")
    if not 0 < len(payload) <= MAX_PAYLOAD or len(signature) != SIGNATURE_SIZE:
        raise MalformedError(f"{_WHAT}: a document of {len(payload):,} bytes under a signature of {len(signature)}")
    return _document(payload, signature)


def _document(payload: bytes, signature: bytes) -> NitroEvidence:
    fields = cbor.decode(payload, what=_WHAT, max_depth=2)
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise MalformedError(f"{_WHAT}: its document is not a map of named fields")
    if unknown := sorted(set(fields) - _FIELDS):
        raise MalformedError(f"{_WHAT}: unknown field {unknown[0][:80]!r}")
    digest = _typed(fields, "digest", str)
    if digest not in DIGESTS:
        raise UnsupportedError(f"{_WHAT}: registers of digest {digest[:40]!r}; known: {', '.join(DIGESTS)}")
    module_id, timestamp = _typed(fields, "module_id", str), _typed(fields, "timestamp", int)
    if not 0 < len(module_id) <= _MAX_MODULE_ID or not 0 < timestamp <= _MAX_TIMESTAMP:
        raise MalformedError(f"{_WHAT}: no module, or a time that is none")
    bundle = _typed(fields, "cabundle", list)
    if not 0 < len(bundle) <= MAX_BUNDLE:
        raise MalformedError(f"{_WHAT}: {len(bundle)} certificates of authorities, 1 to {MAX_BUNDLE} are allowed")
    return NitroEvidence(
        module_id=module_id,
        digest=digest,
        issued_on=_EPOCH + timedelta(milliseconds=timestamp),
        pcrs=_pcrs(_typed(fields, "pcrs", dict), DIGESTS[digest]),
        certificate=_certificate(fields.get("certificate"), "certificate"),
        bundle=tuple(_certificate(each, f"cabundle[{i}]") for i, each in enumerate(bundle)),
        public_key=_optional(fields, "public_key", minimum=1, maximum=MAX_PUBLIC_KEY),
        user_data=_optional(fields, "user_data", minimum=0, maximum=MAX_USER_DATA),
        nonce=_optional(fields, "nonce", minimum=0, maximum=MAX_NONCE),
        payload=payload,
        signature=signature,
    )


def _pcrs(found: dict[Any, Any], size: int) -> tuple[tuple[int, bytes], ...]:
    for index, value in found.items():
        if type(index) is not int or not 0 <= index < _MAX_PCRS or not isinstance(value, bytes) or len(value) != size:
            raise MalformedError(f"{_WHAT}: pcrs: {_MAX_PCRS} registers of {size} bytes at most are wanted")
    if 0 not in found:  # it says whether the enclave is in debug mode
        raise MalformedError(f"{_WHAT}: pcrs: register 0 is missing")
    return tuple(sorted(found.items()))


def _certificate(value: object, name: str) -> Certificate:
    if not isinstance(value, bytes) or not 0 < len(value) <= MAX_CERTIFICATE:
        raise MalformedError(f"{_WHAT}: {name}: a certificate of 1 to {MAX_CERTIFICATE} bytes is wanted")
    return Certificate.parse(value, what=f"{_WHAT}: {name}")


def _optional(fields: dict[str, Any], name: str, *, minimum: int, maximum: int) -> bytes | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, bytes) or not minimum <= len(value) <= maximum:
        raise MalformedError(f"{_WHAT}: {name}: {minimum} to {maximum} bytes are wanted")
    return value


def _typed(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if type(value) is not kind:
        raise MalformedError(f"{_WHAT}: {name} is missing, or of another type")
    return value


__all__ = ["MAX_SIZE", "parse"]
