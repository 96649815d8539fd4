# SPDX-License-Identifier: Apache-2.0
"""The transparency log: its files, who may write them, who cosigns them, and how anybody checks them.

The formats are those of C2SP (docs/formats/ledger.md). Nodes and the commands call it; it knows nothing of what an entry
means, and nothing outside ``service.py`` and the clients opens a socket.
"""
