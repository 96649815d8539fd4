# SPDX-License-Identifier: Apache-2.0
"""Intel's collateral: what it says about a model of processor and about its quoting enclaves, and the revocation lists. One JSON
file, as ``dcap-qvl`` writes it (``QuoteCollateralV3``).

The file itself is signed by nobody, only parts of it are; so it has one spelling, in which each byte is of a part that is signed
or has no alternative.
"""

from __future__ import annotations

import json as _json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.record import Record, format_time, parse_time
from verifiable.errors import MalformedError, StaleError, TrustError
from verifiable.tee import crl
from verifiable.tee.crl import RevocationList
from verifiable.tee.dcap import pem
from verifiable.tee.x509 import Certificate

MAX_SIZE = 1 << 20
_MAX_TEXT = 1 << 19
_SIGNATURE = 64
_HINT = (
    "give the file: --collateral FILE, the JSON of TCB info, QE identity and revocation lists that `dcap_qvl.get_collateral` "
    "gets for the quote from Intel's PCS or a PCCS"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """JSON that Intel signed: ``text``, and r and s of the signature over it; ``chain``: who signed, then the root."""

    text: str
    signature: bytes
    chain: tuple[Certificate, ...]

    def fields(self, *, what: str) -> dict[str, Any]:
        """What it says. To be asked for after its signature is found to hold. Raises MalformedError."""
        value = json.parse(self.text.encode(), what=what, max_size=_MAX_TEXT)
        if not isinstance(value, dict):
            raise MalformedError(f"{what}: not a JSON object")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The fields that both kinds of statement begin with. ``evaluation``: Intel counts up what it asks of platforms."""

    id: str
    version: int
    issue_date: datetime
    next_update: datetime
    evaluation: int

    @classmethod
    def of(cls, fields: dict[str, Any], *, what: str) -> Validity:
        """Raises MalformedError."""
        record = Record(fields, what)
        return cls(
            id=record.text("id", max_length=16),
            version=record.integer("version"),
            issue_date=parse_time(record.text("issueDate", max_length=32), f"{what}.issueDate"),
            next_update=parse_time(record.text("nextUpdate", max_length=32), f"{what}.nextUpdate"),
            evaluation=record.integer("tcbEvaluationDataNumber"),
        )

    def require_current(self, at: datetime, *, what: str) -> None:
        """Raises StaleError."""
        if not self.issue_date <= at <= self.next_update:
            window = f"{format_time(self.issue_date)} to {format_time(self.next_update)}"
            raise StaleError(
                f"{what} is for {window}, not for {format_time(at)}",
                hint="collateral of that time is wanted; keep it with the quote",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """A parsed file, unverified. ``pck_crl_chain``: whose list ``pck_crl`` is, then the root; ``root_crl``, ``pck_crl``: DER;
    ``pck_chain``: the certification data of a quote, where the file repeats it; ``indented``, ``newline``: its spelling.
    """

    pck_crl_chain: tuple[Certificate, ...]
    root_crl: bytes
    pck_crl: bytes
    tcb_info: Statement
    qe_identity: Statement
    pck_chain: str | None = None
    indented: bool = False
    newline: bool = False

    @classmethod
    def parse(cls, data: bytes, *, what: str = "collateral") -> Collateral:
        """Read a file. Raises MalformedError."""
        if len(data) <= MAX_SIZE and not data.startswith(b"{"):
            raise MalformedError(f"{what} is nothing that a quote is judged with", hint=_HINT)
        record = Record(json.parse(data, what=what, max_size=MAX_SIZE), what)

        def statement(name: str) -> Statement:
            chain = pem.parse_chain(record.text(f"{name}_issuer_chain", max_length=_MAX_TEXT), length=2, what=f"{what}.{name}")
            text, signature = record.text(name, max_length=_MAX_TEXT), record.hex(f"{name}_signature", max_size=_SIGNATURE)
            if len(signature) != _SIGNATURE:
                raise MalformedError(f"{what}.{name}_signature: {len(signature)} bytes, {_SIGNATURE} are wanted")
            return Statement(text=text, signature=signature, chain=chain)

        crl_chain = record.text("pck_crl_issuer_chain", max_length=_MAX_TEXT)
        collateral = cls(
            pck_crl_chain=pem.parse_chain(crl_chain, length=2, what=f"{what}.pck_crl"),
            root_crl=record.hex("root_ca_crl", max_size=crl.MAX_SIZE),
            pck_crl=record.hex("pck_crl", max_size=crl.MAX_SIZE),
            tcb_info=statement("tcb_info"),
            qe_identity=statement("qe_identity"),
            pck_chain=record.text("pck_certificate_chain", max_length=_MAX_TEXT) if record.has("pck_certificate_chain") else None,
            indented=data.startswith(b"{\n"),
            newline=data.endswith(b"\n"),
        )
        record.done()
        if collateral.encode() != data:
            raise MalformedError(
                f"{what}: the same in another spelling than dcap-qvl's",
                hint="the file was edited or re-formatted; use the original",
            )
        return collateral

    def encode(self) -> bytes:
        """``Collateral.parse(c.encode()) == c``."""
        document = {
            "pck_crl_issuer_chain": pem.encode_chain(self.pck_crl_chain),
            "root_ca_crl": self.root_crl.hex(),
            "pck_crl": self.pck_crl.hex(),
            "tcb_info_issuer_chain": pem.encode_chain(self.tcb_info.chain),
            "tcb_info": self.tcb_info.text,
            "tcb_info_signature": self.tcb_info.signature.hex(),
            "qe_identity_issuer_chain": pem.encode_chain(self.qe_identity.chain),
            "qe_identity": self.qe_identity.text,
            "qe_identity_signature": self.qe_identity.signature.hex(),
        }
        if self.pck_chain is not None:
            document["pck_certificate_chain"] = self.pck_chain
        layout: dict[str, Any] = {"indent": 2} if self.indented else {"separators": (",", ":")}
        return (_json.dumps(document, ensure_ascii=False, **layout) + "\n" * self.newline).encode("utf-8", "surrogatepass")

    def revocation_lists(self) -> tuple[RevocationList, RevocationList]:
        """The root's, and the PCK authority's. Raises MalformedError, UnsupportedError."""
        return (
            RevocationList.parse(self.root_crl, what="collateral.root_ca_crl"),
            RevocationList.parse(self.pck_crl, what="collateral.pck_crl"),
        )


def find(pieces: Sequence[bytes], *, kind: str) -> Collateral:
    """The one piece of collateral that a quote is judged with. Raises TrustError where there is none, MalformedError."""
    found = [Collateral.parse(piece, what=f"collateral {i}") for i, piece in enumerate(pieces, 1)]
    if not found:
        raise TrustError(f"{kind} evidence: there is no collateral to judge it by", hint=_HINT)
    if len(found) > 1:
        raise MalformedError("collateral 2: not needed, one file is all that a quote is judged by")
    return found[0]


__all__ = ["MAX_SIZE", "Collateral", "Statement", "Validity", "find"]
