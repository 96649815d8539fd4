# SPDX-License-Identifier: Apache-2.0
"""TCB versions: what the eight bytes mean on which generation of processors (AMD publication 56860, table TCB_VERSION; 57230 for
the extensions of certificates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIZE = 8
#: Component -> last number of its extension's OID, below 1.3.6.1.4.1.3704.1.3.
COMPONENTS = {
    "bootloader": 1, "tee": 2, "snp": 3, "spl4": 4, "spl5": 5, "spl6": 6, "spl7": 7, "microcode": 8, "fmc": 9,
}  # fmt: skip
#: Bytes without a name yet: compared with the certificate's, and of no interest to an appraisal.
RESERVED = ("spl4", "spl5", "spl6", "spl7")
_TO_GENOA = ("bootloader", "tee", "spl4", "spl5", "spl6", "spl7", "snp", "microcode")
_TURIN = ("fmc", "bootloader", "tee", "snp", "spl5", "spl6", "spl7", "microcode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Processors under one root of AMD's. ``layout``: the components in the order of their bytes; ``chip_id_size``: how much of
    the report's 64 bytes is used, and stands in the chip's certificate.
    """

    name: str
    family: int
    models: tuple[range, ...]
    layout: tuple[str, ...]
    chip_id_size: int

    def includes(self, family: int, model: int) -> bool:
        """By CPUID, extended family and model."""
        return family == self.family and any(model in models for models in self.models)

    def components(self, tcb: bytes) -> dict[str, int]:
        return dict(zip(self.layout, tcb, strict=True))


#: Bergamo and Siena (models A0h to AFh) are under Genoa's root.
GENERATIONS: Mapping[str, Generation] = {
    "Milan": Generation(name="Milan", family=0x19, models=(range(0x10),), layout=_TO_GENOA, chip_id_size=64),
    "Genoa": Generation(
        name="Genoa", family=0x19, models=(range(0x10, 0x20), range(0xA0, 0xB0)), layout=_TO_GENOA, chip_id_size=64
    ),
    "Turin": Generation(name="Turin", family=0x1A, models=(range(0x12),), layout=_TURIN, chip_id_size=8),
}


def named(components: Mapping[str, int]) -> dict[str, int]:
    """Without the reserved bytes."""
    return {name: version for name, version in components.items() if name not in RESERVED}


__all__ = ["COMPONENTS", "GENERATIONS", "RESERVED", "SIZE", "Generation", "named"]
