# SPDX-License-Identifier: Apache-2.0
"""From a quantised ONNX model (QDQ or QOperator form) to a Program with the very same integers, or a refusal by name.

The model's own scales and zero points are taken as exact rational numbers. What is added to reality is nothing: every rounding is
shown to be the exact one for every value that can occur. ``lowering.lowered`` is the way in.
"""
