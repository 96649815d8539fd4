# SPDX-License-Identifier: Apache-2.0
"""What is said to the Nitro Secure Module, and its answers: CBOR as the module's own library writes it
(aws-nitro-enclaves-nsm-api, ``src/api``). Here because CBOR is read in this package alone.
"""

from __future__ import annotations

from verifiable.errors import FatalStateError, MalformedError
from verifiable.tee.nitro import cbor

#: NSM_REQUEST_MAX_SIZE and NSM_RESPONSE_MAX_SIZE of Linux's driver.
MAX_REQUEST, MAX_RESPONSE = 0x1000, 0x3000


def attestation_request(user_data: bytes) -> bytes:
    """Asks for an attestation document with this user data, no nonce and no public key."""
    return cbor.encode({"Attestation": {"user_data": user_data, "nonce": None, "public_key": None}})


def attestation_response(data: bytes) -> bytes:
    """The document in the answer. Raises FatalStateError (the module reports an error), MalformedError.

    Only the shortest spelling is read: Linux's driver compares such answers byte by byte too.
    """
    if len(data) > MAX_RESPONSE:
        raise MalformedError(f"nitro: an answer of {len(data):,} bytes is more than the {MAX_RESPONSE:,} allowed")
    match cbor.decode(data, what="answer of the secure module", max_depth=3):
        case {"Attestation": {"document": bytes(document), **more}, **others} if not more and not others:
            return document
        case {"Error": str(code), **others} if not others:
            raise FatalStateError(f"nitro: the secure module answers {code[:40]}", hint="make the enclave anew if it stays so")
        case _:
            raise MalformedError("nitro: the secure module answers something that is no attestation")


__all__ = ["MAX_REQUEST", "MAX_RESPONSE", "attestation_request", "attestation_response"]
