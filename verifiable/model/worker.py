# SPDX-License-Identifier: Apache-2.0
"""The child process in which models are analysed; started by :mod:`.isolation`.

It loads the libraries once and forks for every request: a model that crashes them, or takes too much memory or time, ends the
fork and nothing else. Arguments: descriptor of requests, descriptor of replies, parent's process id.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import struct
from typing import Any

_ORPHAN_POLL_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1
#: What one request may take: processor seconds; bytes of memory besides some copies of the model.
CPU_SECONDS = 300
MEMORY = 6 << 30
_COPIES = 10

Frame = tuple[dict[str, Any], bytes]


def main(requests: int, replies: int, parent: int) -> None:
    """Serve until the parent closes its end, or is gone."""
    import onnx.version_converter
    import onnxruntime
    import onnxslim.core.optimization

    from verifiable.model import agreement, analysis, normal_form, rewrite, survey

    _ = onnx, onnxruntime, onnxslim, agreement, analysis, normal_form, rewrite, survey  # loaded before the first fork
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while _readable(requests, parent) and (request := receive(requests)) is not None:
        send(replies, _forked(request))


def send(descriptor: int, frame: Frame) -> None:
    """Write a JSON header and a blob, each behind its length."""
    header, blob = json.dumps(frame[0]).encode(), frame[1]
    for part in (struct.pack(">QQ", len(header), len(blob)), header, blob):
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view[: 1 << 20]) :]


def receive(descriptor: int) -> Frame | None:
    """The inverse of :func:`send`; None when the other side is gone."""
    lengths = _read(descriptor, 16)
    if lengths is None:
        return None
    header_size, blob_size = struct.unpack(">QQ", lengths)
    header, blob = _read(descriptor, header_size), _read(descriptor, blob_size)
    return None if header is None or blob is None else (json.loads(header), blob)


def _read(descriptor: int, size: int) -> bytes | None:
    blocks = bytearray()
    while len(blocks) < size:
        if not (block := os.read(descriptor, min(size - len(blocks), 1 << 20))):
            return None
        blocks += block
    return bytes(blocks)


def _readable(descriptor: int, parent: int) -> bool:
    arrivals = select.poll()  # not select.select, which knows no descriptor beyond 1023
    arrivals.register(descriptor, select.POLLIN)
    while not arrivals.poll(_ORPHAN_POLL_SECONDS * 1000):
        if os.getppid() != parent:
            return False
    return True


def _forked(request: Frame) -> Frame:
    """Answer in a fork; if that dies, say how."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _confine(len(request[1]))
        send(theirs, _answer(request))
        os._exit(0)
    os.close(theirs)
    answer = receive(ours)
    os.close(ours)
    _, status = os.waitpid(child, 0)
    if answer is None or status != 0:
        how = (
            signal.Signals(os.WTERMSIG(status)).name
            if os.WIFSIGNALED(status)
            else f"exit code {os.waitstatus_to_exitcode(status)}"
        )
        return {"crashed": how}, b""
    return answer


def _confine(size: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    memory = MEMORY + _COPIES * size
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


def _answer(request: Frame) -> Frame:
    from verifiable.errors import Error
    from verifiable.model.normal_form import normal_form
    from verifiable.model.onnx_file import Model
    from verifiable.model.survey import pack, survey

    header, data = request
    try:
        model = Model.parse(data)
        if header["op"] == "normalise":
            return {}, normal_form(model, header["dims"])
        return pack(survey(model, header["dims"]))
    except Error as error:
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint}, b""
    except MemoryError:
        return {"crashed": "out of memory"}, b""
    except Exception as error:  # noqa: BLE001 - the parent turns it into one of our errors; here it would only be lost
        return {"crashed": f"{type(error).__name__}"}, b""
