# SPDX-License-Identifier: Apache-2.0
# mypy: ignore-errors
# ruff: noqa: PLR0917
"""Loops over short vectors, for the commitment: Reed-Solomon encoding of eight rows at once, SHA-256 of sixteen messages at once.

Both are written in LLVM's vector operations, since compilers do not find them; a processor without such wide registers gets the
same operations in pieces. Numba publishes no types and takes positional arguments only, hence the exemptions above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from verifiable.zk.sumcheck.native import export

LANES = 8  # rows that are transformed together; also the 64-byte block of SHA-256
MESSAGES = 16
_P = 0xFFFFFFFF00000001
_0 = np.uint64(0)
_WORDS = ir.VectorType(ir.IntType(64), LANES)
_LONG = ir.VectorType(ir.IntType(64), MESSAGES)
_SHORT = ir.VectorType(ir.IntType(32), MESSAGES)
_ARRAY = types.Array(types.uint64, 1, "C")
_U, _N = types.uint64, types.int64


def _constant(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _place(context: Any, builder: Any, array: Any, offset: Any, vector: Any) -> Any:
    """The address of a vector in an array of words, ``offset`` words from its start."""
    data = context.make_array(_ARRAY)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), ir.PointerType(vector))


def _load(builder: Any, place: Any) -> Any:
    return builder.load(place, align=8)


def _plus(builder: Any, offset: Any, words: int) -> Any:
    return builder.add(offset, ir.Constant(ir.IntType(64), words))


# -- Goldilocks in eight lanes --------------------------------------------------------------------------------------------


def _add(builder: Any, a: Any, b: Any) -> Any:
    total = builder.add(a, b)
    over = builder.or_(builder.icmp_unsigned("<", total, a), builder.icmp_unsigned(">=", total, _constant(_WORDS, _P)))
    return builder.select(over, builder.sub(total, _constant(_WORDS, _P)), total)


def _sub(builder: Any, a: Any, b: Any) -> Any:
    difference = builder.sub(a, b)
    return builder.select(builder.icmp_unsigned("<", a, b), builder.add(difference, _constant(_WORDS, _P)), difference)


def _mul(builder: Any, a: Any, b: Any) -> Any:
    """By 32-bit limbs; the reduction is that of :func:`.kernels.reduce2`."""
    low, half = _constant(_WORDS, 0xFFFFFFFF), _constant(_WORDS, 32)
    a_low, a_high, b_low, b_high = builder.and_(a, low), builder.lshr(a, half), builder.and_(b, low), builder.lshr(b, half)
    bottom = builder.mul(a_low, b_low)
    middle = builder.add(builder.mul(a_high, b_low), builder.lshr(bottom, half))
    other = builder.add(builder.mul(a_low, b_high), builder.and_(middle, low))
    top = builder.add(builder.add(builder.mul(a_high, b_high), builder.lshr(middle, half)), builder.lshr(other, half))
    bottom = builder.or_(builder.shl(other, half), builder.and_(bottom, low))
    top_high, top_low = builder.lshr(top, half), builder.and_(top, low)
    reduced = builder.sub(bottom, top_high)
    reduced = builder.select(builder.icmp_unsigned("<", bottom, top_high), builder.sub(reduced, low), reduced)
    addend = builder.sub(builder.shl(top_low, half), top_low)
    total = builder.add(reduced, addend)
    total = builder.select(builder.icmp_unsigned("<", total, addend), builder.add(total, low), total)
    return builder.select(
        builder.icmp_unsigned(">=", total, _constant(_WORDS, _P)), builder.sub(total, _constant(_WORDS, _P)), total
    )


def _broadcast(builder: Any, word: Any) -> Any:
    first = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, ir.Constant(_WORDS, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


@intrinsic
def _scale(_typing: Any, _array: Any, _offset: Any, _w: Any) -> Any:
    """Multiply eight words in place by w."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        place = _place(context, builder, args[0], args[1], _WORDS)
        builder.store(_mul(builder, _load(builder, place), _broadcast(builder, args[2])), place, align=8)
        return context.get_dummy_value()

    return types.void(_ARRAY, _N, _U), generate


@intrinsic
def _butterfly(_typing: Any, _array: Any, _low: Any, _high: Any, _w: Any) -> Any:
    """(a, b) becomes (a + b, (a - b) w), eight times."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        low, high = (_place(context, builder, args[0], offset, _WORDS) for offset in args[1:3])
        a, b = _load(builder, low), _load(builder, high)
        builder.store(_add(builder, a, b), low, align=8)
        builder.store(_mul(builder, _sub(builder, a, b), _broadcast(builder, args[3])), high, align=8)
        return context.get_dummy_value()

    return types.void(_ARRAY, _N, _N, _U), generate


@export("F2", "F1", "F1", "F1")
def encode_coset(matrix, shifts, twiddles, out):
    """out[(g cols + i) 8 + lane] = the transform of row 8 g + lane, scaled by the shifts, at the reversed bits of i.

    Rows beyond the last are zero.
    Decimation in frequency: natural order in, bit-reversed out; twiddles[k] = w^k for k < cols / 2.
    """
    rows, cols = matrix.shape
    for group in range((rows + LANES - 1) // LANES):
        base = group * cols * LANES
        for j0 in range(0, cols, LANES):
            for lane in range(LANES):
                row = LANES * group + lane
                for j in range(j0, j0 + LANES):
                    out[base + LANES * j + lane] = matrix[row, j] if row < rows else _0
            for j in range(j0, j0 + LANES):
                _scale(out, base + LANES * j, shifts[j])
        half, step = cols // 2, 1
        while half >= 1:
            for start in range(0, cols, 2 * half):
                for k in range(half):
                    low = base + LANES * (start + k)
                    _butterfly(out, low, low + LANES * half, twiddles[k * step])
            half //= 2
            step *= 2


# -- SHA-256 in sixteen lanes (FIPS 180-4) --------------------------------------------------------------------------------


def _fractions(power: int, count: int) -> list[int]:
    """The first 32 bits of the fractional parts of roots of the first primes, in integers."""
    primes = [n for n in range(2, 312) if all(n % k for k in range(2, int(n**0.5) + 1))][:count]
    return [_root(prime << 32 * power, power) & 0xFFFFFFFF for prime in primes]


def _root(value: int, power: int) -> int:
    guess = 1 << -(-value.bit_length() // power)
    while guess**power > value:
        guess = ((power - 1) * guess + value // guess ** (power - 1)) // power
    return guess


_INITIAL = tuple(_fractions(2, 8))
_ROUND = tuple(_fractions(3, 64))


def _rotate(builder: Any, x: Any, by: int) -> Any:
    kind = ir.FunctionType(_SHORT, [_SHORT] * 3)
    rotate = builder.module.declare_intrinsic(f"llvm.fshr.v{MESSAGES}i32", (), kind)
    return builder.call(rotate, [x, x, _constant(_SHORT, by)])


def _sigma(builder: Any, x: Any, first: int, second: int, third: int, *, shift: bool) -> Any:
    last = builder.lshr(x, _constant(_SHORT, third)) if shift else _rotate(builder, x, third)
    return builder.xor(builder.xor(_rotate(builder, x, first), _rotate(builder, x, second)), last)


def _sum(builder: Any, *terms: Any) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = builder.add(total, term)
    return total


def _round(builder: Any, state: list[Any], word: Any, constant: int) -> list[Any]:
    a, b, c, d, e, f, g, h = state
    choice = builder.xor(g, builder.and_(e, builder.xor(f, g)))
    majority = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
    first = _sum(builder, h, _sigma(builder, e, 6, 11, 25, shift=False), choice, _constant(_SHORT, constant), word)
    second = builder.add(_sigma(builder, a, 2, 13, 22, shift=False), majority)
    return [builder.add(first, second), a, b, c, builder.add(d, first), e, f, g]


@intrinsic
def _compress(_typing: Any, _array: Any, _state: Any, _block: Any) -> Any:
    """One block of sixteen messages: eight vectors of state at one offset, sixteen of message words at the other."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        size = MESSAGES // 2
        places = [_place(context, builder, args[0], _plus(builder, args[1], size * k), _SHORT) for k in range(8)]
        before = [_load(builder, p) for p in places]
        words = [_load(builder, _place(context, builder, args[0], _plus(builder, args[2], size * k), _SHORT)) for k in range(16)]
        state = before
        for t, constant in enumerate(_ROUND):
            if t >= 16:
                small = _sigma(builder, words[1], 7, 18, 3, shift=True)
                large = _sigma(builder, words[14], 17, 19, 10, shift=True)
                words = [*words[1:], _sum(builder, words[0], small, words[9], large)]
            state = _round(builder, state, words[t] if t < 16 else words[15], constant)
        for place, old, new in zip(places, before, state, strict=True):
            builder.store(builder.add(old, new), place, align=8)
        return context.get_dummy_value()

    return types.void(_ARRAY, _N, _N), generate


@intrinsic
def _shift_in(_typing: Any, _array: Any, _carry: Any, _values: Any, _block: Any) -> Any:
    """Two message words per lane from eight bytes, one byte late: a byte of the prefix or of the word before comes first."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        carry, values = (_place(context, builder, args[0], offset, _LONG) for offset in args[1:3])
        swap = builder.module.declare_intrinsic(f"llvm.bswap.v{MESSAGES}i64", (), ir.FunctionType(_LONG, [_LONG]))
        swapped = builder.call(swap, [_load(builder, values)])
        chunk = builder.or_(builder.shl(_load(builder, carry), _constant(_LONG, 56)), builder.lshr(swapped, _constant(_LONG, 8)))
        builder.store(swapped, carry, align=8)
        high, low = builder.trunc(builder.lshr(chunk, _constant(_LONG, 32)), _SHORT), builder.trunc(chunk, _SHORT)
        builder.store(high, _place(context, builder, args[0], args[3], _SHORT), align=8)
        after = _plus(builder, args[3], MESSAGES // 2)
        builder.store(low, _place(context, builder, args[0], after, _SHORT), align=8)
        return context.get_dummy_value()

    return types.void(_ARRAY, _N, _N, _N), generate


@intrinsic
def _swap(_typing: Any, _a: Any) -> Any:
    """The word's bytes reversed."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return _U(_U), generate


_CARRY, _VALUES, _BLOCK, _STATE = 0, 16, 144, 272
#: Words of scratch space that :func:`hash_messages` needs.
SCRATCH = 336
_HALF = MESSAGES // 2  # words that hold one 32-bit word of every message
_32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@njit(inline="always")
def _begin(work, prefix):
    for lane in range(MESSAGES):
        work[_CARRY + lane] = prefix
    for k in range(8):
        word = np.uint64(_INITIAL[k])
        for lane in range(_HALF):
            work[_STATE + _HALF * k + lane] = word << _32 | word


@njit(inline="always")
def _words_from_values(work):
    for k in range(8):
        _shift_in(work, _CARRY, _VALUES + MESSAGES * k, _BLOCK + MESSAGES * k)


@njit(inline="always")
def _end(work, tail):
    """After the last ``tail`` < 8 words of every message: 0x80 and zeros."""
    for k in range(tail * MESSAGES, 8 * MESSAGES):
        work[_VALUES + k] = np.uint64(0x80) if k < (tail + 1) * MESSAGES else _0
    _words_from_values(work)


@njit(inline="always")
def _finish(work, bits):
    """The last block, with the length in bits at its end, where zeros are."""
    for lane in range(_HALF):
        work[_BLOCK + 7 * MESSAGES + lane] = bits >> _32 << _32 | bits >> _32
        work[_BLOCK + 7 * MESSAGES + _HALF + lane] = (bits & _LOW) << _32 | bits & _LOW
    _compress(work, _STATE, _BLOCK)


@njit(inline="always")
def _digest_word(work, lane, k):
    """Bytes 8 k to 8 k + 8 of a message's digest, as they lie in memory."""
    at, down = _STATE + lane // 2 + MESSAGES * k, np.uint64(32 * (lane % 2))
    return _swap((work[at] >> down & _LOW) << _32 | work[at + _HALF] >> down & _LOW)


@export("F1", "N", "N", "N", "U", "I1", "F1", "F2")
def hash_messages(data, count, length, stride, prefix, order, work, out):
    """out[order[j]] = SHA-256(prefix byte, data[8 j .. 8 j + 8], data[stride + 8 j ..], ...), ``length`` words, for j < count.

    Sixteen messages at a time (count is a multiple); a digest is four words of memory.
    """
    for first in range(0, count, MESSAGES):
        _begin(work, prefix)
        for block in range(length // 8):
            base = block * stride + 8 * first
            for k in range(8):
                for lane in range(MESSAGES):
                    work[_VALUES + MESSAGES * k + lane] = data[base + 8 * lane + k]
            _words_from_values(work)
            _compress(work, _STATE, _BLOCK)
        tail = length % 8
        base = length // 8 * stride + 8 * first
        for k in range(tail):
            for lane in range(MESSAGES):
                work[_VALUES + MESSAGES * k + lane] = data[base + 8 * lane + k]
        _end(work, tail)
        if tail == 7:  # a byte late, the 0x80 stands where the length begins: one block more
            _compress(work, _STATE, _BLOCK)
            for k in range(8 * MESSAGES):
                work[_VALUES + k] = _0
            _words_from_values(work)
        _finish(work, np.uint64(8 * (8 * length + 1)))
        for lane in range(MESSAGES):
            for k in range(4):
                out[order[first + lane], k] = _digest_word(work, lane, k)
