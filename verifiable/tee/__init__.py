# SPDX-License-Identifier: Apache-2.0
"""Evidence of trusted execution environments: one package per kind of hardware, each ``parse``, then ``verify``, then
``appraise``.

Anybody may call it with bytes from anywhere. It asks no clock and no network: the time of judgement, the vendors' roots and the
collateral come in as arguments. Only :mod:`.attesters` touches a machine's devices, and nothing here decides what a receipt is
worth.
"""
