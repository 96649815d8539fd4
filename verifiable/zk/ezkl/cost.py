# SPDX-License-Identifier: Apache-2.0
"""What a circuit of given parameters will cost, computed from ezkl's own row count; nothing is proved and nothing is timed.

Key sizes are exact (halo2's column count, written out below). Seconds and memory come from a fit to proofs measured on two cores
of one machine; only their order matters for the choice, and it does not depend on where it is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.zk.ezkl.settings import MAX_SIZE, EzklSettings

#: Rows that halo2 keeps for blinding in every column, and, for a table, ezkl's own reserve: an upper bound of both.
RESERVED_ROWS = 16
_BLINDING_ROWS = 6
_WORD = 32
# CPU seconds: per committed cell, per evaluated cell of the extended domain, per assigned cell, and at least. Fitted to 28
# circuits of 2^8 to 2^16 rows, most within 20 %, the worst within 27 %. Two cores take 0.55 of the CPU time.
_PER_COMMITTED, _PER_EXTENDED, _PER_ASSIGNED, _LEAST, _WALL = 8.7e-6, 2.87e-7, 1.2e-5, 0.16, 0.55
# Resident memory while the keys are made or used, relative to the proving key; the interpreter and ezkl.
_MEMORY_FACTOR, _MEMORY_BASE = 2.3, 80 << 20
_POSEIDON_ADVICE, _POSEIDON_FIXED = 4, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What ezkl lays out for one choice of columns, digits and rebasing, whatever the number of rows per column.

    ``cells``: of one of the three advice tables. ``tables``: rows of each range check. ``lookups``: table functions, each with
    ``lookup_rows`` rows. ``dynamic``: cells of dynamic lookups and shuffles, with ``dynamic_arguments`` of them.
    ``least_rows``: what no splitting of columns can go below.
    """

    cells: int
    constants: int
    columns: int
    tables: tuple[int, ...]
    lookups: int
    lookup_rows: int
    dynamic: int
    least_rows: int
    hashes: int

    @classmethod
    def of(cls, settings: EzklSettings) -> Layout:
        """Read from a settings file that ezkl has just written."""
        document = json.parse(settings.data, what="ezkl settings", max_size=MAX_SIZE)
        root = Record(document, "ezkl settings")
        sizes = {
            name: root.integer(name)
            for name in ("total_assignments", "total_const_size", "total_dynamic_col_size", "total_shuffle_col_size")
        }
        module = root.record("module_sizes").items("poseidon", maximum=2)
        dynamic = sizes["total_dynamic_col_size"] + sizes["total_shuffle_col_size"]
        low, high = settings.parameters.lookup_low, settings.parameters.lookup_high
        return cls(
            cells=sizes["total_assignments"],
            constants=sizes["total_const_size"],
            columns=settings.parameters.num_inner_cols,
            tables=tuple(int(pair[1]) - int(pair[0]) + 1 for pair in root.items("required_range_checks", maximum=256)),
            lookups=settings.lookups,
            lookup_rows=high - low + 1 if settings.lookups else 0,
            dynamic=dynamic,
            least_rows=max(int(module[0]), sum(settings.instance_sizes) + settings.hashes, dynamic),
            hashes=settings.hashes,
        )

    def least_logrows(self) -> int:
        """The smallest logrows for which public values, tables and commitments fit their columns."""
        rows = max(self.least_rows, self.lookup_rows, *self.tables, 1)
        return math.ceil(math.log2(rows + RESERVED_ROWS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The prediction. ``columns`` of advice, ``lookups``: lookup arguments, ``seconds`` of proving, the rest in bytes."""

    logrows: int
    rows: int
    columns: int
    lookups: int
    seconds: float
    memory: int
    proving_key: int
    verifying_key: int

    def to_json(self) -> Mapping[str, int | float]:
        """For reports: every field by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def summary(self) -> str:
        """In one line, beside time and memory."""
        return f"2^{self.logrows} rows, a proving key of {self.proving_key / 1e6:,.1f} MB"


def blocks(layout: Layout, logrows: int) -> int:
    """How often ezkl repeats the columns so that all cells fit (its ``VarTensor::new_advice``)."""
    capacity = ((1 << logrows) - _BLINDING_ROWS) * layout.columns
    first = layout.cells // capacity + 1
    return (layout.cells + first) // capacity + 1


def predict(layout: Layout, logrows: int) -> Cost:
    """The cost of ``layout`` in columns of 2^logrows rows, uncompressed selectors."""
    n, inner, repeated = 1 << logrows, layout.columns, blocks(layout, logrows)
    places = inner * repeated
    dynamic_blocks = layout.dynamic // n + 1 if layout.dynamic else 0
    advice = 3 * places + 3 * dynamic_blocks + (_POSEIDON_ADVICE if layout.hashes else 0)
    degree = max(5, inner + 2, 6 if layout.dynamic or layout.hashes else 0)
    extension = 1 << math.ceil(math.log2(degree - 1))
    kinds = len(layout.tables) + layout.lookups
    merged = max(1, (degree - 3) // 2)  # arguments against one table are merged while the degree allows it
    lookups = kinds * math.ceil(places / merged) + 2 * dynamic_blocks * places
    selectors = repeated * (3 * inner + 6) + kinds * places + dynamic_blocks * (1 + places)
    tables = len(layout.tables) + (1 + layout.lookups if layout.lookups else 0)
    fixed = selectors + tables + layout.constants // n + 1 + (_POSEIDON_FIXED if layout.hashes else 0)
    permuted = advice + 2
    products = math.ceil(permuted / (degree - 2))
    committed = advice + 2 * lookups + products + degree - 1
    evaluated = advice + fixed + permuted + 4 * lookups + products + 9 * places
    proving_key = _WORD * n * ((2 + extension) * (fixed + permuted) + 3 * extension)
    cpu = _PER_COMMITTED * n * committed + _PER_EXTENDED * n * extension * evaluated + _PER_ASSIGNED * layout.cells + _LEAST
    return Cost(
        logrows=logrows,
        rows=math.ceil(layout.cells / inner),
        columns=advice,
        lookups=lookups,
        seconds=round(_WALL * cpu, 3),
        memory=int(_MEMORY_FACTOR * proving_key) + 128 * n + _MEMORY_BASE,
        proving_key=proving_key,
        verifying_key=64 * (fixed + permuted) + 7,
    )


__all__ = ["RESERVED_ROWS", "Cost", "Layout", "blocks", "predict"]
