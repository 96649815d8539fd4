# SPDX-License-Identifier: Apache-2.0
"""Proof systems: what a provable statement is (:mod:`.circuit`), and what a prover must offer (:mod:`.system`).

The verifier and the two verbs ``compile`` and ``prove`` call it; each proof system lives in its own folder and knows nothing
of the others. Nothing here signs, decides policy, or trusts what a proof file says of itself.
"""
