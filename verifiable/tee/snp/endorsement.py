# SPDX-License-Identifier: Apache-2.0
"""The certificate of the key that signs reports: a VCEK, which is one chip's at one TCB version, or a VLEK, which is a cloud
provider's at one TCB version (AMD publication 57230).
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.errors import AttestationError, MalformedError, UnsupportedError
from verifiable.tee import der
from verifiable.tee.snp.tcb import COMPONENTS, GENERATIONS, Generation
from verifiable.tee.x509 import DIGITAL_SIGNATURE, Certificate, common_name

_ARC = "1.3.6.1.4.1.3704.1"
STRUCTURE, PRODUCT, TCB, HARDWARE_ID, PROVIDER = (f"{_ARC}.{number}" for number in range(1, 6))
_STRUCTURES = (0, 1)
_IA5 = 22
_P384 = "secp384r1"
#: Kind of key -> the subject's common name, and how the issuer's begins; the generation's name follows.
_NAMES = {"vcek": ("SEV-VCEK", "SEV-"), "vlek": ("SEV-VLEK", "SEV-VLEK-")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """What a VCEK's or a VLEK's certificate says. ``product``: such as ``Milan-B0``; ``tcb``: by component;
    ``hardware_id``: the chip's, empty in a VLEK; ``provider``: the cloud provider's name, empty in a VCEK.
    """

    certificate: Certificate
    kind: str
    product: str
    generation: Generation
    tcb: dict[str, int]
    hardware_id: bytes
    provider: str

    @classmethod
    def of(cls, certificate: Certificate) -> Endorsement:
        """Read the extensions. Raises MalformedError, UnsupportedError, AttestationError (neither the one nor the other)."""
        present = certificate.extensions
        what = f"certificate of {certificate.name}"
        if (structure := _integer(certificate, STRUCTURE)) not in _STRUCTURES:
            raise UnsupportedError(f"{what}: its extensions are of version {structure}, which is not known here")
        product = _text(certificate, PRODUCT)
        generation = GENERATIONS.get(product.split("-")[0])
        if generation is None:
            raise UnsupportedError(f"{what}: processors of kind {product[:40]!r} are not known here")
        if (HARDWARE_ID in present) == (PROVIDER in present):
            raise AttestationError(f"{what}: names both a chip and a cloud provider, or neither")
        return cls(
            certificate=certificate,
            kind="vcek" if HARDWARE_ID in present else "vlek",
            product=product,
            generation=generation,
            tcb={name: _integer(certificate, f"{TCB}.{COMPONENTS[name]}") for name in generation.layout},
            hardware_id=present[HARDWARE_ID].value if HARDWARE_ID in present else b"",
            provider=_text(certificate, PROVIDER) if PROVIDER in present else "",
        )

    def require_issued(self, chain: tuple[Certificate, ...]) -> None:
        """That the kind of key, its issuer and the root are those of this generation: what signs VCEKs signs no VLEK, and
        nothing else. Raises AttestationError.
        """
        subject, prefix = _NAMES[self.kind]
        wanted = [subject, prefix + self.generation.name, f"ARK-{self.generation.name}"]
        found = [common_name(each.subject) for each in chain]
        if found != wanted:
            raise AttestationError(f"{self.kind} certificate: its chain is {_arrows(found)}, not {_arrows(wanted)}")
        self.certificate.require_usage(DIGITAL_SIGNATURE, what="signing reports")

    def require_curve(self) -> None:
        """That the key is on P-384, as the field for its signature supposes. Raises AttestationError."""
        from cryptography.hazmat.primitives.asymmetric import ec

        key = self.certificate.key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != _P384:
            raise AttestationError(f"{self.kind} certificate: its key is none on P-384")


def is_endorsement(certificate: Certificate) -> bool:
    """Whether it is a VCEK's or a VLEK's, and not an authority's."""
    return PRODUCT in certificate.extensions


def _arrows(names: list[str]) -> str:
    return " <- ".join(names)


def _extension(certificate: Certificate, oid: str) -> der.Element:
    where = f"certificate of {certificate.name}: extension {oid}"
    if oid not in certificate.extensions:
        raise MalformedError(f"{where} is missing")
    return der.parse(certificate.extensions[oid].value, what=where)


def _integer(certificate: Certificate, oid: str) -> int:
    return _extension(certificate, oid).integer()


def _text(certificate: Certificate, oid: str) -> str:
    body = _extension(certificate, oid).expect(_IA5).body
    if not body or not body.isascii() or not body.decode("ascii").isprintable():
        raise MalformedError(f"certificate of {certificate.name}: extension {oid}: not a text")
    return body.decode("ascii")


__all__ = ["Endorsement", "is_endorsement"]
