# SPDX-License-Identifier: Apache-2.0
"""Asking cosigners for their signatures (c2sp.org/tlog-witness): one, or as many as a policy wants.

A cosigner is trusted for nothing here: what it sends is capped, parsed, and counts only once its signature was verified
under the key that the policy has for it.
"""

from __future__ import annotations

import contextlib
import http.client
import urllib.parse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime

from verifiable.encoding.record import CLOCK_SKEW
from verifiable.errors import (
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
    PolicyError,
    SignatureError,
    StaleError,
)
from verifiable.ledger.checkpoint import SignedCheckpoint, parse_decimal
from verifiable.ledger.deadline import Deadline
from verifiable.ledger.note import MAX_NOTE, NoteKey, NoteSignature, parse_signatures
from verifiable.ledger.policy import Policy, PolicyWitness
from verifiable.ledger.witnessing import ADD_CHECKPOINT, SIZE_TYPE, AddCheckpoint, checkpoint_path

#: ``prove(old, new)``: the consistency proof from size ``old`` to the checkpoint's. Raises Error.
Prove = Callable[[int, int], Sequence[bytes]]
_ATTEMPTS = 3
_TIMEOUT = 30.0
_MAX_PARALLEL = 16


def _utc_now() -> datetime:
    return datetime.now(UTC)


def cosign(
    signed: SignedCheckpoint,
    key: NoteKey,
    url: str,
    prove: Prove,
    *,
    timeout: float = _TIMEOUT,
    now: Callable[[], datetime] = _utc_now,
) -> NoteSignature:
    """The cosignature by ``key`` that the cosigner at ``url`` (its submission prefix) gives, verified, with a time that has come.

    Raises ConflictError (it has cosigned a larger log under this name), ConsistencyError (it saw another history), StaleError (a
    time to come), SignatureError, NetworkError (unreachable, or it misbehaves), and what ``prove`` raises.
    """
    new, old = signed.checkpoint, 0
    for _ in range(_ATTEMPTS):
        proof = tuple(prove(old, new.size)) if 0 < old < new.size else ()
        request = AddCheckpoint(old=old, proof=proof, checkpoint=signed)
        status, kind, body = _exchange(url.rstrip("/") + ADD_CHECKPOINT, request.encode(), timeout)
        if status == 200:
            return _verified(signed, key, url, body, now())
        if status == 422:
            raise ConsistencyError(
                f"cosigner {key.name!r}: this checkpoint does not extend what it has cosigned: {_line(body)}",
                hint="another history of this log exists; stop appending and compare the two checkpoints",
            )
        if status != 409 or kind.split(";")[0].strip() != SIZE_TYPE:
            raise NetworkError(f"cosigner {key.name!r} at {url}: HTTP {status}: {_line(body)}")
        old = _size(body, url)
        if old > new.size:
            raise ConflictError(
                f"cosigner {key.name!r}: it has cosigned size {old} of {new.origin!r}, and this checkpoint ends at {new.size}",
                hint="an old checkpoint, or a log folder restored from an older copy: do not append to it",
            )
    raise NetworkError(f"cosigner {key.name!r} at {url}: it named another size {_ATTEMPTS} times")


def cosign_quorum(
    signed: SignedCheckpoint,
    policy: Policy,
    prove: Prove,
    *,
    timeout: float = _TIMEOUT,
    now: Callable[[], datetime] = _utc_now,
) -> tuple[SignedCheckpoint, tuple[Error, ...]]:
    """``signed`` with cosignatures of the policy's witnesses that have a URL, and what went wrong with the others.

    All are asked at once. Raises PolicyError, naming each failure, when those that answered do not make up the quorum, and
    what else :meth:`Policy.check` raises; FatalStateError from ``prove``. A witness that claims another history, or a longer log,
    is one of the failures: it alone could be lying, and must not stop the log.
    """
    failures: list[Error] = []
    asked = [witness for witness in policy.witnesses if witness.url]
    with ThreadPoolExecutor(max_workers=_MAX_PARALLEL) as pool:
        jobs = [pool.submit(cosign, signed, witness.key, witness.url, prove, timeout=timeout, now=now) for witness in asked]
        for job in as_completed(jobs):
            try:
                signed = signed.with_signatures([job.result()])
            except FatalStateError:  # ours, not the witness's
                raise
            except Error as error:
                failures.append(error)
    try:
        policy.check(signed)
    except PolicyError as error:
        raise PolicyError("; ".join((error.message, *(each.message for each in failures))), hint=error.hint) from error
    return signed, tuple(failures)


def latest(witness: PolicyWitness, origin: str, *, timeout: float = _TIMEOUT) -> SignedCheckpoint | None:
    """What the witness last cosigned of a log, its signature verified, or None when it has cosigned nothing.

    ``witness.url`` must be its monitoring prefix too. Raises NetworkError, SignatureError. The log's own signature is not
    verified.
    """
    status, _, body = _exchange(witness.url.rstrip("/") + checkpoint_path(origin), None, timeout)
    if status == 404:
        return None
    if status != 200:
        raise NetworkError(f"cosigner {witness.name!r} at {witness.url}: HTTP {status}: {_line(body)}")
    try:
        signed = SignedCheckpoint.parse(body)
    except MalformedError as error:
        raise NetworkError(f"cosigner {witness.name!r} at {witness.url}: {error.message}") from error
    if signed.checkpoint.origin != origin or not signed.signed_by(witness.key):
        raise NetworkError(f"cosigner {witness.name!r} at {witness.url}: not a checkpoint of {origin!r} that it cosigned")
    return signed


def _verified(signed: SignedCheckpoint, key: NoteKey, url: str, body: bytes, now: datetime) -> NoteSignature:
    """The first signature by ``key``; those by other keys are ignored, as the specification asks.

    One, however many it sends: a note holds a hundred signatures, and one cosigner must not take the others' room.
    """
    try:
        lines = [s for s in parse_signatures(body.decode()) if (s.name, s.key_id) == (key.name, key.key_id)]
    except (MalformedError, UnicodeDecodeError) as error:
        raise NetworkError(f"cosigner {key.name!r} at {url}: it answered with no signature lines") from error
    if not lines:
        raise NetworkError(f"cosigner {key.name!r} at {url}: it answered without a signature by {key}", hint="check its key")
    (time,) = signed.with_signatures(lines[:1]).signed_by(key)
    if time is None:
        raise SignatureError(f"cosigner {key.name!r} at {url}: its signature states no time")
    if time - now > CLOCK_SKEW:  # whoever verifies the checkpoint would refuse all of it for this one
        raise StaleError(f"cosigner {key.name!r} at {url}: it signs for {time}, still to come", hint="compare the clocks")
    return lines[0]


def _size(body: bytes, url: str) -> int:
    try:
        text = body.decode("ascii")
        return parse_decimal(text.removesuffix("\n"), "size")
    except (MalformedError, UnicodeDecodeError) as error:
        raise NetworkError(f"cosigner at {url}: it answered 409 without a size") from error


def _exchange(url: str, data: bytes | None, timeout: float) -> tuple[int, str, bytes]:
    """Status, content type and at most MAX_NOTE bytes of the body. Redirects are not followed: the policy names the place.

    Raises NetworkError, also after ``timeout`` seconds in all, however busily the peer drips bytes.
    """
    deadline = Deadline(timeout)
    try:
        connection, path = _connection(url, timeout, deadline)
        with deadline, contextlib.closing(connection):
            kind = {"Content-Type": "text/plain; charset=utf-8"} if data is not None else {}
            connection.request("GET" if data is None else "POST", path, data, {"User-Agent": "verifiable", **kind})
            with connection.getresponse() as response:
                body = response.read(MAX_NOTE + 1)
            if deadline.passed:  # a cut reads like the end of an answer whose length nobody has said
                raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = _line(str(error).encode("utf-8", "replace")) or type(error).__name__
        reason = f"too slow, not done in {timeout:.0f} s" if deadline.passed else reason
        raise NetworkError(f"cosigner: {url}: {reason}", hint="check the address and the network") from error
    if len(body) > MAX_NOTE:
        raise NetworkError(f"cosigner: {url}: it sends more than {MAX_NOTE:,} bytes")
    return response.status, response.headers.get("Content-Type", ""), body


def _connection(url: str, timeout: float, deadline: Deadline) -> tuple[http.client.HTTPConnection, str]:
    parts = urllib.parse.urlsplit(url)
    make = {"http": deadline.plain, "https": deadline.encrypted}.get(parts.scheme)
    if make is None or not parts.hostname or parts.query or parts.fragment:
        raise NetworkError(f"cosigner: {url[:200]!r}: not an http or https address")
    return make(parts.hostname, parts.port, timeout=timeout), parts.path or "/"


def _line(body: bytes) -> str:
    """The first line of what a stranger sent, printable and short."""
    text = body.decode("utf-8", "replace").split("\n", 1)[0]
    return "".join(c if c.isprintable() else " " for c in text)[:200]
