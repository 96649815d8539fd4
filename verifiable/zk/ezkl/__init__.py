# SPDX-License-Identifier: Apache-2.0
"""The ``ezkl`` proof system: halo2-KZG proofs of ONNX models, made and checked by the unmodified ``ezkl`` package.

ezkl itself only ever runs in a child process (:mod:`.worker`), is given only files that we wrote, and is believed about
nothing but one bit: whether proof bytes of the exact length hold for instances that we rebuilt.
"""

#: The one release whose behaviour was read and measured; circuits name it, and any other is refused.
VERSION = "23.0.5"
