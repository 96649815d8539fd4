# SPDX-License-Identifier: Apache-2.0
"""A second verifier, written from docs/formats/sumcheck.md: Python integers and loops, nothing of the first but the structure.

It judges small proofs, slowly. What both accept and both refuse is what the document says.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from verifiable.zk.sumcheck.structure import Structure

P = 2**64 - 2**32 + 1
LOG_COLS = [*[0] * 9, 5, 6, 7, 8, 9, 9, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17]
E = tuple[int, int]
Point = list[E]
Map = tuple[list[tuple[int, int, int]], int, int, int]  # triples (output, tap, input), and the variables of each
ZERO, ONE = (0, 0), (1, 0)


class Refused(Exception):
    """The statement is not proved by these bytes."""


def must(holds: bool) -> None:
    if not holds:
        raise Refused


def add(*terms: E) -> E:
    return sum(t[0] for t in terms) % P, sum(t[1] for t in terms) % P


def sub(a: E, b: E) -> E:
    return (a[0] - b[0]) % P, (a[1] - b[1]) % P


def mul(*factors: E) -> E:
    a = ONE
    for b in factors:
        a = (a[0] * b[0] + 7 * a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P
    return a


def num(value: int) -> E:
    return value % P, 0


def eqs(point: Sequence[E]) -> Point:
    table = [ONE]
    for r in point:
        table = [part for t in table for part in (mul(t, sub(ONE, r)), mul(t, r))]
    return table


def extension(values: Iterable[int], point: Sequence[E]) -> E:
    return add(ZERO, *(mul(w, num(int(v))) for w, v in zip(eqs(point), values, strict=True)))


def log(extent: int) -> int:
    return math.ceil(math.log2(extent))


def cut(point: Sequence[E], *sizes: int) -> list[Point]:
    assert sum(sizes) == len(point)
    ends = list(itertools.accumulate(sizes))
    return [list(point[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def stack(blocks: list[tuple[Any, int]]) -> tuple[int, dict[Any, tuple[int, int]]]:
    places, end = {}, 0
    for key, size in sorted(blocks, key=lambda block: -block[1]):
        places[key] = (size, end)
        end += 1 << size
    return max(1, log(end)), places


def place(log_size: int, size: int, offset: int, at: Sequence[E]) -> E:
    bits = [offset >> (log_size - 1 - i) & 1 for i in range(log_size - size)]
    return mul(*(r if bit else sub(ONE, r) for bit, r in zip(bits, at, strict=False)))


class Second:
    """One proof, read front to back."""

    def __init__(self, structure: Structure, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self.s, self.inputs, self.outputs = structure, inputs, outputs
        self.samples = len(next(iter(inputs.values())))
        self.first = len(structure.inputs)
        self.kinds = [type(op).__name__ for op in structure.ops]
        self.open: dict[int, list[tuple[Point, E]]] = {}
        self.trace: list[tuple[Any, Point, E]] = []
        self.weights: list[tuple[Any, Point, E]] = []
        self.lay_out()

    # -- the structure ------------------------------------------------------------------------------------------------------

    def logs(self, tensor: int) -> list[int]:
        return [log(self.samples), *map(log, self.s.shapes[tensor])]

    def lay_out(self) -> None:
        cells = {i: sum(self.logs(self.first + i)) for i in range(len(self.kinds))}
        shifts = {i: op.shift for i, op in enumerate(self.s.ops) if self.kinds[i] == "Requantise"}  # type: ignore[union-attr]

        def digits(shift: int, w: int) -> list[int]:
            return [w] * (shift // w) + [shift % w] * (shift % w > 0)

        def cost(w: int) -> int:
            used = {v for shift in shifts.values() for v in digits(shift, w)}
            return sum(len(digits(shift, w)) << cells[i] for i, shift in shifts.items()) + sum(1 << v for v in used)

        width = min((4, 6, 8, 10, 12, 16), key=cost)
        self.digits = {i: digits(shift, width) for i, shift in shifts.items()}
        ranges = sorted({v for widths in self.digits.values() for v in widths})
        tables: list[tuple[Any, int]] = [(("table", t), log(len(table.values))) for t, table in enumerate(self.s.tables)]
        tables += [(("relu", i), log(len(self.s.maxima[i].values))) for i in range(len(cells)) if self.kinds[i] == "Maximum"]
        tables += [(("range", v), v) for v in ranges]
        self.number = {key: n for n, (key, _) in enumerate(tables, 1)}
        blocks: list[tuple[Any, int]] = []
        self.lookups: dict[Any, tuple[Any, int]] = {}  # leaf to (its table, columns)
        leaves = list(tables)
        for i, kind in enumerate(self.kinds):
            if kind in ("Requantise", "Maximum"):
                own = ("table", self.s.ops[i].table) if kind == "Requantise" else ("relu", i)  # type: ignore[union-attr]
                mine = [((i, "result"), (own, 2))] + [((i, j), (("range", v), 1)) for j, v in enumerate(self.digits.get(i, []))]
                self.lookups |= dict(mine)
                blocks += [(key, cells[i]) for key, _ in mine]
                leaves += [(key, cells[i]) for key, _ in mine]
        self.t_size, self.t = stack(blocks + tables or [("none", 1)])
        self.w_size, self.w = stack(list(self.weight_blocks()) or [("none", 1)])
        self.log_leaves, self.leaves = stack(leaves) if leaves else (0, {})

    def weight_blocks(self) -> Iterable[tuple[Any, int]]:
        for i, (kind, op) in enumerate(zip(self.kinds, self.s.ops, strict=True)):
            shape = self.s.shapes[self.first + i]
            if kind == "Dense":
                out, inner = log(shape[-1]), log(self.s.shapes[op.source][-1])  # type: ignore[union-attr]
                yield from [((i, "weight"), out + inner), ((i, "bias"), out)]
            elif kind == "Conv":
                inner = log(self.s.shapes[op.source][1] // op.groups) + sum(map(log, op.kernel))  # type: ignore[union-attr]
                yield from [((i, "bias"), log(shape[1])), ((i, "weight"), log(shape[1]) + inner)]
            elif kind == "Scale":
                yield from zip([(i, "weight"), (i, "bias")], (sum(map(log, s)) for s in self.s.scales[i]), strict=True)

    def bits(self) -> int:
        """The header's, by the table under "Soundness"."""
        wide = max([columns for _, columns in self.lookups.values()], default=0)
        rows = sum(1 << size for size, _ in self.leaves.values())
        count = [0] * len(self.s.shapes)
        for i, kind in enumerate(self.kinds):
            for source in self.sources(i) if kind in ("Requantise", "Maximum") else ():
                count[source] += 1
        for output in self.s.outputs:
            count[output.tensor] += 1
        on_t = sum(columns for _, columns in self.lookups.values()) + len(self.number)
        on_w = rounds = 0
        for i in reversed(range(len(self.kinds))):
            mine, kind = count[self.first + i], self.kinds[i]
            if kind in ("Requantise", "Maximum"):
                on_t += mine
                continue
            on_w += 2 * mine * (kind in ("Dense", "Conv", "Scale"))
            rounds += mine * self.rounds(i)
            for source in self.sources(i):
                count[source] += mine
        points = sum(sum(self.logs(output.tensor)) for output in self.s.outputs)
        tables = rows * wide + self.log_leaves**2 + self.log_leaves
        error = Fraction(tables + 3 * points + 2 * rounds + on_t + on_w + 2 * (self.t_size + self.w_size), P**2)
        for size in (self.t_size, self.w_size):
            error += Fraction(2 * 4 << LOG_COLS[size], P**2) + Fraction(5, 8) ** 154
        return (1 / error).__floor__().bit_length() - 1

    def rounds(self, i: int) -> int:
        kind, op = self.kinds[i], self.s.ops[i]
        if kind in ("Combine", "Transpose"):
            return 0
        if kind == "Dense":
            return self.w[i, "weight"][0] - self.w[i, "bias"][0]
        if kind == "Conv":
            inner = self.w[i, "weight"][0] - self.w[i, "bias"][0]
            return log(op.groups) + inner + sum(self.logs(op.source)[3:])  # type: ignore[union-attr]
        return sum(sum(self.logs(source)) for source in self.sources(i))

    def sources(self, i: int) -> tuple[int, ...]:
        op: Any = self.s.ops[i]
        if self.kinds[i] == "Maximum":
            return op.left, op.right
        return op.sources if self.kinds[i] in ("Combine", "Concat") else (op.source,)

    # -- transcript and bytes -----------------------------------------------------------------------------------------------

    def absorb(self, label: str, data: bytes) -> None:
        prefix = len(label).to_bytes(4, "little") + label.encode() + len(data).to_bytes(8, "little")
        self.state = hashlib.sha256(b"\0" + self.state + prefix + data).digest()

    def words(self) -> Iterable[int]:
        for i in itertools.count():
            block = hashlib.sha256(b"\1" + self.state + i.to_bytes(8, "little")).digest()
            yield from (int.from_bytes(block[k : k + 8], "little") for k in range(0, 32, 8))

    def draw(self, label: str, count: int) -> Point:
        below = list(itertools.islice((w for w in self.words() if w < P), 2 * count))
        self.absorb("squeezed " + label, count.to_bytes(8, "little"))
        return list(zip(below[::2], below[1::2], strict=True))

    def take(self, label: str, size: int) -> bytes:
        must(self.at + size <= len(self.proof))
        data = self.proof[self.at : self.at + size]
        self.at += size
        self.absorb(label, data)
        return data

    def integers(self, label: str, count: int) -> list[int]:
        data = self.take(label, 8 * count)
        found = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
        must(all(word < P for word in found))
        return found

    def elements(self, label: str, count: int) -> Point:
        found = self.integers(label, 2 * count)
        return list(zip(found[::2], found[1::2], strict=True))

    # -- the protocol -------------------------------------------------------------------------------------------------------

    def verify(self, circuit: bytes, root: bytes, proof: bytes) -> None:
        self.proof, self.at = proof, 25
        start = b"verifiable/sumcheck/v1\0" + self.bits().to_bytes(2, "little")
        must(proof[:25] == start)
        self.state = hashlib.sha256(b"verifiable/sumcheck/v1").digest()
        for label, data in (("header", start), ("circuit", circuit), ("weights", root)):
            self.absorb(label, data)
        for kind, given in (("input", self.inputs), ("output", self.outputs)):
            for name in sorted(given):
                self.absorb(f"{kind} name", name.encode())
                self.absorb(f"{kind} shape", b"".join(d.to_bytes(8, "little") for d in given[name].shape))
                self.absorb(kind, b"".join(int(v).to_bytes(8, "little", signed=True) for v in given[name].flat))
        t_root = self.take("trace root", 32)
        if self.leaves:
            self.tables()
        for output in self.s.outputs:
            point = self.draw("output point", sum(self.logs(output.tensor)))
            self.output(output.tensor, point, self.public(self.outputs[output.name], point))
        for i in reversed(range(len(self.kinds))):
            for point, value in self.open.pop(self.first + i, []):
                self.reduce(i, point, value)
        for tensor, claims in self.open.items():
            for point, value in claims:
                must(self.public(self.inputs[self.s.inputs[tensor].name], point) == value)
        self.batch("trace", t_root, self.t_size, self.t, self.trace)
        self.batch("weights", root, self.w_size, self.w, self.weights)
        must(self.at == len(proof))

    def public(self, value: Any, point: Point) -> E:
        whole = np.zeros([1 << log(d) for d in value.shape], object)
        whole[tuple(map(slice, value.shape))] = value
        whole[len(value) :] = whole[len(value) - 1]
        return extension(whole.flat, point)

    def claim(self, tensor: int, point: Point, value: E) -> None:
        self.open.setdefault(tensor, []).append((point, value))

    def sum(self, label: str, claim: E, rounds: int, weights: Sequence[E] = ()) -> tuple[Point, E]:
        point: Point = []
        for k in range(rounds):
            a, b = self.elements(f"{label} round", 2)
            if k < len(weights):
                c0, c1, c2 = sub(claim, mul(weights[k], add(a, b))), a, b
            else:
                c0, c1, c2 = a, sub(claim, add(a, a, b)), b
            (r,) = self.draw(f"{label} challenge", 1)
            claim = add(c0, mul(c1, r), mul(c2, r, r))
            point.append(r)
        return point, claim

    def product(self, label: str, claim: E, rounds: int, weights: Sequence[E] = ()) -> tuple[Point, E, E]:
        point, last = self.sum(label, claim, rounds, weights)
        a, b = self.elements(f"{label} values", 2)
        must(mul(a, b) == last)
        return point, a, b

    def against(self, label: str, claim: E, rounds: int, public: Callable[[Point], E]) -> tuple[Point, E]:
        point, last = self.sum(label, claim, rounds)
        (value,) = self.elements(f"{label} value", 1)
        must(mul(value, public(point)) == last)
        return point, value

    def tables(self) -> None:
        alpha, beta = self.draw("logup alpha, beta", 2)
        wide = max(columns for _, columns in self.lookups.values())
        point: Point = []
        p = q = ZERO
        for layer in range(self.log_leaves):
            mix = self.draw("logup mix", 1)[0] if layer else ZERO
            found, last = self.sum("logup", add(p, mul(mix, q)), layer, point[::-1])
            p0, p1, q0, q1 = self.elements("logup children", 4)
            must(add(mul(p0, q1), mul(p1, q0), mul(mix, q0, q1)) == last)
            must(layer > 0 or mul(q0, q1) != ZERO)
            (r,) = self.draw("logup merge", 1)
            p, q, point = add(p0, mul(r, sub(p1, p0))), add(q0, mul(r, sub(q1, q0))), [*found[::-1], r]
        free, numerator, denominator = ONE, ZERO, ZERO
        stated: dict[Any, tuple[Point, Point]] = {}
        for key, (size, offset) in self.leaves.items():
            weight, inside = place(self.log_leaves, size, offset, point), point[len(point) - size :]
            table, columns = self.lookups.get(key, (key, 1))
            values = self.elements("logup values", columns)
            row = values if key in self.lookups else self.row(key, inside)
            powers = [mul(*[beta] * k) for k in range(wide + 1)]
            f = add(mul(powers[-1], num(self.number[table])), *map(mul, powers, row))
            numerator = add(numerator, mul(weight, ONE if key in self.lookups else sub(ZERO, values[0])))
            denominator, free = add(denominator, mul(weight, sub(alpha, f))), sub(free, weight)
            stated[key] = inside, values
        must(numerator == p and add(denominator, free) == q)
        for key, (inside, values) in stated.items():
            self.column(key, inside, values, stated)

    def row(self, key: Any, at: Point) -> Point:
        counter = extension(range(1 << len(at)), at)
        if key[0] == "range":
            return [counter]
        table = self.s.tables[key[1]] if key[0] == "table" else self.s.maxima[key[1]]
        return [add(counter, num(table.low)), extension(table.values, at)]

    def column(self, key: Any, at: Point, values: Point, stated: Mapping[Any, tuple[Point, Point]]) -> None:
        op: Any = self.s.ops[key[0]] if isinstance(key[0], int) else None
        if type(op).__name__ == "Maximum":
            (right,) = self.elements("maximum", 1)
            self.claim(op.right, at, right)
            self.claim(op.left, at, add(values[0], right))
            self.trace.append((key, at, add(values[1], right)))
            return
        if key[1] == "result":
            t, power = sub(mul(values[0], num(1 << op.shift)), num((1 << op.shift) // 2)), 1
            for j, width in enumerate(self.digits[key[0]]):
                t = add(t, mul(stated[key[0], j][1][0], num(power)))
                power <<= width
            self.claim(op.source, at, t)
        self.trace.append((key, at, values[-1]))

    # -- operations ---------------------------------------------------------------------------------------------------------

    def select(self, tensor: int, point: Point, value: E, maps: list[Map], taps: Sequence[Point | None]) -> None:
        kept, *outputs = cut(point, len(point) - sum(m[1] for m in maps), *(m[1] for m in maps))

        def public(at: Point) -> E:
            product = ONE
            for (triples, _, _, _), out, tap, inside in zip(maps, outputs, taps, cut(at, *(m[3] for m in maps)), strict=True):
                y, i, h = eqs(out), None if tap is None else eqs(tap), eqs(inside)
                product = mul(product, add(ZERO, *(mul(y[a], ONE if i is None else i[b], h[c]) for a, b, c in triples)))
            return product

        found, result = self.against("select", value, sum(m[3] for m in maps), public)
        self.claim(tensor, kept + found, result)

    def output(self, tensor: int, point: Point, value: E) -> None:
        shape = self.s.shapes[tensor]
        first = next((a for a, d in enumerate(shape) if d != 1 << log(d)), len(shape))
        maps = [moved(d, d, lambda y: y) for d in shape[first:]]
        if maps:
            self.select(tensor, point, value, maps, [[]] * len(maps))
        else:
            self.claim(tensor, point, value)

    def reduce(self, i: int, point: Point, value: E) -> None:
        if self.kinds[i] in ("Requantise", "Maximum"):
            self.trace.append(((i, "result"), point, value))
        else:
            getattr(self, self.kinds[i].lower())(i, self.s.ops[i], point, value)

    def biased(self, i: int, at: Point, value: E) -> E:
        (bias,) = self.elements("bias", 1)
        self.weights.append(((i, "bias"), at, bias))
        return sub(value, bias)

    def dense(self, i: int, op: Any, point: Point, value: E) -> None:
        size = self.w[i, "bias"][0]
        batch, out = cut(point, len(point) - size, size)
        found, w, x = self.product("dense", self.biased(i, out, value), self.w[i, "weight"][0] - size)
        self.weights.append(((i, "weight"), out + found, w))
        self.claim(op.source, batch + found, x)

    def conv(self, i: int, op: Any, point: Point, value: E) -> None:
        given, shape = self.s.shapes[op.source], self.s.shapes[self.first + i]
        samples, n, channel, y, x = cut(point, *self.logs(self.first + i))
        group, out = cut(channel, log(op.groups), len(channel) - log(op.groups))
        maps = self.windows(op, given, shape)
        sizes = (len(group), log(given[1] // op.groups), maps[0][2], maps[1][2])
        found, w, view = self.product("conv", self.biased(i, channel, value), sum(sizes), group)
        g, c, ti, tj = cut(found, *sizes)
        self.weights.append(((i, "weight"), g + out + c + ti + tj, w))
        self.select(op.source, samples + n + g + c + y + x, view, maps, [ti, tj])

    def windows(self, op: Any, given: Any, shape: Any) -> list[Map]:
        maps = []
        for a in range(2):
            size, kernel, stride, pad, outs = given[a + 2], op.kernel[a], op.strides[a], op.pads[a], shape[a + 2]
            all_of = [(y, t, y * stride + t - pad) for y in range(outs) for t in range(kernel)]
            maps.append(([m for m in all_of if 0 <= m[2] < size], log(outs), log(kernel), log(size)))
        return maps

    def sumpool(self, i: int, op: Any, point: Point, value: E) -> None:
        inverse = num(pow(op.multiplier % P, P - 2, P))
        maps = self.windows(op, self.s.shapes[op.source], self.s.shapes[self.first + i])
        self.select(op.source, point, mul(sub(value, num(op.bias)), inverse), maps, [None, None])

    def scale(self, i: int, op: Any, point: Point, value: E) -> None:
        multiplier, bias = self.s.scales[i]

        def own(shape: tuple[int, ...], at: Point) -> Point:
            parts = cut(at, *self.logs(self.first + i))[-len(shape) :]
            return [r for d, part in zip(shape, parts, strict=True) if d > 1 for r in part]

        rest = self.biased(i, own(bias, point), value)
        found, m, x = self.product("scale", rest, len(point), point)
        self.weights.append(((i, "weight"), own(multiplier, found), m))
        self.claim(op.source, found, x)

    def combine(self, i: int, op: Any, point: Point, value: E) -> None:
        found = self.elements("combine", len(op.sources))
        must(add(num(op.constant), *(mul(v, num(c)) for v, c in zip(found, op.coefficients, strict=True))) == value)
        for source, v in zip(op.sources, found, strict=True):
            self.claim(source, point, v)

    def transpose(self, i: int, op: Any, point: Point, value: E) -> None:
        samples, *axes = cut(point, *self.logs(self.first + i))
        back = dict(zip(op.axes, axes, strict=True))
        self.claim(op.source, samples + [r for a in range(len(axes)) for r in back[a]], value)

    def reshape(self, i: int, op: Any, point: Point, value: E) -> None:
        old = [d for d in self.s.shapes[op.source] if d > 1]
        new = [d for d in self.s.shapes[self.first + i] if d > 1]
        while old and new and old[0] == new[0]:
            old, new = old[1:], new[1:]
        if all(d == 1 << log(d) for d in old + new):
            self.claim(op.source, point, value)
            return
        cells = zip(flat(new), flat(old), strict=True)
        triples = [(y, 0, h) for y, h in cells]
        self.select(op.source, point, value, [(triples, sum(map(log, new)), 0, sum(map(log, old)))], [[]])

    def slice(self, i: int, op: Any, point: Point, value: E) -> None:
        given, shape = self.s.shapes[op.source], self.s.shapes[self.first + i]
        rules = list(zip(op.starts, op.steps, given, shape, strict=True))
        first = next((a for a, (s, by, d, e) in enumerate(rules) if s or by > 1 or d != e), len(rules))
        maps = [moved(e, d, lambda y, s=s, by=by: s + by * y) for s, by, d, e in rules[first:]]  # type: ignore[misc]
        self.select(op.source, point, value, maps, [[]] * len(maps))

    def pad(self, i: int, op: Any, point: Point, value: E) -> None:
        given, shape = self.s.shapes[op.source], self.s.shapes[self.first + i]
        first = next((a for a in range(len(shape)) if op.before[a] or op.after[a]), len(shape))
        maps = [moved(shape[a], given[a], lambda y, b=op.before[a]: y - b) for a in range(first, len(shape))]  # type: ignore[misc]
        covered = ONE
        for (triples, *_), at in zip(maps, cut(point, *self.logs(self.first + i))[first + 1 :], strict=True):
            weights = eqs(at)
            covered = mul(covered, add(ZERO, *(weights[y] for y, _, _ in triples)))
        rest = sub(value, mul(num(op.value), sub(ONE, covered)))
        self.select(op.source, point, rest, maps, [[]] * len(maps))

    def concat(self, i: int, op: Any, point: Point, value: E) -> None:
        shape, start = self.s.shapes[self.first + i], 0
        found = self.elements("concat", len(op.sources))
        must(add(*found) == value)
        for source, v in zip(op.sources, found, strict=True):
            given = self.s.shapes[source]
            shifts = [start if a == op.axis else 0 for a in range(len(shape))]
            maps = [moved(shape[a], given[a], lambda y, b=shifts[a]: y - b) for a in range(op.axis, len(shape))]  # type: ignore[misc]
            self.select(source, point, v, maps, [[]] * len(maps))
            start += given[op.axis]

    # -- claims and openings ------------------------------------------------------------------------------------------------

    def batch(self, label: str, root: bytes, size: int, places: Mapping[Any, tuple[int, int]], claims: list[Any]) -> None:
        (gamma,) = self.draw(f"{label} claims", 1)
        powers = [mul(*[gamma] * k) for k in range(len(claims))]

        def public(at: Point) -> E:
            total = ZERO
            for power, (key, point, _) in zip(powers, claims, strict=True):
                own, offset = places[key]
                pairs = zip(point, at[len(at) - own :], strict=True)
                inside = mul(*(add(mul(a, b), mul(sub(ONE, a), sub(ONE, b))) for a, b in pairs))
                total = add(total, mul(power, place(size, own, offset, at), inside))
            return total

        total = add(ZERO, *(mul(power, value) for power, (_, _, value) in zip(powers, claims, strict=True)))
        point, value = self.against(label, total, size, public)
        self.opening(root, size, point, value)

    def opening(self, root: bytes, size: int, point: Point, value: E) -> None:
        cols = LOG_COLS[size]
        self.absorb("opening root", root)
        self.absorb("opening size", size.to_bytes(8, "little"))
        for label, scalars in (("opening point", point), ("opening value", [value])):
            self.absorb(label, b"".join(word.to_bytes(8, "little") for scalar in scalars for word in scalar))
        rho = self.draw("opening rows", 1 << (size - cols))
        both = self.elements("opening combinations", 2 << cols)
        rows = both[: 1 << cols], both[1 << cols :]
        must(add(ZERO, *map(mul, eqs(point[size - cols :]), rows[0])) == value)
        indices = [w % (4 << cols) for w in itertools.islice(self.words(), 154)]
        self.absorb("squeezed opening columns", (154).to_bytes(8, "little"))
        drawn = sorted(set(indices))
        words = self.integers("opening columns", len(drawn) << (size - cols))
        height = 1 << (size - cols)
        columns = {j: words[k * height : (k + 1) * height] for k, j in enumerate(drawn)}
        self.tree(root, columns, cols + 2)
        omega = pow(7, (P - 1) // (4 << cols), P)
        for row, weights in zip(rows, (eqs(point[: size - cols]), rho), strict=True):
            for j, column in columns.items():
                x, code = pow(omega, j, P), ZERO
                for coefficient in reversed(row):
                    code = add(mul(code, (x, 0)), coefficient)
                must(code == add(ZERO, *(mul(w, num(c)) for w, c in zip(weights, column, strict=True))))

    def tree(self, root: bytes, columns: Mapping[int, list[int]], depth: int) -> None:
        level = {j: hashlib.sha256(b"\0" + b"".join(c.to_bytes(8, "little") for c in col)).digest() for j, col in columns.items()}
        missing, known = [], sorted(level)
        for k in range(depth):
            missing += [(k, j ^ 1) for j in known if j ^ 1 not in known]
            known = sorted({j // 2 for j in known})
        sent = self.take("opening nodes", 32 * len(missing))
        nodes = {spot: sent[32 * i : 32 * i + 32] for i, spot in enumerate(missing)}
        for k in range(depth):
            level |= {j: node for (at, j), node in nodes.items() if at == k}
            level = {j // 2: hashlib.sha256(b"\1" + level[j] + level[j + 1]).digest() for j in level if j % 2 == 0}
        must(level[0] == root)


def moved(outputs: int, size: int, source: Callable[[int], int]) -> Map:
    """An axis on which output y reads input source(y), where there is one."""
    return [(y, 0, source(y)) for y in range(outputs) if 0 <= source(y) < size], log(outputs), 0, log(size)


def flat(shape: Sequence[int]) -> list[int]:
    """Places of real cells in the padded tensor, in row-major order."""
    found = [0]
    for extent in shape:
        found = [(at << log(extent)) + k for at in found for k in range(extent)]
    return found
