# SPDX-License-Identifier: Apache-2.0
"""Evidence of NVIDIA's GPUs (Hopper, Blackwell) in confidential computing mode: signed SPDM measurements, the certificates of the
device, and NVIDIA's golden values for its driver and its VBIOS (docs/formats/attestation/nvidia.md).

Only this package reads XML, and only to read those golden values; it asks no network.
"""

from __future__ import annotations

from verifiable.tee.nvidia.opaque import Field, Opaque
from verifiable.tee.nvidia.report import GpuReport, Measurement, parse
from verifiable.tee.nvidia.verify import NAMES

__all__ = ["NAMES", "Field", "GpuReport", "Measurement", "Opaque", "parse"]
