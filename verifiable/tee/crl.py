# SPDX-License-Identifier: Apache-2.0
"""Certificate revocation lists (RFC 5280 §5): parsed strictly, and judged by the authority that issued them, at a given time.

Full lists of their issuer's own certificates. Delta lists, indirect ones and ones of limited scope say so in critical extensions,
and are refused by them; also where those were not made critical, as they must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verifiable.encoding.record import format_time
from verifiable.errors import AttestationError, MalformedError, StaleError, UnsupportedError
from verifiable.tee import der
from verifiable.tee.x509 import CRL_SIGN, Certificate, common_name, parse_extensions, verify

MAX_SIZE = 1 << 18
_EXTENSIONS = 0xA0
#: deltaCRLIndicator, issuingDistributionPoint, certificateIssuer (RFC 5280 §5.2.4, §5.2.5, §5.3.3).
_PARTIAL = ("2.5.29.27", "2.5.29.28", "2.5.29.29")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A parsed list, unverified. ``revoked``: serial numbers; the other fields as in :class:`.x509.Certificate`."""

    der: bytes
    signed: bytes
    issuer: bytes
    this_update: datetime
    next_update: datetime
    revoked: frozenset[int]
    algorithm: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes, *, what: str = "revocation list") -> RevocationList:
        """Read DER. Raises MalformedError, also for a list that does not say when the next one is due; UnsupportedError for one
        with a critical extension, which may be less than the whole list, or about others' certificates.
        """
        if len(data) > MAX_SIZE:
            raise MalformedError(f"{what}: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
        outer = der.parse(data, what=what).children()
        signed, algorithm, signature = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE), outer.take().bits()
        outer.done()
        fields = signed.children()
        if fields.take().integer() != 1:
            raise MalformedError(f"{what}: not a version 2 revocation list")
        if fields.take(der.SEQUENCE).encoded != algorithm.encoded:
            raise MalformedError(f"{what}: names two signature algorithms")
        issuer = fields.take(der.SEQUENCE).encoded
        this_update, next_update = fields.take().time(), fields.take().time()
        entries, extensions = fields.optional(der.SEQUENCE), fields.optional(_EXTENSIONS)
        fields.done()
        if extensions is not None:
            inner = extensions.children(_EXTENSIONS)
            _refuse_critical(inner.take(), what)
            inner.done()
        return cls(
            der=data, signed=signed.encoded, issuer=issuer, this_update=this_update, next_update=next_update,
            revoked=_serials(entries, what), algorithm=algorithm.encoded, signature=signature,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The issuer's common name, for people."""
        return common_name(self.issuer)

    def verify(self, issuer: Certificate, *, at: datetime) -> None:
        """That it is ``issuer``'s, and the current one at ``at``. Raises SignatureError, AttestationError, StaleError,
        UnsupportedError.
        """
        if self.issuer != issuer.subject:
            raise AttestationError(f"the revocation list is not {issuer.name}'s: it is that of {self.name}")
        what = f"revocation list of {self.name}"
        verify(issuer.public_key, self.algorithm, self.signature, self.signed, what=what)
        issuer.require_usage(CRL_SIGN, what="signing revocation lists")
        if not self.this_update <= at < self.next_update:  # by then there is a newer one, as OpenSSL and webpki have it too
            window = f"{format_time(self.this_update)} to {format_time(self.next_update)}"
            raise StaleError(f"the {what} is for {window}, not for {format_time(at)}", hint="get the list that was current then")

    def require_unrevoked(self, certificate: Certificate) -> None:
        """Raises AttestationError where ``certificate`` is on the list, whatever day it was put there, or is not its issuer's."""
        if certificate.issuer != self.issuer:
            raise AttestationError(f"the revocation list of {self.name} does not cover the certificate of {certificate.name}")
        if certificate.serial in self.revoked:
            raise AttestationError(f"the certificate of {certificate.name} is revoked by {self.name}")


def is_revocation_list(data: bytes) -> bool:
    """Whether ``data`` begins like one in DER: an algorithm where a certificate's first part has its version and number."""
    try:
        fields = der.Reader(der.Reader(data, "").take(der.SEQUENCE).body, "").take(der.SEQUENCE).children()
        return fields.take().tag == der.INTEGER and fields.peek() == der.SEQUENCE
    except MalformedError:
        return False


def _serials(entries: der.Element | None, what: str) -> frozenset[int]:
    if entries is None:
        return frozenset()
    found: set[int] = set()
    reader = entries.children()
    while reader.more:
        fields = reader.take().children()
        found.add(fields.take().integer())
        fields.take().time()
        if (extensions := fields.optional(der.SEQUENCE)) is not None:
            _refuse_critical(extensions, what)
        fields.done()
    if not found:
        raise MalformedError(f"{what}: a list of revoked certificates without any")
    return frozenset(found)


def _refuse_critical(extensions: der.Element, what: str) -> None:
    for oid, extension in parse_extensions(extensions.children(), what=what).items():
        if oid in _PARTIAL:
            raise UnsupportedError(f"{what}: by its extension {oid} it is not the whole list of its issuer's own certificates")
        if extension.critical:
            raise UnsupportedError(f"{what}: a critical extension {oid} that is not understood")


__all__ = ["MAX_SIZE", "RevocationList", "is_revocation_list"]
