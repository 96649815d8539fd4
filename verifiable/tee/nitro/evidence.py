# SPDX-License-Identifier: Apache-2.0
"""A parsed attestation document, and its numbered verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verifiable.checklist import Checklist
from verifiable.encoding.record import CLOCK_SKEW, format_time
from verifiable.errors import AttestationError, MalformedError, StaleError
from verifiable.tee import x509
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.nitro import cbor
from verifiable.tee.roots import Root, Roots
from verifiable.tee.x509 import Certificate

#: The numbered checks of docs/formats/attestation/nitro.md.
NAMES = ("signature", "certificates", "usage", "time")
#: The protected header ``{1: -35}`` as bytes: ES384 (RFC 9053 §2.1), r and s of 48 bytes each.
PROTECTED = bytes.fromhex("a1013822")
SIGNATURE_SIZE = 96
#: Names of digests -> bytes of a register.
DIGESTS = {"SHA384": 48}
#: DER AlgorithmIdentifier of ecdsa-with-SHA384 (RFC 5758 §3.2).
_ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroEvidence:
    """An attestation document, unverified. ``pcrs``: (index, value) by index. ``bundle``: the authorities, the root first.

    ``public_key``, ``user_data``, ``nonce``: None where the enclave gave none. ``payload``: the CBOR that all of these were read
    from and that ``signature`` (r and s) is over.
    """

    module_id: str
    digest: str
    issued_on: datetime
    pcrs: tuple[tuple[int, bytes], ...]
    certificate: Certificate
    bundle: tuple[Certificate, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    payload: bytes
    signature: bytes

    @property
    def kind(self) -> str:
        return "nitro"

    @property
    def report_data(self) -> bytes:
        """The user data; empty where there is none."""
        return self.user_data or b""

    @property
    def debug(self) -> bool:
        """AWS: in debug mode the registers of the image are all zero."""
        return not any(dict(self.pcrs)[0])

    def encode(self) -> bytes:
        """``parse(e.encode()) == e``."""
        return cbor.encode([PROTECTED, {}, self.payload, self.signature])

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
        """See :meth:`verifiable.tee.evidence.Evidence.verify`; no collateral is wanted, so any is a MalformedError.

        1. signature: ES384, over the document, by the key of its certificate
        2. certificates: that one leads to a trusted root through exactly the authorities in the document, each current at ``at``
        3. usage: it is no authority, and may sign
        4. time: the document was made while it was valid, and not after ``at``
        """
        if collateral:
            raise MalformedError("nitro evidence takes no collateral: all but the root is in the document")
        steps, leaf = Checklist(NAMES), self.certificate
        with steps.step(1) as step:
            self._verify_signature()
            step.note(f"by {leaf.name}")
        with steps.step(2) as step:
            anchors = roots.of("nitro")
            chain = x509.follow(leaf, self.bundle, [root.certificate for root in anchors], at=at, what="nitro evidence")
            if chain[1:] != self.bundle[::-1]:
                raise AttestationError("nitro evidence: its authorities are not the chain to the root, the root first")
            anchor = next(root for root in anchors if root.certificate == chain[-1])
            step.note(f"{len(chain)} certificates, to {anchor.name} ({anchor.fingerprint})")
        with steps.step(3) as step:
            if leaf.path_length != -1 or x509.KEY_USAGE not in leaf.extensions:
                raise AttestationError(f"the certificate of {leaf.name} is an authority's, or does not say what it is for")
            leaf.require_usage(x509.DIGITAL_SIGNATURE, what="signing documents")
            step.note("signs, and is no authority")
        with steps.step(4) as step:
            made = format_time(self.issued_on)
            if not leaf.not_before <= self.issued_on <= leaf.not_after:
                raise AttestationError(f"nitro evidence: made {made}, when its certificate was not valid")
            if self.issued_on - at > CLOCK_SKEW:
                raise StaleError(f"nitro evidence: made {made}, after {format_time(at)}")
            step.note(f"made {made}")
        return self._verified(at, anchor, steps)

    def _verify_signature(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        key = self.certificate.key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            raise AttestationError("nitro evidence: its certificate's key is not on P-384, as ES384 wants")
        half = SIGNATURE_SIZE // 2
        r, s = (int.from_bytes(part, "big") for part in (self.signature[:half], self.signature[half:]))
        signed = cbor.encode(["Signature1", PROTECTED, b"", self.payload])  # RFC 9052 §4.4
        x509.verify(self.certificate.public_key, _ECDSA_SHA384, encode_dss_signature(r, s), signed, what="nitro evidence")

    def _verified(self, at: datetime, anchor: Root, steps: Checklist) -> VerifiedEvidence:
        optional = {"nonce": self.nonce, "public-key": self.public_key}
        return VerifiedEvidence(
            kind=self.kind,
            at=at,
            report_data=self.report_data,
            measurements={f"pcr{index}": value.hex() for index, value in self.pcrs},
            anchor=anchor,
            checks=steps.checks,
            debug=self.debug,
            issued_on=self.issued_on,
            identity={
                "module-id": self.module_id,
                "digest": self.digest,
                **{name: value.hex() for name, value in optional.items() if value is not None},
            },
        )


__all__ = ["DIGESTS", "NAMES", "PROTECTED", "SIGNATURE_SIZE", "NitroEvidence"]
