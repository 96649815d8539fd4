# SPDX-License-Identifier: Apache-2.0
"""All processors for the prover's long loops, which release the interpreter's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_MOST = 4
_S = TypeVar("_S")
_T = TypeVar("_T")


def in_parallel(function: Callable[[_S], _T], items: Iterable[_S]) -> list[_T]:
    """The function's values, from as many threads as there are processors, up to four. Not to be called from one of them."""
    return list(_pool().map(function, items))


def parts(count: int) -> list[slice]:
    """``count`` >= 1 positions, as equal slices, one for each thread."""
    step = -(-count // min(_MOST, os.cpu_count() or 1))
    return [slice(start, min(count, start + step)) for start in range(0, count, step)]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=min(_MOST, os.cpu_count() or 1), thread_name_prefix="sumcheck")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork, and the pool would wait for them
