# SPDX-License-Identifier: Apache-2.0
"""What this library costs on this machine, measured in processes of their own: :mod:`.prove` the proof systems, :mod:`.ledger`
the log, :mod:`.tee` the evidence of trusted hardware.

Shared by what is measured: :mod:`.workplace` keeps two benchmarks apart, :mod:`.step` starts a process (:mod:`.worker`) within
limits of memory and time, :mod:`.table` and :mod:`.svg` show what was found.
"""
