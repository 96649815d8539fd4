# SPDX-License-Identifier: Apache-2.0
"""Signing keys by reference (:mod:`.signer`), public keys and signatures by value (:mod:`.public`).

The prover signs with them, the verifier and the trust root read them; nothing here decides whose key is trusted. Key
material never appears in an error, a log line or a repr.
"""
