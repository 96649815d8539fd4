# SPDX-License-Identifier: Apache-2.0
"""Verifiable inference: which model, on which input, gave which output, checkable by anybody, offline."""
