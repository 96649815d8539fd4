# SPDX-License-Identifier: Apache-2.0
"""The parent's side of the child process in which ezkl runs: start, ask, watch, kill.

A :class:`Child` is one process with a private folder; :func:`job` gives a fresh one for a piece of proving work. Whatever ends
the conversation (an answer that never comes, a deadline, Ctrl-C, an exception in the progress callback) ends the process and
removes the folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from verifiable.errors import FatalStateError, MalformedError, UnsupportedError
from verifiable.zk.ezkl import VERSION, scratch
from verifiable.zk.ezkl import worker as _worker
from verifiable.zk.ezkl.pulse import Pulse
from verifiable.zk.system import Limits, Progress, no_progress

HEARTBEAT_SECONDS = 0.2
#: What a job may take whose caller sets no deadline: far beyond any circuit that fits one machine's memory.
DEFAULT_SECONDS = 4 * 3600.0
#: How long after a panic of one of its threads ezkl may still answer: as a rule the panic is the answer, but not always.
PANIC_SECONDS = 3.0
#: How long every thread may be asleep while an answer is awaited; see :mod:`.pulse`.
STALL_SECONDS = 10.0
_PANIC = b"panicked at"
_MAX_REPLY = 1 << 30
_TAIL = 4096
_MEMORY_HINT = "raise the memory limit or free memory, or prove a smaller model; `verifiable check` predicts the need"


class Refusal(Exception):  # noqa: N818 - a reply of the child, always turned into one of our errors by its caller
    """ezkl's own answer was no: it raised (``panicked`` False) or its Rust code panicked (True)."""

    def __init__(self, message: str, *, panicked: bool) -> None:
        super().__init__(message)
        self.message = message
        self.panicked = panicked


class Child:
    """One child process, its pipes, and its private folder. Not thread-safe; :meth:`close` is idempotent."""

    def __init__(self, *, limits: Limits, progress: Progress = no_progress, kind: str = "job") -> None:
        self._limits = limits
        self._progress = progress
        allowed = DEFAULT_SECONDS if limits.seconds is None and kind == "job" else limits.seconds
        self._deadline = None if allowed is None else time.monotonic() + allowed
        self._tail, self._panicked = b"", 0.0
        self.seconds: dict[str, float] = {}
        self.folder, self._lock = scratch.make()
        try:
            self._start(kind)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)
            raise

    def _start(self, kind: str) -> None:
        if not sys.executable:
            raise FatalStateError("ezkl: this Python does not know its own path", hint="run it as a program of its own")
        their_requests, self._requests = os.pipe()
        self._replies, their_replies = os.pipe()
        command = [
            sys.executable, "-I", "-B", _worker.__file__, str(their_requests), str(their_replies), str(os.getpid()),
            str(self._limits.memory or 0), kind, *_import_path(),
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder,
                env=_environment(self.folder), pass_fds=(their_requests, their_replies), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(self._requests)
            os.close(self._replies)
            raise FatalStateError(f"ezkl: cannot start {sys.executable}: {error.strerror or error}") from error
        finally:
            os.close(their_requests)
            os.close(their_replies)
        assert self._process.stdout is not None
        self._output = self._process.stdout
        for descriptor in (self._requests, self._replies, self._output.fileno()):
            os.set_blocking(descriptor, False)
        self._finalise = weakref.finalize(
            self, _destroy, self._process, (self._requests, self._replies, self._lock), self.folder, os.getpid()
        )

    @property
    def alive(self) -> bool:
        return self._finalise.alive and self._process.poll() is None

    def ask(self, phase: str, request: dict[str, Any], *, seconds: float | None = None) -> Any:
        """The child's answer. Raises Refusal where ezkl said no, FatalStateError where the child died or was too slow.

        ``seconds`` shortens the deadline of the whole job for this one question.
        """
        started = time.monotonic()
        deadline = self._deadline if seconds is None else min(started + seconds, self._deadline or started + seconds)
        try:
            self._progress(phase, None)
            answer = self._exchange(phase, request, deadline)
        except BaseException:  # Ctrl-C and the callback's own exceptions too: nothing may go on running
            self.close()
            raise
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - started
        if "error" not in answer:
            return answer.get("ok")
        if answer["error"] == "memory" or _starved(str(answer.get("message", ""))):
            raise FatalStateError(f"ezkl: out of memory while {phase}{self._limit()}", hint=_MEMORY_HINT)
        message = one_line(str(answer.get("message", "")))
        if "No space left on device" in message or "os error 28" in message:
            raise FatalStateError(f"ezkl: no space left on the disk while {phase}", hint="free space; nothing was kept")
        raise Refusal(message, panicked=answer["error"] == "panic")

    def allow(self, seconds: float) -> None:
        """All questions from now on together may take this long; takes the place of any deadline before."""
        self._deadline = time.monotonic() + seconds

    def write(self, name: str, data: bytes) -> str:
        """A file in the private folder; its path. Raises FatalStateError."""
        path = self.folder / name
        try:
            path.write_bytes(data)
        except OSError as error:
            raise FatalStateError(f"ezkl: cannot write {path}: {error.strerror or error}", hint="check free space") from error
        return str(path)

    def read(self, name: str) -> bytes:
        """What ezkl wrote to a file in the private folder. Raises FatalStateError."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise FatalStateError(f"ezkl: cannot read what it wrote: {error.strerror or error}: {name}") from error

    def close(self) -> None:
        """Kill the process if it lives, and remove the folder."""
        self._finalise()

    def _exchange(self, phase: str, request: dict[str, Any], deadline: float | None) -> dict[str, Any]:
        body = json.dumps(request).encode()
        outgoing = memoryview(struct.pack(">I", len(body)) + body)
        incoming = bytearray()
        self._panicked, pulse = 0.0, Pulse(self._process.pid, time.monotonic())
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_WRITE)
            selector.register(self._replies, selectors.EVENT_READ)
            if not self._output.closed:
                selector.register(self._output, selectors.EVENT_READ)
            while True:
                events = selector.select(HEARTBEAT_SECONDS)
                self._check_time(phase, deadline, pulse)
                if not events:
                    self._progress(phase, None)
                for key, _ in events:
                    if key.fd == self._requests:
                        try:
                            outgoing = outgoing[os.write(self._requests, outgoing) :]
                        except BrokenPipeError:
                            outgoing = outgoing[:0]
                        if not outgoing:
                            selector.unregister(self._requests)
                    elif key.fd == self._replies:
                        if not (block := os.read(self._replies, 1 << 20)):
                            self._died(phase)
                        incoming += block
                        if (answer := _complete(incoming)) is not None:
                            return answer
                    elif not self._drain():
                        selector.unregister(self._output)

    def _check_time(self, phase: str, deadline: float | None, pulse: Pulse) -> None:
        now = time.monotonic()
        if self._panicked and now > self._panicked + PANIC_SECONDS:
            self._hanging(phase, "a thread of the prover panicked")
        if pulse.asleep(now) > STALL_SECONDS:
            self._hanging(phase, "the prover waits for a thread of its own that has ended")
        if deadline is not None and now > deadline:
            self._too_slow(phase)

    def _drain(self) -> bool:
        """Keep the last of what ezkl printed. False at the end of the stream."""
        block = os.read(self._output.fileno(), 1 << 16)
        known = len(self._tail)
        joined = self._tail + block
        if _PANIC in joined[max(0, known - len(_PANIC) + 1) :] and not self._panicked:
            self._panicked = time.monotonic()
        self._tail = joined[-_TAIL:]
        return bool(block)

    def _too_slow(self, phase: str) -> NoReturn:
        raise FatalStateError(
            f"ezkl: the deadline passed while {phase}", hint="allow more time, or make the model or its circuit smaller"
        )

    def _hanging(self, phase: str, why: str) -> NoReturn:
        """A thread of ezkl's has ended where another one waits for it; the call would never return."""
        said = one_line(self._tail.decode("utf-8", "replace"))
        if _starved(said):
            raise FatalStateError(f"ezkl: out of memory while {phase}{self._limit()}", hint=_MEMORY_HINT)
        raise FatalStateError(
            f"ezkl: {why} while {phase}, so it was stopped: {said or 'it said nothing'}",
            hint="a value may be beyond what the circuit's tables hold; compile the model again, or report the model",
        )

    def _died(self, phase: str) -> NoReturn:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise FatalStateError(f"ezkl: the prover closed its pipe while {phase}") from None
        with contextlib.suppress(OSError):
            while self._drain():
                pass
        said = one_line(self._tail.decode("utf-8", "replace"))
        if _starved(said):
            raise FatalStateError(f"ezkl: out of memory while {phase}{self._limit()}", hint=_MEMORY_HINT)
        if code == -signal.SIGKILL:
            raise FatalStateError(
                f"ezkl: the prover was killed while {phase}, most likely by the kernel for want of memory", hint=_MEMORY_HINT
            )
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise FatalStateError(
            f"ezkl: the prover died with {how} while {phase}: {said or 'it said nothing'}",
            hint="nothing was kept; the same request may be tried again",
        )

    def _limit(self) -> str:
        return f" (limit {self._limits.memory:,} bytes)" if self._limits.memory else ""


@contextlib.contextmanager
def job(*, limits: Limits, progress: Progress) -> Iterator[Child]:
    """A fresh child for one job, gone when the block ends, however it ends."""
    check_installed()
    child = Child(limits=limits, progress=progress)
    try:
        yield child
    except Refusal as refusal:
        # What no caller foresaw: ezkl refused a step that our own checks let through.
        raise UnsupportedError(
            f"ezkl cannot do this: {refusal.message}", hint="`verifiable check` shows what the model needs; try other parameters"
        ) from refusal
    finally:
        child.close()


def check_installed() -> None:
    """The one release whose behaviour we know must be the one that is installed. Raises UnsupportedError."""
    from importlib import metadata

    try:
        found = metadata.version("ezkl")
    except metadata.PackageNotFoundError:
        found = "not installed"
    if found != VERSION:
        raise UnsupportedError(f"ezkl {VERSION} is needed, found: {found}", hint=f"pip install ezkl=={VERSION}")


def one_line(text: str, *, limit: int = 300) -> str:
    """The last lines of ``text`` as one: no control characters, no terminal colours, at most ``limit`` characters."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in plain.splitlines()]
    joined = " ".join(" ".join(line for line in lines if line).split())
    return joined if len(joined) <= limit else "..." + joined[-limit:]


def _complete(incoming: bytearray) -> dict[str, Any] | None:
    if len(incoming) < 4:
        return None
    size = struct.unpack(">I", incoming[:4])[0]
    if size > _MAX_REPLY:
        raise FatalStateError(f"ezkl: a reply of {size:,} bytes")
    if len(incoming) < 4 + size:
        return None
    try:
        return dict(json.loads(bytes(incoming[4 : 4 + size])))
    except ValueError as error:
        raise MalformedError("ezkl: the child's reply is not JSON") from error


def _starved(said: str) -> bool:
    """Whether this is how Rust, Python or the thread library report that they got no memory."""
    return any(
        words in said
        for words in (
            "memory allocation of",
            "MemoryError",
            "Cannot allocate memory",
            "ThreadPoolBuildError",
            "failed to map segment",
        )
    )


def _import_path() -> list[str]:
    """Where ezkl was found, for a child that starts with neither PYTHONPATH nor the user's own site-packages."""
    spec = importlib.util.find_spec("ezkl")
    return [str(Path(spec.origin).parent.parent)] if spec is not None and spec.origin else []


def _environment(folder: Path) -> dict[str, str]:
    """ezkl takes its key format, home folder and limits from the environment: none of ours reaches it but what is named here."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "RAYON_NUM_THREADS") if name in os.environ}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", "RUST_BACKTRACE": "0", "RUST_LOG": "error"}


def _destroy(process: subprocess.Popen[bytes], descriptors: tuple[int, ...], folder: Path, owner: int) -> None:
    if owner != os.getpid():  # a forked copy of the parent: the child is not its to kill
        return
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)
