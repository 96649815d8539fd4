# SPDX-License-Identifier: Apache-2.0
"""The transparent proof system ``sumcheck``: sum-checks, LogUp and a hash-based commitment over Goldilocks, without any setup.

The verifying half (``field``, ``transcript``, ``reader``, ``commitment``, ``soundness`` and what is built on them) computes
with NumPy alone and never imports a ``*_prover`` or ``*kernels`` module. It proves that an output is right; it does not hide
anything.
"""
