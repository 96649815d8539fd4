# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.errors import MalformedError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer

words = st.integers(0, field.P - 1)
scalars = st.lists(st.tuples(words, words), min_size=1, max_size=4)
parts = st.one_of(
    st.tuples(st.just("scalars"), scalars),
    st.tuples(st.just("array"), st.lists(words, max_size=6)),
    st.tuples(st.just("data"), st.binary(max_size=40)),
    st.tuples(st.just("unabsorbed"), st.binary(max_size=40)),
)


def write(messages: list) -> Writer:
    writer = Writer(Transcript())
    for kind, value in messages:
        if kind == "scalars":
            writer.scalars("s", *value)
        elif kind == "array":
            writer.array("a", np.array(value, np.uint64))
        elif kind == "data":
            writer.data("d", value)
        else:
            writer.unabsorbed(value)
    return writer


def read(reader: Reader, messages: list) -> list:
    out = []
    for kind, value in messages:
        if kind == "scalars":
            out.append((kind, reader.scalars("s", len(value))))
        elif kind == "array":
            out.append((kind, reader.array("a", len(value)).tolist()))
        elif kind == "data":
            out.append((kind, reader.data("d", len(value))))
        else:
            out.append((kind, reader.unabsorbed(len(value), "u")))
    reader.done()
    return out


@given(st.lists(parts, max_size=6))
def test_reading_inverts_writing_and_absorbs_alike(messages: list) -> None:
    writer = write(messages)
    reader = Reader(writer.getvalue(), Transcript())
    assert read(reader, messages) == messages
    assert reader.transcript.challenge("x") == writer.transcript.challenge("x")


@given(st.lists(parts, min_size=1, max_size=4), st.binary(min_size=1, max_size=20))
def test_short_and_long_proofs_are_malformed(messages: list, tail: bytes) -> None:
    proof = write(messages).getvalue()
    with pytest.raises(MalformedError, match="too many"):
        read(Reader(proof + tail, Transcript()), messages)
    if proof:
        with pytest.raises(MalformedError, match="left"):
            read(Reader(proof[:-1], Transcript()), messages)


@pytest.mark.parametrize("word", [field.P, field.P + 1, 2**64 - 1])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_element_that_is_not_below_p_is_malformed(word: int, place: int) -> None:
    values = [5, 6, 7, 8]
    values[place] = word
    proof = b"".join(v.to_bytes(8, "little") for v in values)
    with pytest.raises(MalformedError, match="below p"):
        Reader(proof, Transcript()).scalars("s", 2)
    with pytest.raises(MalformedError, match="below p"):
        Reader(proof, Transcript()).array("s", 2, 2)


def test_every_absorbed_byte_changes_the_next_challenge() -> None:
    proof = write([("scalars", [(1, 2), (3, 4)]), ("data", b"digest")]).getvalue()

    def challenge(data: bytes) -> field.Ext:
        reader = Reader(data, Transcript())
        reader.scalars("s", 2)
        reader.data("d", 6)
        reader.done()
        return reader.transcript.challenge("x")

    seen = {challenge(proof)}
    for position in range(len(proof)):
        changed = bytearray(proof)
        changed[position] ^= 1
        seen.add(challenge(bytes(changed)))
    assert len(seen) == len(proof) + 1
