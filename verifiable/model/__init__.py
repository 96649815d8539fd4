# SPDX-License-Identifier: Apache-2.0
"""ONNX in: read a model without trusting it, bring it to one canonical form, say whether it can be proved.

Only this package touches onnx, onnxruntime and onnxslim; all three are imported when first used. Whatever a hostile file makes
them raise leaves here as one of our errors, and every allocation is bounded before it is made.
"""
