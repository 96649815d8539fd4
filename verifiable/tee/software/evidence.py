# SPDX-License-Identifier: Apache-2.0
"""The document: canonical JSON with the fields that hardware's evidence has, signed by a key that stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from verifiable.checklist import Checklist
from verifiable.encoding import json
from verifiable.encoding.dsse import pre_authentication_encoding
from verifiable.encoding.record import CLOCK_SKEW, Record, encode_base64, format_time
from verifiable.errors import MalformedError, StaleError, UnsupportedError
from verifiable.keys.public import MAX_KEY_SIZE, MAX_SIGNATURE_SIZE, check_public_key, fingerprint, verify_signature
from verifiable.tee import binding
from verifiable.tee.evidence import VerifiedEvidence

if TYPE_CHECKING:
    from verifiable.keys.signer import Signer
    from verifiable.tee.roots import Roots

MEDIA_TYPE = "application/vnd.verifiable.software-evidence.v1+json"
MAX_SIZE = 1 << 14
MEASUREMENT_SIZE = 48
#: The numbered checks of docs/formats/attestation/software.md.
NAMES = ("signature", "time", "anchor")
_MAX_COMPONENTS = 16
_COMPONENT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_WHAT = "software evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareEvidence:
    """A document, unverified. ``measurement``: 48 bytes; ``report_data``: 64; ``tcb``: (component, security version) by name;
    ``public_key``: DER SubjectPublicKeyInfo on P-256; ``signature``: DER, over everything else.
    """

    measurement: bytes
    report_data: bytes
    tcb: tuple[tuple[str, int], ...]
    debug: bool
    issued_on: datetime
    public_key: bytes
    signature: bytes = b""

    @property
    def kind(self) -> str:
        return "software"

    @classmethod
    def issue(
        cls, signer: Signer, *, measurement: bytes, report_data: bytes, tcb: Mapping[str, int], issued_on: datetime,
        debug: bool = False,
    ) -> SoftwareEvidence:  # fmt: skip
        """A signed one. Raises MalformedError for fields that could not be read again, and what signing raises."""
        unsigned = cls(
            measurement=measurement, report_data=report_data, tcb=tuple(sorted(tcb.items())), debug=debug, issued_on=issued_on,
            public_key=signer.public_key,
        )  # fmt: skip
        signed = replace(unsigned, signature=signer.sign(unsigned._signed))
        return parse(signed.encode())

    def encode(self) -> bytes:
        """``parse(e.encode()) == e``."""
        return json.canonical({**self._fields, "signature": encode_base64(self.signature)})

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:  # noqa: ARG002
        """See :meth:`verifiable.tee.evidence.Evidence.verify`; no root stands behind it, whatever ``roots`` are given, and no
        collateral is wanted.

        1. signature: by the key in the document
        2. time: not after ``at``
        3. anchor: skipped, for nobody vouches for that key
        """
        if collateral:
            raise MalformedError(f"{_WHAT} takes no collateral")
        steps = Checklist(NAMES)
        with steps.step(1) as step:
            verify_signature(self.public_key, self._signed, self.signature)
            step.note(f"by the key in it ({fingerprint(self.public_key)})")
        with steps.step(2) as step:
            made = format_time(self.issued_on)
            if self.issued_on - at > CLOCK_SKEW:
                raise StaleError(f"{_WHAT}: made {made}, after {format_time(at)}")
            step.note(f"made {made}")
        with steps.step(3) as step:
            step.skip("simulated: no hardware measured anything, and nobody vouches for the key")
        return VerifiedEvidence(
            kind=self.kind,
            at=at,
            report_data=self.report_data,
            measurements={"measurement": self.measurement.hex()},
            anchor=None,
            checks=steps.checks,
            debug=self.debug,
            tcb=dict(self.tcb),
            issued_on=self.issued_on,
            identity={"public-key": str(fingerprint(self.public_key))},
        )

    @property
    def _fields(self) -> dict[str, Any]:
        return {
            "mediaType": MEDIA_TYPE,
            "simulated": True,
            "measurement": self.measurement.hex(),
            "reportData": self.report_data.hex(),
            "tcb": dict(self.tcb),
            "debug": self.debug,
            "issuedOn": format_time(self.issued_on),
            "publicKey": encode_base64(self.public_key),
        }

    @property
    def _signed(self) -> bytes:
        """DSSE's pre-authentication encoding, so that it is no receipt nor anything else that the key may sign."""
        return pre_authentication_encoding(MEDIA_TYPE, json.canonical(self._fields))


def parse(data: bytes, *, kind: str = "software") -> SoftwareEvidence:
    """Read a document. Raises MalformedError, UnsupportedError (a key that is not on P-256)."""
    if kind != "software":
        raise UnsupportedError(f"{kind!r} evidence is not read here")
    record = Record(json.parse_canonical(data, what=_WHAT, max_size=MAX_SIZE), _WHAT)
    record.constant("mediaType", MEDIA_TYPE)
    if not record.boolean("simulated"):
        raise MalformedError(f"{_WHAT}: it does not say that it is simulated")
    evidence = SoftwareEvidence(
        measurement=_sized(record, "measurement", MEASUREMENT_SIZE),
        report_data=_sized(record, "reportData", binding.SIZE),
        tcb=_tcb(record.record("tcb")),
        debug=record.boolean("debug"),
        issued_on=record.time("issuedOn"),
        public_key=check_public_key(record.base64("publicKey", max_size=MAX_KEY_SIZE), what=f"{_WHAT}: publicKey"),
        signature=record.base64("signature", max_size=MAX_SIGNATURE_SIZE),
    )
    record.done()
    return evidence


def _sized(record: Record, name: str, size: int) -> bytes:
    value = record.hex(name, max_size=size)
    if len(value) != size:
        raise MalformedError(f"{record.where}.{name}: {len(value)} bytes, {size} are wanted")
    return value


def _tcb(record: Record) -> tuple[tuple[str, int], ...]:
    names = record.names()
    if len(names) > _MAX_COMPONENTS or not all(_COMPONENT.fullmatch(name) for name in names):
        raise MalformedError(f"{record.where}: at most {_MAX_COMPONENTS} components with names like 'library' are wanted")
    return tuple((name, record.integer(name)) for name in names)


__all__ = ["MAX_SIZE", "MEASUREMENT_SIZE", "MEDIA_TYPE", "NAMES", "SoftwareEvidence", "parse"]
