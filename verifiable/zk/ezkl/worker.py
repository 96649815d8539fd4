# SPDX-License-Identifier: Apache-2.0
"""The child process in which ezkl runs; started by :mod:`.process` as a plain script and importing nothing of ours.

Arguments: request descriptor, reply descriptor, parent's process id, memory limit in bytes (0: none), ``job`` or ``warm``,
folders to append to the import path. Requests and replies are JSON behind a 32-bit big-endian length. The standard streams belong
to ezkl, which prints on them at will; the parent keeps their last lines for error messages.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
ORPHAN_POLL_SECONDS = 2.0
MAX_MESSAGE = 1 << 31


def main(arguments: list[str]) -> None:
    """Serve requests until the parent closes its end of the pipe, or is gone."""
    requests, replies, parent, memory = (int(text) for text in arguments[:4])
    _confine(parent, memory, arguments[4])
    sys.path.extend(arguments[5:])
    answer: dict[str, Any]
    while (request := _receive(requests, parent)) is not None:
        try:
            answer = {"ok": _OPERATIONS[request["op"]](request)}
        except MemoryError:
            answer = {"error": "memory", "message": "out of memory"}
        except Exception as error:  # noqa: BLE001 - sent to the parent, which judges it
            answer = {"error": "refused", "message": str(error)}
        except BaseException as error:  # noqa: BLE001 - a Rust panic reaches Python as a BaseException
            answer = {"error": "panic", "message": f"{type(error).__name__}: {error}"}
        _send(replies, answer)


def _confine(parent: int, memory: int, kind: str) -> None:
    """No core dump (it would hold the witness), a limit on memory, and no life beyond the parent's."""
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if kind == "job":
        # The signal comes when the *thread* that started us ends, so only a job, whose caller waits for it, may ask for it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    if memory:
        # Private writable memory (Linux 4.7): what the prover really takes. RLIMIT_AS would also count mapped files and the
        # address space that thread arenas only reserve.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _receive(descriptor: int, parent: int) -> dict[str, Any] | None:
    arrivals = select.poll()  # not select.select, which knows no descriptor beyond 1023
    arrivals.register(descriptor, select.POLLIN)
    while not arrivals.poll(ORPHAN_POLL_SECONDS * 1000):
        if os.getppid() != parent:
            return None
    header = _read(descriptor, 4)
    if header is None:
        return None
    body = _read(descriptor, min(struct.unpack(">I", header)[0], MAX_MESSAGE))
    return None if body is None else dict(json.loads(body))


def _read(descriptor: int, size: int) -> bytes | None:
    blocks = []
    while size:
        if not (block := os.read(descriptor, min(size, 1 << 20))):
            return None
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


def _send(descriptor: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    view = memoryview(struct.pack(">I", len(body)) + body)
    while view:
        view = view[os.write(descriptor, view) :]


def _ezkl() -> Any:
    # By name, since the type stubs that ezkl ships describe an older release.
    return importlib.import_module("ezkl")


def _version(_request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.__version__


def _arguments(ezkl: Any, request: dict[str, Any]) -> Any:
    arguments = ezkl.PyRunArgs()
    for name, given in request["run_args"].items():
        if not hasattr(arguments, name):
            raise RuntimeError(f"ezkl knows no run argument {name!r}")
        value = tuple(given) if name == "lookup_range" else given
        setattr(arguments, name, [tuple(pair) for pair in given] if name == "variables" else value)
    return arguments


def _settings(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.gen_settings(request["model"], request["settings"], py_run_args=_arguments(ezkl, request))


def _table(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.table(request["model"], py_run_args=_arguments(ezkl, request))


def _run_args(_request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return sorted(name for name in dir(ezkl.PyRunArgs()) if not name.startswith("_"))


def _compile(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.compile_circuit(request["model"], request["compiled"], request["settings"])


def _setup(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.setup(
        request["compiled"], request["vk"], request["pk"], request["srs"],
        disable_selector_compression=not request["compress_selectors"],
    )  # fmt: skip


def _witness(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    witness = ezkl.gen_witness(request["data"], request["compiled"], request["witness"])
    hashes = {name: (witness.get(f"processed_{name}") or {}).get("poseidon_hash") or [] for name in ("inputs", "outputs")}
    lookups = [int(witness["min_lookup_inputs"]), int(witness["max_lookup_inputs"])]
    return {"inputs": witness["inputs"], "outputs": witness["outputs"], "hashes": hashes, "lookups": lookups}


def _prove(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    ezkl.prove(request["witness"], request["compiled"], request["pk"], request["proof"], request["srs"])
    with open(request["proof"], "rb") as stream:
        made = json.load(stream)
    return {"instances": made["instances"], "proof": bytes(made["proof"]).hex()}


def _verify(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    # reduced_srs: the pairing check needs the generators and s·G2 alone, which is all that our verifier's file holds.
    return ezkl.verify(request["proof"], request["settings"], request["vk"], request["srs"], reduced_srs=True)


def _poseidon(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.poseidon_hash(request["felts"])


def _gen_srs(request: dict[str, Any]) -> Any:
    ezkl = _ezkl()
    return ezkl.gen_srs(request["srs"], request["logrows"])


_OPERATIONS = {
    "version": _version, "run_args": _run_args, "settings": _settings, "table": _table, "compile": _compile, "setup": _setup,
    "witness": _witness, "prove": _prove, "verify": _verify, "poseidon": _poseidon, "gen_srs": _gen_srs,
}  # fmt: skip

if __name__ == "__main__":
    main(sys.argv[1:])
