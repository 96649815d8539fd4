# SPDX-License-Identifier: Apache-2.0
"""Content-addressed files: large things that are named by their SHA-256 and trusted for nothing else.

Proof systems keep proving keys and setups here; receipts may point here. A store never decides whether a blob is wanted,
only whether it is the one that was asked for.
"""

from verifiable.blobs.local import LocalBlobs

__all__ = ["LocalBlobs"]
