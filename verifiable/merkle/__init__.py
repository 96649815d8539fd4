# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of transparency logs: RFC 6962 hashing, RFC 9162 inclusion and consistency proofs.

The ledger calls the makers (:mod:`.proofs`, :mod:`.compact`), whoever judges a log calls :mod:`.verify`; the two share the
hashing and nothing else. Pure functions over bytes: no I/O, no keys, and no opinion on what a leaf means.
"""
