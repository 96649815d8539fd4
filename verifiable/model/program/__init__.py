# SPDX-License-Identifier: Apache-2.0
"""The integer program: what is actually proved (docs/formats/program.md).

Its form, bytes, bounds and reference executor. Proof systems, quantisers and re-running verifiers call it; it knows nothing of
ONNX, floats (but for the tables' makers) or proofs.
"""
