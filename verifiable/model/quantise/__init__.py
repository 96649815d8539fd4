# SPDX-License-Identifier: Apache-2.0
"""From a float ONNX model and calibration samples to an integer Program.

Static quantisation, after Jacob et al. (arXiv 1712.05877) and Nagel et al. (arXiv 2106.08295): weights symmetric and per output
channel, activations with one scale per tensor. Takes normalised models only; ``quantiser.quantise`` is the way in.
"""
