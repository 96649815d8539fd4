# SPDX-License-Identifier: Apache-2.0
"""How many bits of security the parts give, from proved theorems only; docs/security carries the argument in full."""

from __future__ import annotations

import math

#: log2 of the number of elements of E, rounded down far enough: p^2 > 2^127.99.
LOG_FIELD = 127.99
#: Rate 1/4.
LOG_BLOWUP = 2
#: What one opening must give, with room for the other terms of a proof that must reach 100 in sum.
OPENING_BITS = 104.0


def opening_bits(*, log_blowup: int, queries: int, log_cols: int) -> float:
    """-log2 of the chance that a commitment opens to two values, or to a value at all when no code words are near.

    Let n = 2^(log_cols + log_blowup) be the code's length, k = 2^log_cols its dimension, rate R = k/n, and d = (1 - R)/2 the
    unique decoding radius. Let the committed matrix be fixed (SHA-256 binds it), its rows words over F.

    1. Proximity. The verifier draws one independent coefficient of E per row. By Ben-Sasson, Carmon, Ishai, Kopparty, Saraf,
       "Proximity Gaps for Reed-Solomon Codes" (2020), Theorem 1.6 with the bound of Theorem 1.2 for distances up to (1 - R)/2:
       if a random element of the rows' span over E is within d of the code with a chance above n/|E|, then all rows agree with
       code words on one common set of (1 - d) n positions. So when there is no such set, up to that chance, the combination v
       differs from every code word in more than d n positions, also from the one that the prover sends, and a uniform query
       misses that with a chance below 1 - d = (1 + R)/2.
    2. Value. Otherwise there is such a set, and its code words are unique: they are what the commitment holds (over F, since
       more than k values in F fix each). If the u that was sent is not their combination, Enc(u) and the right combination are
       two code words and agree in fewer than k positions; the matrix differs from the right one in at most d n further ones.
       One query passes with a chance below R + d = (1 + R)/2.
    3. The queries are independent and drawn after u and v: ((1 + R)/2)^queries in each case, and only one of the two can hold.

    Sum: n/|E| + ((1 + R)/2)^queries. The number of rows does not enter. Collisions of SHA-256 and its use as a
    random oracle are outside of this number.
    """
    rate = 2.0**-log_blowup
    by_queries = queries * -math.log2((1 + rate) / 2)
    by_gap = LOG_FIELD - (log_cols + log_blowup)
    return -math.log2(2.0**-by_queries + 2.0**-by_gap)


def queries_for(bits: float, *, log_blowup: int = LOG_BLOWUP) -> int:
    """The least number of queries with ((1 + R)/2)^queries <= 2^-bits."""
    return math.ceil(bits / -math.log2((1 + 2.0**-log_blowup) / 2))


#: Column queries per opening.
QUERIES = queries_for(OPENING_BITS)
