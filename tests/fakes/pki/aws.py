# SPDX-License-Identifier: Apache-2.0
"""A fake AWS: a root, its authorities down to an instance, and Nitro Secure Modules that attest whatever a test wants.

The chain is the real one's: root, region (path length 2), zone (1), instance (0), and a leaf of three hours for each document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.pki.authority import NOW, Authority, new_key
from verifiable.tee.roots import Roots

MEASUREMENT = bytes(range(48))
MODULE = "i-0123456789abcdef0-enc0123456789abcdef"
PROTECTED = bytes.fromhex("a1013822")
AUTHORITY_USAGE = ("digital_signature", "key_cert_sign", "crl_sign")


@dataclass
class FakeNitro:
    """``instance``: what certifies its enclaves; others can be given to break the chain. Keys are made once."""

    root_name: str = "fake.nitro-enclaves"
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of certificates, by ``root``, ``region``, ``zone``, ``instance``: what to issue them with instead."""

    @cached_property
    def root(self) -> Authority:
        return Authority.root(self.root_name, **({"usage": AUTHORITY_USAGE} | self._of("root")))

    @cached_property
    def region(self) -> Authority:
        name = f"01.region.{self.root_name}"
        return self.root.authority(name, **({"usage": AUTHORITY_USAGE, "path_length": 2} | self._of("region")))

    @cached_property
    def zone(self) -> Authority:
        name = f"02.zonal.region.{self.root_name}"
        return self.region.authority(name, **({"usage": AUTHORITY_USAGE, "path_length": 1} | self._of("zone")))

    @cached_property
    def instance(self) -> Authority:
        name = f"i-0123456789abcdef0.region.{self.root_name}"
        return self.zone.authority(name, **({"usage": ("key_cert_sign",), "path_length": 0} | self._of("instance")))

    @cached_property
    def leaf_key(self) -> Any:
        return new_key()

    @property
    def roots(self) -> Roots:
        return self.root.roots("nitro", name="fake-nitro-root")

    def leaf(self, at: datetime, **fields: Any) -> Authority:
        """What a document made at ``at`` is signed by."""
        wanted = {"ca": False, "key": self.leaf_key, "since": at - timedelta(seconds=3), "until": at + timedelta(hours=3)}
        return self.instance.authority(f"{MODULE}.region.fake", **(wanted | fields))

    def document(
        self,
        *,
        report_data: bytes | None = b"",
        measurement: bytes = MEASUREMENT,
        debug: bool = False,
        at: datetime = NOW,
        leaf: Authority | None = None,
        **fields: Any,
    ) -> tuple[dict[str, Any], Authority]:
        """The fields to be signed, with ``fields`` in place of them, and who is to sign."""
        signer = leaf or self.leaf(at)
        image = bytes(48) if debug else measurement
        document = {
            "module_id": MODULE,
            "digest": "SHA384",
            "timestamp": int(at.timestamp() * 1000),
            "pcrs": {0: image, 1: image[::-1], 2: image, **{index: bytes(48) for index in range(3, 16)}},
            "certificate": signer.der,
            "cabundle": [each.public_bytes(Encoding.DER) for each in signer.above[::-1]],
            "public_key": None,
            "user_data": report_data,
            "nonce": None,
        } | fields
        return document, signer

    def mint(self, **fields: Any) -> tuple[bytes, tuple[bytes, ...], Roots]:
        """Evidence, its collateral (none), and the root it holds under; arguments as for :meth:`document`."""
        document, signer = self.document(**fields)
        return seal(cbor2.dumps(document), signer.key), (), self.roots

    def _of(self, name: str) -> dict[str, Any]:
        return dict(self.fields.get(name, {}))


def seal(
    payload: bytes, key: Any, *, protected: bytes = PROTECTED, unprotected: Any = None, signature: bytes | None = None
) -> bytes:
    """COSE_Sign1 as the Nitro Secure Module writes it: without its tag."""
    if signature is None:
        signature = sign(cbor2.dumps(["Signature1", protected, b"", payload]), key)
    return cbor2.dumps([protected, unprotected or {}, payload, signature])


def sign(data: bytes, key: Any) -> bytes:
    """r and s, 48 bytes each."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")
