# SPDX-License-Identifier: Apache-2.0
"""The commitment's parameters, and the chance that an opening deceives: exact fractions, from what is proved.

docs/formats/sumcheck.md, "Soundness", has the proofs in full; :mod:`.budget` adds up a whole proof.
"""

from __future__ import annotations

from fractions import Fraction

from verifiable.zk.sumcheck import field

#: The number of elements of E: every challenge is uniform in it.
FIELD = field.P**2
#: Rate 1/4.
LOG_BLOWUP = 2
#: What the queries of one opening must give, with room for the other terms of a proof that must reach 100 in sum.
OPENING_BITS = 104


def opening_error(*, log_cols: int, log_blowup: int, queries: int) -> Fraction:
    """The chance that a commitment opens to a value that is not its own, or to any value when it holds no code words.

    Let k = 2^log_cols be the code's dimension, n = 2^(log_cols + log_blowup) its length, R = k / n its rate, d = n - k + 1 its
    distance, and e = floor((n - k) / 2) the largest number of errors with a unique decoding. Let the committed matrix be fixed
    (SHA-256 binds it), its rows words over F. Rows that the layout does not use
    are the zero word by definition: they add nothing to u, v or a column, and the argument is about the rows in use.

    1. Proximity. If no n - e columns on which all rows are code words exist, a combination of the rows with independent uniform
       coefficients from E is within e errors of a code word with a chance of at most 2 n / |E|. ("Proximity Gaps for Reed-Solomon
       Codes", ePrint 2020/654, Theorem 1.6 has n / |E|; the document proves the bound that is used here.) Otherwise what the
       prover sends for v differs from the combination in at least e + 1 positions.
    2. Value. If such columns exist, their code words are unique, and over F since n - e > k values are: they are what the
       commitment holds. If the u that was sent is not their combination, the two agree in fewer than k positions, and the matrix
       differs from the code words in at most e more.
    3. The queries are independent and drawn after u and v. Each passes with at most (n - e - 1) / n in case 1, (k - 1 + e) / n in
       case 2, both at most (1 + R) / 2; and only one of the two can be the case.
    """
    cols, length = 1 << log_cols, 1 << (log_cols + log_blowup)
    return Fraction(2 * length, FIELD) + Fraction(length + cols, 2 * length) ** queries


def queries_for(bits: int, *, log_blowup: int = LOG_BLOWUP) -> int:
    """The least number of queries with ((1 + R) / 2)^queries <= 2^-bits."""
    miss, queries = Fraction((1 << log_blowup) + 1, 2 << log_blowup), 1
    while miss**queries > Fraction(1, 1 << bits):
        queries += 1
    return queries


def whole_bits(error: Fraction) -> int:
    """The largest b with ``error`` <= 2^-b, exactly: two machines must not differ. Raises ValueError unless 0 < error <= 1."""
    if not 0 < error <= 1:
        raise ValueError("not a chance")
    return (error.denominator // error.numerator).bit_length() - 1


#: Column queries per opening.
QUERIES = queries_for(OPENING_BITS)
