# SPDX-License-Identifier: Apache-2.0
"""The prover's loops, compiled and plain, against Python's integers; and how compiled code is kept and found again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiable.errors import FatalStateError, UnsupportedError
from verifiable.zk.sumcheck import coding, field, kernels_plain, native, tables
from verifiable.zk.sumcheck.field import P

pytestmark = pytest.mark.skipif(not tables.COMPILED, reason="Numba is not installed: there is nothing to compare with")

LOOPS = "verifiable.zk.sumcheck.kernels"
EDGES = np.array([0, 1, 7, 2**32 - 1, 2**32, 2**63, P - 2**32, P - 2, P - 1], dtype=np.uint64)
WORDS = st.sampled_from([int(e) for e in EDGES]) | st.integers(0, P - 1)
SCALARS = st.tuples(WORDS, WORDS)
SEEDS = st.integers(0, 2**32)


def elements(seed: int, *shape: int) -> field.Array:
    """Random elements, a third of them edge values."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, P, shape, dtype=np.uint64)
    return np.where(rng.integers(0, 3, shape) == 0, rng.choice(EDGES, shape), values)


def scalars(array: field.Array) -> list[field.Ext]:
    return [(int(a), int(b)) for a, b in (array if array.ndim == 2 else field.lift(array))]


def dot(a: list[field.Ext], b: list[field.Ext]) -> field.Ext:
    return field.ext_sum([field.ext_mul(x, y) for x, y in zip(a, b, strict=True)])


@pytest.fixture(params=["compiled", "plain"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tables, "_loops", native.load(LOOPS) if request.param == "compiled" else kernels_plain)
    return


examples = settings(max_examples=25, deadline=None)


@pytest.mark.usefixtures("loops")
class TestTables:
    """Each function, both implementations, against pairs of integers."""

    def test_multiplication(self) -> None:
        a, b = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
        assert tables.mul(a, b).tolist() == [int(x) * int(y) % P for x, y in zip(a, b, strict=True)]
        c, d = elements(1, 200, 2), elements(2, 200, 2)
        assert scalars(tables.mul(c, d)) == [field.ext_mul(x, y) for x, y in zip(scalars(c), scalars(d), strict=True)]

    @pytest.mark.parametrize("shape", [(2,), (32,), (2, 2), (32, 2)])
    @pytest.mark.parametrize("r", [(0, 0), (1, 0), (P - 1, P - 1), (3, 2**63)])
    def test_folding_binds_the_highest_bit(self, shape: tuple[int, ...], r: field.Ext) -> None:
        table = elements(3, *shape)
        low, high = scalars(table)[: shape[0] // 2], scalars(table)[shape[0] // 2 :]
        expected = [field.ext_add(a, field.ext_mul(r, field.ext_sub(b, a))) for a, b in zip(low, high, strict=True)]
        before = table.copy()
        assert scalars(tables.fold(table, r)) == expected
        assert np.array_equal(table, before)
        assert scalars(tables.fold(table, r, in_place=True)) == expected

    @pytest.mark.parametrize("base", [True, False])
    def test_sum_check_rounds(self, *, base: bool) -> None:
        a, b = elements(4, 16) if base else elements(4, 16, 2), elements(5, 16, 2)
        low, high = [scalars(t)[:8] for t in (a, b)], [scalars(t)[8:] for t in (a, b)]
        differences = [[field.ext_sub(y, x) for x, y in zip(lo, hi, strict=True)] for lo, hi in zip(low, high, strict=True)]
        assert tables.round_product(a, b) == (dot(*low), dot(*differences))
        r = (P - 1, 12345)
        folded = tables.fold(a, r), tables.fold(b, r)
        sums = tables.round_product(*folded)
        before = a.copy()
        got = tables.fold_round_product(a, b, r)
        assert all(np.array_equal(x, y) for x, y in zip(got[:2], folded, strict=True))
        assert got[2] == sums
        assert not base or np.array_equal(a, before)

    @pytest.mark.parametrize("base", [True, False])
    def test_inner_product(self, *, base: bool) -> None:
        a, b = elements(6, 100) if base else elements(6, 100, 2), elements(7, 100, 2)
        assert tables.inner_product(a, b) == dot(scalars(a), scalars(b))

    def test_sums_of_the_largest_products_do_not_wrap(self) -> None:
        a = np.full((1 << 12, 2), P - 1, dtype=np.uint64)
        one = field.ext_mul((P - 1, P - 1), (P - 1, P - 1))
        expected = tuple((1 << 12) * x % P for x in one)
        assert tables.inner_product(a, a) == expected
        assert tables.round_product(np.concatenate([a, a]), np.concatenate([a, a]))[0] == expected
        assert tables.inner_product(a[:, 0], a) == ((1 << 12) % P,) * 2

    @pytest.mark.parametrize("n", [0, 1, 2, 5])
    def test_eq_tables(self, n: int) -> None:
        point, scale = scalars(elements(8, n, 2)), (5, P - 3)
        expected = field.scale_ext(field.eq_table(point), scale)
        assert np.array_equal(tables.eq_table(point, scale), expected)
        target = elements(9, 1 << n, 2)
        wanted = field.add(target, expected)
        tables.add_eq(target, point, scale)
        assert np.array_equal(target, wanted)

    def test_adding_into_a_block_leaves_its_neighbours_alone(self) -> None:
        whole = elements(10, 16, 2)
        before = whole.copy()
        tables.add_eq(whole[4:8], [(2, 3), (4, 5)], field.ONE)
        assert np.array_equal(whole[4:8], field.add(before[4:8], field.eq_table([(2, 3), (4, 5)])))
        assert np.array_equal(np.delete(whole, range(4, 8), 0), np.delete(before, range(4, 8), 0))

    def test_gather_and_scatter(self) -> None:
        table, indices = elements(11, 8, 2), np.array([3, -1, 3, 0, 7, -1])
        rows = scalars(table)
        assert scalars(tables.gather(table, indices)) == [rows[i] if i >= 0 else field.ZERO for i in indices]
        values = np.full((6, 2), P - 1, dtype=np.uint64)
        tables.scatter_add(table, indices, values)
        times = [1, 0, 0, 2, 0, 0, 0, 1]
        assert scalars(table) == [tuple((x - k) % P for x in row) for row, k in zip(rows, times, strict=True)]

    @pytest.mark.parametrize("rows", [1, 7, 8, 9, 64])
    def test_row_combinations(self, rows: int) -> None:
        matrix, weights = elements(12, rows, 5), elements(13, rows, 2)
        expected = [dot(scalars(np.ascontiguousarray(column)), scalars(weights)) for column in matrix.T]
        assert scalars(tables.combine_rows(matrix, weights)) == expected
        vectors = elements(17, rows, 5, 2)
        products = [[dot(scalars(field.lift(row)), scalars(vector)) for vector in vectors] for row in matrix]
        assert [scalars(row) for row in tables.dot_rows(matrix, vectors)] == products

    @pytest.mark.parametrize("rows", [1, 2, 3, 10])
    def test_threads_share_rows_and_change_nothing(self, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix, weights, vectors = elements(12, rows, 16), elements(13, rows, 2), elements(17, 3, 16, 2)
        alone = tables.combine_rows(matrix, weights), tables.dot_rows(matrix, vectors)
        monkeypatch.setattr(tables, "_LARGE", 0)
        together = tables.combine_rows(matrix, weights), tables.dot_rows(matrix, vectors)
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))

    @pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
    def test_evaluation(self, n: int) -> None:
        point, base, ext = scalars(elements(14, n, 2)), elements(15, 1 << n), elements(16, 1 << n, 2)
        assert tables.evaluate(base, point) == field.evaluate(base, point)
        assert tables.evaluate(ext, point) == field.evaluate(ext, point)


@examples
@given(SEEDS, SCALARS, st.integers(2, 6))
def test_compiled_and_plain_loops_agree(seed: int, r: field.Ext, n: int) -> None:
    results = []
    for loops in (native.load(LOOPS), kernels_plain):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables, "_loops", loops)
            a, b, c = elements(seed, 1 << n, 2), elements(seed + 1, 1 << n, 2), elements(seed + 2, 1 << n)
            parts = [*tables.fold_round_product(c, b.copy(), r), *tables.fold_round_product(a.copy(), b.copy(), r)]
            results.append(
                repr(
                    [
                        *parts,
                        tables.mul(a, b),
                        tables.combine_rows(c.reshape(2, -1), a[:2]),
                        tables.dot_rows(c.reshape(2, -1), a.reshape(2, -1, 2)),
                    ]
                )
            )
    assert results[0] == results[1]


# -- encoding and hashing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 16), (33, 16), (16, 64), (4, 32), (15, 16), (8, 8), (1, 1), (125, 1)])
@pytest.mark.parametrize("compiled", [True, False])
def test_encoding_is_evaluation_on_the_cosets(shape: tuple[int, int], *, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "COMPILED", compiled)
    matrix, cols = elements(20, *shape), shape[1]
    words = field.ntt(np.pad(matrix, ((0, 0), (0, 3 * cols))))
    for coset in range(4):
        encoded = coding.encode(matrix, coset)
        assert np.array_equal(coding.columns(encoded, len(matrix), np.arange(cols)), words[:, coset::4].T)


@pytest.mark.parametrize("shape", [(8, 16), (32, 64), (4, 32), (1, 1), *((17 + k, 16) for k in range(8)), (7, 16)])
@pytest.mark.parametrize("compiled", [True, False])
def test_leaves_and_nodes_are_sha_256(shape: tuple[int, int], *, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "COMPILED", compiled)
    matrix, cols = elements(21, *shape), shape[1]
    words = field.ntt(np.pad(matrix, ((0, 0), (0, 3 * cols))))
    leaves = np.zeros((4 * cols, 4), dtype=np.uint64)
    for coset in range(4):
        coding.hash_columns(coding.encode(matrix, coset), len(matrix), coset, leaves)
    expected = [hashlib.sha256(b"\0" + column.tobytes()).digest() for column in words.T]
    levels = coding.tree(leaves)
    for level in levels:
        assert [node.tobytes() for node in level] == expected
        expected = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(expected[::2], expected[1::2], strict=False)]
    assert len(levels[-1]) == 1


# -- compiled code --------------------------------------------------------------------------------------------------------


def run(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return result.stdout.strip()


def test_without_numba_the_bytes_are_the_same(checkout: Path) -> None:
    code = """if True:
        import numpy as np
        from verifiable.zk.sumcheck import commit_prover, field, tables
        from verifiable.zk.sumcheck.transcript import Transcript
        from verifiable.zk.sumcheck.writer import Writer
        table = field.powers(3, 1 << 10)
        table[949:] = 0
        point = [(i, 5 * i) for i in range(10)]
        writer = Writer(Transcript())
        committed = commit_prover.commit(table, 949)
        commit_prover.open(committed, point, tables.evaluate(table, point), writer)
        import hashlib, sys
        print(tables.COMPILED, "numba" in sys.modules, hashlib.sha256(committed.root + writer.getvalue()).hexdigest())
    """
    compiled = run(code, PYTHONPATH=str(checkout)).split()
    plain = run(code, PYTHONPATH=str(checkout), VERIFIABLE_NO_NUMBA="1").split()
    assert (compiled[0], plain[0]) == ("True", "False")
    assert compiled[2] == plain[2]
    # Loading kept code must not import the compiler: that is a second, and a proof may take a tenth of one.
    assert compiled[1] == plain[1] == "False"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a.astype(np.int64),
        lambda a: a[::2],
        lambda a: a.reshape(2, -1),
        lambda a: a.astype(">u8"),
    ],
)
def test_compiled_loops_refuse_what_they_would_misread(wrong: Callable[[Any], Any]) -> None:
    good = np.arange(8, dtype=np.uint64)
    with pytest.raises(FatalStateError, match="takes contiguous uint64 of rank 1"):
        native.load(LOOPS).mul_base(wrong(good), good, good)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one loop that can be compiled within a second, beside which code is kept."""
    source = tmp_path / "tiny_loops.py"
    source.write_text(
        "from verifiable.zk.sumcheck.native import export\n"
        "@export('F1', 'U')\n"
        "def add(values, by):\n"
        "    for i in range(values.shape[0]):\n"
        "        values[i] += by\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tiny_loops", raising=False)
    native.load.cache_clear()
    yield source
    native.load.cache_clear()
    sys.modules.pop("tiny_loops", None)


def kept(source: Path) -> list[Path]:
    return sorted((source.parent / "__pycache__").glob("*.loops"))


def added(by: int) -> int:
    values = np.array([40], dtype=np.uint64)
    native.load("tiny_loops").add(values, by)
    return int(values[0])


def test_code_is_kept_and_found_again(tiny: Path) -> None:
    assert added(2) == 42
    [file] = kept(tiny)
    assert file.stat().st_mode & 0o077 == 0
    native.load.cache_clear()
    sys.modules.pop("tiny_loops")
    assert added(3) == 43
    assert "tiny_loops" not in sys.modules


def test_changed_source_is_compiled_anew(tiny: Path) -> None:
    assert added(2) == 42
    tiny.write_text(tiny.read_text().replace("+= by", "-= 1 * by"))  # of another length: Python looks at size and second
    native.load.cache_clear()
    sys.modules.pop("tiny_loops")
    assert added(2) == 38
    assert len(kept(tiny)) == 2


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:-40] + bytes(40), lambda _: b"", lambda _: b"{}\n", lambda d: d[100:]]
)
def test_damaged_code_is_not_run(tiny: Path, damage: Callable[[bytes], bytes]) -> None:
    assert added(2) == 42
    [file] = kept(tiny)
    file.write_bytes(damage(file.read_bytes()))
    native.load.cache_clear()
    sys.modules.pop("tiny_loops")
    assert added(2) == 42


def test_a_loop_that_allocates_is_refused(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("    for", "    values = values + by\n    for"))
    with pytest.raises(FatalStateError, match="refer to"):
        native.load("tiny_loops")


def test_a_loop_may_take_views(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("    for", "    values = values[values.shape[0] // 2 :]\n    for"))
    assert added(2) == 42


def test_without_compiler_and_without_code_there_is_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiny.exists()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(UnsupportedError, match="numba"):
        native.load("tiny_loops")


def test_a_forked_process_can_commit_too(checkout: Path) -> None:
    code = """if True:
        import os, sys
        from verifiable.zk.sumcheck import threads
        threads.in_parallel(abs, range(4))
        child = os.fork()
        if not child:
            os._exit(sum(threads.in_parallel(abs, range(4))))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(code, PYTHONPATH=str(checkout)) == "6"


def test_the_scratch_space_is_as_large_as_the_loop_needs() -> None:
    from verifiable.zk.sumcheck import vector_kernels

    assert (coding._SCRATCH, coding._LANES, coding._MESSAGES) == (
        vector_kernels.SCRATCH,
        vector_kernels.LANES,
        vector_kernels.MESSAGES,
    )


def test_the_verifying_half_imports_neither_loops_nor_provers(checkout: Path) -> None:
    code = """if True:
        import sys
        from verifiable.zk.sumcheck import commitment, field, reader, soundness, transcript, verifier
        print([m for m in sys.modules if m.split(".")[0] in {"numba", "llvmlite"} or "zk.sumcheck" in m and
               m.endswith(("kernels", "prover", "native", "coding", "tables", "threads", "plain"))])
    """
    assert run(code, PYTHONPATH=str(checkout)) == "[]"
