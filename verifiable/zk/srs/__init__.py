# SPDX-License-Identifier: Apache-2.0
"""KZG setups (structured reference strings) over BN254: reading, checking, naming, keeping and fetching them.

The rest of the library asks :class:`~verifiable.zk.srs.store.SrsStore` for a setup by size or digest, and
:func:`~verifiable.zk.srs.ceremonies.ceremony_of` whether a fingerprint is that of a known ceremony. Nothing here proves
or verifies a proof, and nothing here believes a file's name, folder or metadata about who made it.
"""
