# SPDX-License-Identifier: Apache-2.0
"""Elementary functions: close to the C library's, and the same bits everywhere."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest

from tests.model.quantise.test_plan import PLAIN
from verifiable.model.quantise import elementary

EVERYWHERE = np.concatenate([
    np.linspace(-20, 20, 4001), np.linspace(-700, 700, 1001), np.float64(2) ** np.arange(-60, 9), [0.0, -0.0, 1e-300],
])  # fmt: skip
POSITIVE = np.abs(EVERYWHERE) + 1e-9
EXACT = {
    "exp": math.exp, "expm1": math.expm1, "tanh": math.tanh, "sin": math.sin, "cos": math.cos, "arctan": math.atan,
    "erf": math.erf, "log": math.log,
}  # fmt: skip
# SHA-256 over the bits of the functions' values; the same for every machine and release of NumPy.
DIGEST = "a0b8bf250ae746ca5fe995ec2aef9618c849158b4ebd54ab10d4f9f131cfde9f"


def arguments(name: str) -> np.ndarray:
    return POSITIVE if name == "log" else EVERYWHERE


@pytest.mark.parametrize("name", EXACT)
def test_close_to_the_c_library(name: str) -> None:
    x = arguments(name)
    found, expected = getattr(elementary, name)(x), np.array([EXACT[name](value) for value in x.tolist()])
    assert (np.abs(found - expected) <= 32 * np.spacing(np.abs(expected)) + 1e-16 * (name in {"sin", "cos"})).all()


def test_sigmoid_and_softplus() -> None:
    x = EVERYWHERE
    with np.errstate(all="ignore"):
        expected = np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
    assert np.allclose(elementary.sigmoid(x), expected, rtol=1e-15, atol=0)
    assert np.allclose(elementary.softplus(x), np.logaddexp(0, x), rtol=1e-15, atol=0)


@pytest.mark.parametrize("b", [0, 1, 2, 3, 7, 32, 33, -1, -2, 0.5, 1.5, -0.25, 100])
def test_powers(b: float) -> None:
    x = np.linspace(-9, 9, 2001)
    with np.errstate(all="ignore"):
        found, expected = elementary.power(x, np.full_like(x, b)), np.power(x, b)
        finite = np.isfinite(expected)
    assert (np.isfinite(found) == finite).all()
    assert np.allclose(found[finite], expected[finite], rtol=2**-42, atol=0)


@pytest.mark.parametrize("name", [*EXACT, "sigmoid", "softplus"])
def test_ends_of_the_range(name: str) -> None:
    expected = {
        "exp": (np.inf, 0), "expm1": (np.inf, -1), "tanh": (1, -1), "arctan": (math.pi / 2, -math.pi / 2), "erf": (1, -1),
        "log": (np.inf, np.nan), "sigmoid": (1, 0), "softplus": (np.inf, 0), "sin": (np.nan, np.nan), "cos": (np.nan, np.nan),
    }  # fmt: skip
    with np.errstate(all="ignore"):
        found = getattr(elementary, name)(np.array([np.inf, -np.inf, np.nan]))
    assert np.array_equal(found, [*expected[name], np.nan], equal_nan=True)


def digest() -> str:
    parts = [getattr(elementary, name)(arguments(name)) for name in [*EXACT, "sigmoid", "softplus"]]
    parts += [elementary.power(POSITIVE[:4000], np.full(4000, b)) for b in (3.0, 0.3, -1.5)]
    return hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in parts)).hexdigest()


def test_the_bits_are_these() -> None:
    assert digest() == DIGEST


def test_the_bits_are_these_without_vector_loops() -> None:
    code = "from tests.model.quantise.test_elementary import digest; print(digest())"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=PLAIN, check=True, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert ran.stdout.strip() == DIGEST
