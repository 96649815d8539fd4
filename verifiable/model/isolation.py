# SPDX-License-Identifier: Apache-2.0
"""A process apart for what a model file may do to the libraries that read it.

onnx's shape inference reads out of bounds on models that its checker accepts (``GatherND`` with a negative ``batch_dims``,
``Split`` into fewer parts than it has outputs), which ends the process that runs it. So it runs in :mod:`.worker`, one per
process of ours, started when first needed; a crash there is an error here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from verifiable.errors import Error, FatalStateError, MalformedError, UnsupportedError
from verifiable.model import worker as protocol

_WALL_SECONDS = 600.0
_KINDS: dict[str, type[Error]] = {"MalformedError": MalformedError, "UnsupportedError": UnsupportedError}
_START = "import sys; sys.path[:] = sys.argv[4:]; from verifiable.model.worker import main; main(*map(int, sys.argv[1:4]))"
# Threads of BLAS would not survive the worker's forks; onnxslim is steered by variables that are not passed on.
# onnxruntime starts an uploader of usage data when it is imported; switching it off afterwards is too late.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", **QUIET}

_lock = threading.Lock()
_current: _Worker | None = None


def ask(operation: str, model: bytes, dims: Mapping[str, int], *, seconds: float | None = None) -> tuple[dict[str, Any], bytes]:
    """The worker's answer about a self-contained model, within ``seconds``: a header and a blob.

    Raises MalformedError, also for a model that crashes the libraries; UnsupportedError; FatalStateError when there is no worker.
    """
    global _current  # noqa: PLW0603 - one worker per process, as there is one interpreter per process
    with _lock:
        if _current is None or not _current.usable:
            _current = _Worker()
        try:
            header, blob = _current.exchange(
                {"op": operation, "dims": dict(dims)}, model, _WALL_SECONDS if seconds is None else seconds
            )
        except BaseException:  # Ctrl-C too: an answer that comes later must not be taken for the next one's
            _current.close()
            _current = None
            raise
    if "crashed" in header:
        raise MalformedError(
            f"model: it crashes the libraries that read it ({header['crashed']})", hint=_crash_hint(header["crashed"])
        )
    if "error" in header:
        raise _KINDS.get(header["error"], FatalStateError)(header["message"], hint=header["hint"])
    return header, blob


class _Worker:
    """The child process and our ends of its pipes."""

    def __init__(self) -> None:
        their_requests, self._requests = os.pipe()
        self._replies, their_replies = os.pipe()
        command = [
            sys.executable,
            "-I",
            "-c",
            _START,
            str(their_requests),
            str(their_replies),
            str(os.getpid()),
            *filter(None, sys.path),
        ]
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "HOME", "TMPDIR") if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                env={**kept, **_ENVIRONMENT}, pass_fds=(their_requests, their_replies), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(self._requests)
            os.close(self._replies)
            raise FatalStateError(f"model: cannot start {sys.executable}: {error.strerror or error}") from error
        finally:
            os.close(their_requests)
            os.close(their_replies)
        self._owner = os.getpid()
        atexit.register(self.close)

    @property
    def usable(self) -> bool:
        """Alive, and ours: a fork of this process must not talk into the same pipe."""
        return self._owner == os.getpid() and self._process.poll() is None

    def exchange(self, header: dict[str, Any], blob: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Raises FatalStateError when the worker is gone or too slow."""
        answers = select.poll()  # not select.select, which knows no descriptor beyond 1023
        answers.register(self._replies, select.POLLIN)
        try:
            protocol.send(self._requests, (header, blob))
            if not answers.poll(max(seconds, 0.0) * 1000):
                raise FatalStateError(
                    f"model: no answer within {seconds:.1f} s", hint="allow more time, or make the model smaller"
                )
            answer = protocol.receive(self._replies)
        except OSError as error:
            raise FatalStateError(f"model: the process that analyses it is gone: {error.strerror or error}") from error
        if answer is None:
            raise FatalStateError("model: the process that analyses it is gone", hint="check free memory, and try again")
        return answer

    def close(self) -> None:
        """End the process; harmless when repeated, and in a fork, which does not own it."""
        if self._owner != os.getpid() or self._requests < 0:
            return
        atexit.unregister(self.close)
        for descriptor in (self._requests, self._replies):
            os.close(descriptor)
        self._requests = -1
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _crash_hint(how: str) -> str:
    if how in ("SIGXCPU", "SIGKILL", "out of memory"):
        return "it takes too much time or memory to analyse; make the model smaller"
    return "the file is damaged or hostile; export the model again"
