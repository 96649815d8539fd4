# SPDX-License-Identifier: Apache-2.0
"""Judging receipts: :mod:`.verifier` is the numbered checklist, :mod:`.policy` what is asked beyond it.

Anybody may call it with bytes from anywhere. It opens no file and no socket, knows no clock but the ``now`` it is given, and
says no by raising; a bool never stands for a verdict.
"""
