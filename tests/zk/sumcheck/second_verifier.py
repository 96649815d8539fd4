# SPDX-License-Identifier: Apache-2.0
"""A second verifier, written from docs/formats/sumcheck.md: Python integers and loops, nothing of the first.

It is given the circuit's part ``structure`` as bytes, and judges small proofs, slowly. What both accept and both refuse is what
the document says.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

P = 2**64 - 2**32 + 1
LEAST_USED = (402, 530, 1032, 2332, 6164, 18875, 64660, 237866, 911035, 3564614, 14100958, 56090620, 223738061)  # from 2^5 on
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


def eq(a: Sequence[E], b: Sequence[E]) -> E:
    return mul(*(add(mul(x, y), mul(sub(ONE, x), sub(ONE, y))) for x, y in zip(a, b, strict=True)))


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


def used(places: Mapping[Any, tuple[int, int]]) -> int:
    return max(offset + (1 << size) for size, offset in places.values())


def place(log_size: int, size: int, offset: int, at: Sequence[E]) -> E:
    bits = [offset >> (log_size - 1 - i) & 1 for i in range(log_size - size)]
    return mul(*(r if bit else sub(ONE, r) for bit, r in zip(bits, at, strict=False)))


def log_cols(used: int) -> int:
    below = sum(least <= used for least in LEAST_USED)
    return below + 4 if below else 0


class Structure:
    """The circuit's part, read."""

    def __init__(self, data: bytes) -> None:
        part = json.loads(data)
        self.root = bytes.fromhex(part["weights"])
        self.inputs, self.outputs = ([SimpleNamespace(**entry) for entry in part[end]] for end in ("inputs", "outputs"))
        self.constants = [constant["shape"] for constant in part["constants"]]
        self.ops: list[Any] = [SimpleNamespace(**{k: whole(v, k) for k, v in op.items()}) for op in part["operations"]]
        self.tables = []
        for table in part["tables"]:
            values = [first + step * k for first, step, count in table["runs"] for k in range(count)]
            self.tables.append((int(table["low"]), values))
        self.maxima = {}
        for entry in part["maxima"]:
            low = int(entry["low"])
            self.maxima[entry["operation"]] = low, [max(low + k, 0) for k in range(1 << entry["logSize"])]
        self.ties = set(part["ties"])
        self.shapes: list[Any] = [entry.shape for entry in self.inputs]
        for op in self.ops:
            self.shapes.append(list(self.shape(op)))

    def shape(self, op: Any) -> Sequence[int]:
        x = self.shapes[sources(op)[0]]
        if op.op in ("conv", "sumpool"):
            channels = self.constants[op.weight][0] if op.op == "conv" else x[1]
            tall, wide = ((x[a + 2] + op.pads[a] + op.pads[a + 2] - op.kernel[a]) // op.strides[a] + 1 for a in range(2))
            return x[0], channels, tall, wide
        if op.op == "concat":
            joined = sum(self.shapes[source][op.axis] for source in op.sources)
            return [*x[: op.axis], joined, *x[op.axis + 1 :]]
        if op.op == "pad":
            return [b + d + a for b, d, a in zip(op.before, x, op.after, strict=True)]
        if op.op == "dense":
            return [*x[:-1], self.constants[op.weight][0]]
        if op.op == "transpose":
            return [x[a] for a in op.axes]
        return {"reshape": getattr(op, "shape", x), "slice": getattr(op, "sizes", x)}.get(op.op, x)


def whole(value: Any, name: str) -> Any:
    """Integers are sometimes written as strings."""
    if isinstance(value, list):
        return [int(v) for v in value]
    return value if name == "op" else int(value)


def sources(op: Any) -> Sequence[int]:
    if op.op == "maximum":
        return op.left, op.right
    return op.sources if op.op in ("combine", "concat") else (op.source,)


class Second:
    """One proof, read front to back."""

    def __init__(self, part: bytes, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self.s, self.inputs, self.outputs = Structure(part), inputs, outputs
        self.samples = len(next(iter(inputs.values())))
        self.first = len(self.s.inputs)
        self.kinds = [op.op for op in self.s.ops]
        self.open: dict[int, list[tuple[Point, E]]] = {}
        self.trace: list[tuple[Any, Point, E]] = []
        self.weights: list[tuple[Any, Point, E]] = []
        self.lay_out()

    # -- the structure ------------------------------------------------------------------------------------------------------

    def logs(self, tensor: int) -> list[int]:
        return [log(self.samples), *map(log, self.s.shapes[tensor])]

    def lay_out(self) -> None:
        cells = {i: sum(self.logs(self.first + i)) for i in range(len(self.kinds))}
        shifts = {i: op.shift for i, op in enumerate(self.s.ops) if op.op == "requantise"}

        def digits(shift: int, w: int) -> list[int]:
            return [w] * (shift // w) + [shift % w] * (shift % w > 0)

        def kind(i: int, j: int) -> str:
            return "range" if i not in self.s.ties else "next" if j else "first"

        def looked_up(w: int) -> set[tuple[str, int]]:
            return {(kind(i, j), v) for i, shift in shifts.items() for j, v in enumerate(digits(shift, w))}

        def cost(w: int) -> int:
            own = sum(len(digits(shift, w)) << cells[i] for i, shift in shifts.items())
            return own + sum(1 << (v + (name == "next")) for name, v in looked_up(w))

        width = min((4, 6, 8, 10, 12, 16), key=cost)
        self.digits = {i: digits(shift, width) for i, shift in shifts.items()}
        read = {(i in self.s.ties, self.s.ops[i].table) for i in shifts}
        tables: list[tuple[Any, int]] = []
        for name, tied in (("table", False), ("even", True)):
            tables += [((name, t), log(len(v)) + tied) for t, (_, v) in enumerate(self.s.tables) if (tied, t) in read]
        tables += [(("relu", i), log(len(values))) for i, (_, values) in sorted(self.s.maxima.items())]
        tables += [(key, key[1] + (key[0] == "next")) for key in sorted(looked_up(width))]
        self.number = {key: n for n, (key, _) in enumerate(tables, 1)}
        self.lookups: dict[Any, tuple[Any, list[Any]]] = {}  # leaf to (its table, what its columns are in T)
        leaves = list(tables)
        for i, op in enumerate(self.s.ops):
            tied = i in self.s.ties
            if op.op == "maximum":
                mine = [((i, "result"), (("relu", i), [None, None]))]
            elif op.op == "requantise":
                last = [(i, "tie", len(self.digits[i]) - 1)] * tied
                mine = [((i, "result"), (("even" if tied else "table", op.table), [None, (i, "result"), *last]))]
                for j, v in enumerate(self.digits[i]):
                    flags = [(i, "tie", k) for k in (j, j - 1) if tied and k >= 0]
                    mine.append(((i, "digit", j), ((kind(i, j), v), [(i, "digit", j), *flags])))  # type: ignore[list-item]
            else:
                continue
            self.lookups |= dict(mine)
            leaves += [(key, cells[i]) for key, _ in mine]
        self.log_leaves, self.leaves = stack(leaves) if leaves else (0, {})
        blocks: dict[Any, int] = {}
        for key, (size, _) in self.leaves.items():
            for column in self.lookups.get(key, (key, [key]))[1]:
                if column is not None:
                    blocks.setdefault(column, size)
        blocks |= {(i, "result"): cells[i] for i in sorted(self.s.maxima)}
        self.t_size, self.t = stack(list(blocks.items()) or [("none", 1)])
        self.w_size, self.w = stack(list(self.weight_blocks()) or [("none", 1)])

    def weight_blocks(self) -> Iterable[tuple[Any, int]]:
        for i, op in enumerate(self.s.ops):
            shape, given = self.s.shapes[self.first + i], self.s.shapes[sources(op)[0]]
            if op.op == "dense":
                yield from [((i, "weight"), log(shape[-1]) + log(given[-1])), ((i, "bias"), log(shape[-1]))]
            elif op.op == "conv":
                inner = log(given[1] // op.groups) + sum(map(log, op.kernel))
                yield from [((i, "bias"), log(shape[1])), ((i, "weight"), log(shape[1]) + inner)]
            elif op.op == "scale":
                sizes = (sum(map(log, self.s.constants[c])) for c in (op.multiplier, op.bias))
                yield from zip([(i, "weight"), (i, "bias")], sizes, strict=True)

    def bits(self) -> int:
        """The header's, by the table under "Soundness"."""
        wide = max([len(columns) for _, columns in self.lookups.values()], default=0)
        rows = sum(1 << size for size, _ in self.leaves.values())
        count = [0] * len(self.s.shapes)
        for op in self.s.ops:
            for source in sources(op) if op.op in ("requantise", "maximum") else ():
                count[source] += 1
        for output in self.s.outputs:
            count[output.tensor] += 1
        on_t = sum(len(columns) for _, columns in self.lookups.values()) + len(self.number)
        on_w = rounds = merges = 0
        for i, op in reversed(list(enumerate(self.s.ops))):
            mine = count[self.first + i]
            if op.op in ("requantise", "maximum"):
                on_t += mine
            elif mine:
                on_w += 2 * (op.op in ("dense", "conv", "scale"))
                rounds += self.rounds(i)
                merges += mine + 2 * sum(self.logs(self.first + i)) if mine > 1 else 0
                for source in sources(op):
                    count[source] += 1
        points = sum(sum(self.logs(output.tensor)) for output in self.s.outputs)
        tables = rows * wide + self.log_leaves**2 + self.log_leaves
        batching = on_t + on_w + 2 * (self.t_size + self.w_size)
        error = Fraction(tables + 3 * points + 2 * rounds + merges + batching, P**2)
        for places in (self.t, self.w):
            error += Fraction(2 * 4 << log_cols(used(places)), P**2) + Fraction(5, 8) ** 154
        return (1 / error).__floor__().bit_length() - 1

    def rounds(self, i: int) -> int:
        op = self.s.ops[i]
        if op.op in ("combine", "transpose"):
            return 0
        if op.op == "dense":
            return self.w[i, "weight"][0] - self.w[i, "bias"][0]
        if op.op == "conv":
            given, out = self.s.shapes[op.source], self.s.shapes[self.first + i][1]
            groups = log(out) + log(given[1] // op.groups) if op.groups > 1 else 0
            return sum(map(log, (*given[1:], *op.kernel))) + groups
        return sum(sum(self.logs(source)) for source in sources(op))

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

    def verify(self, circuit: bytes, proof: bytes) -> None:
        self.proof, self.at = proof, 25
        start = b"verifiable/sumcheck/v1\0" + self.bits().to_bytes(2, "little")
        must(proof[:25] == start)
        self.state = hashlib.sha256(b"verifiable/sumcheck/v1").digest()
        for label, data in (("header", start), ("circuit", circuit), ("weights", self.s.root)):
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
            claims = self.open.pop(self.first + i, [])
            if self.kinds[i] in ("requantise", "maximum"):
                self.trace += [((i, "result"), point, value) for point, value in claims]
            elif claims:
                getattr(self, self.kinds[i])(i, self.s.ops[i], *(claims[0] if len(claims) == 1 else self.merge(claims)))
        for tensor, claims in self.open.items():
            for point, value in claims:
                must(self.public(self.inputs[self.s.inputs[tensor].name], point) == value)
        self.batch("trace", t_root, self.t_size, self.t, self.trace)
        self.batch("weights", self.s.root, self.w_size, self.w, self.weights)
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
        wide = max(len(columns) for _, columns in self.lookups.values())
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
            table, columns = self.lookups.get(key, (key, [key]))
            values = self.elements("logup values", len(columns))
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
        if key[0] in ("next", "even"):
            flag, *at = at
        counter = extension(range(1 << len(at)), at)
        zero = mul(*(sub(ONE, r) for r in at))
        if key[0] in ("range", "first", "next"):
            return [counter, *([zero] * (key[0] == "first")), *([mul(flag, zero), flag] if key[0] == "next" else [])]
        low, values = self.s.maxima[key[1]] if key[0] == "relu" else self.s.tables[key[1]]
        own = add(counter, num(low)), extension(values, at)
        if key[0] != "even":
            return list(own)
        even = [values[max(k - (low + k) % 2, 0)] for k in range(len(values))]
        return [own[0], add(mul(sub(ONE, flag), own[1]), mul(flag, extension(even, at))), flag]

    def column(self, key: Any, at: Point, values: Point, stated: Mapping[Any, tuple[Point, Point]]) -> None:
        op: Any = self.s.ops[key[0]] if isinstance(key[0], int) else SimpleNamespace(op="")
        if op.op == "maximum":
            (right,) = self.elements("maximum", 1)
            self.claim(op.right, at, right)
            self.claim(op.left, at, add(values[0], right))
            self.trace.append((key, at, add(values[1], right)))
        elif key[1] == "result":
            t, power = sub(mul(values[0], num(1 << op.shift)), num((1 << op.shift) // 2)), 1
            for j, width in enumerate(self.digits[key[0]]):
                t = add(t, mul(stated[key[0], "digit", j][1][0], num(power)))
                power <<= width
            self.claim(op.source, at, t)
        for block, value in zip(self.lookups.get(key, (key, [key]))[1], values, strict=True):
            if block is not None:
                self.trace.append((block, at, value))

    # -- operations ---------------------------------------------------------------------------------------------------------

    def select(self, tensor: int, point: Point, value: E, maps: list[Map], taps: Sequence[Point | None]) -> None:
        self.claim(tensor, *self.selected(point, value, maps, taps))

    def selected(self, point: Point, value: E, maps: list[Map], taps: Sequence[Point | None]) -> tuple[Point, E]:
        kept, *outputs = cut(point, len(point) - sum(m[1] for m in maps), *(m[1] for m in maps))

        def public(at: Point) -> E:
            product = ONE
            for (triples, _, _, _), out, tap, inside in zip(maps, outputs, taps, cut(at, *(m[3] for m in maps)), strict=True):
                y, i, h = eqs(out), None if tap is None else eqs(tap), eqs(inside)
                product = mul(product, add(ZERO, *(mul(y[a], ONE if i is None else i[b], h[c]) for a, b, c in triples)))
            return product

        found, result = self.against("select", value, sum(m[3] for m in maps), public)
        return kept + found, result

    def output(self, tensor: int, point: Point, value: E) -> None:
        shape = self.s.shapes[tensor]
        first = next((a for a, d in enumerate(shape) if d != 1 << log(d)), len(shape))
        maps = [moved(d, d, lambda y: y) for d in shape[first:]]
        if maps:
            self.select(tensor, point, value, maps, [[]] * len(maps))
        else:
            self.claim(tensor, point, value)

    def merge(self, claims: list[tuple[Point, E]]) -> tuple[Point, E]:
        (gamma,) = self.draw("merge claims", 1)
        powers = [mul(*[gamma] * k) for k in range(len(claims))]
        total = add(ZERO, *(mul(power, value) for power, (_, value) in zip(powers, claims, strict=True)))

        def public(at: Point) -> E:
            return add(ZERO, *(mul(power, eq(point, at)) for power, (point, _) in zip(powers, claims, strict=True)))

        return self.against("merge", total, len(claims[0][0]), public)

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
        samples, n, out, y, x = cut(point, *self.logs(self.first + i))
        maps = self.windows(op, given, shape)
        sizes = (log(given[1]), maps[0][2], maps[1][2])
        found, w, view = self.product("conv", self.biased(i, out, value), sum(sizes))
        c, ti, tj = cut(found, *sizes)
        channels = out + c
        if op.groups > 1:
            here, within = shape[1] // op.groups, given[1] // op.groups
            triples = [(o, o // here * within + k, (o << log(within)) + k) for o in range(shape[1]) for k in range(within)]
            channels, w = self.selected(out, w, [(triples, len(out), len(c), log(shape[1]) + log(within))], [c])
        self.weights.append(((i, "weight"), channels + ti + tj, w))
        self.select(op.source, samples + n + c + y + x, view, maps, [ti, tj])

    def windows(self, op: Any, given: Any, shape: Any) -> list[Map]:
        maps = []
        for a in range(2):
            size, kernel, stride, pad, outs = given[a + 2], op.kernel[a], op.strides[a], op.pads[a], shape[a + 2]
            all_of = [(y, t, y * stride + t - pad) for y in range(outs) for t in range(kernel)]
            maps.append(([m for m in all_of if 0 <= m[2] < size], log(outs), log(kernel), log(size)))
        return maps

    def sumpool(self, i: int, op: Any, point: Point, value: E) -> None:
        if op.multiplier == 0:
            must(value == num(op.bias))
            return
        inverse = num(pow(op.multiplier % P, P - 2, P))
        maps = self.windows(op, self.s.shapes[op.source], self.s.shapes[self.first + i])
        self.select(op.source, point, mul(sub(value, num(op.bias)), inverse), maps, [None, None])

    def scale(self, i: int, op: Any, point: Point, value: E) -> None:
        multiplier, bias = self.s.constants[op.multiplier], self.s.constants[op.bias]

        def own(shape: Sequence[int], at: Point) -> Point:
            parts = cut(at, *self.logs(self.first + i))
            parts = parts[len(parts) - len(shape) :]
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
                total = add(total, mul(power, place(size, own, offset, at), eq(point, at[len(at) - own :])))
            return total

        total = add(ZERO, *(mul(power, value) for power, (_, _, value) in zip(powers, claims, strict=True)))
        point, value = self.against(label, total, size, public)
        self.opening(root, size, used(places), point, value)

    def opening(self, root: bytes, size: int, used: int, point: Point, value: E) -> None:
        cols = log_cols(used)
        height = -(-used // (1 << cols))
        self.absorb("opening root", root)
        self.absorb("opening size", size.to_bytes(8, "little") + used.to_bytes(8, "little"))
        for label, scalars in (("opening point", point), ("opening value", [value])):
            self.absorb(label, b"".join(word.to_bytes(8, "little") for scalar in scalars for word in scalar))
        rho = self.draw("opening rows", height)
        both = self.elements("opening combinations", 2 << cols)
        rows = both[: 1 << cols], both[1 << cols :]
        must(add(ZERO, *map(mul, eqs(point[size - cols :]), rows[0])) == value)
        indices = [w % (4 << cols) for w in itertools.islice(self.words(), 154)]
        self.absorb("squeezed opening columns", (154).to_bytes(8, "little"))
        drawn = sorted(set(indices))
        words = self.integers("opening columns", len(drawn) * height)
        columns = {j: words[k * height : (k + 1) * height] for k, j in enumerate(drawn)}
        self.tree(root, columns, cols + 2)
        omega = pow(7, (P - 1) // (4 << cols), P)
        for row, weights in zip(rows, (eqs(point[: size - cols])[:height], rho), strict=True):
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
