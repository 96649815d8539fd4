# SPDX-License-Identifier: Apache-2.0
"""The process that does one step of a measurement and reports its own peak memory; started by :mod:`.measure`.

A job as JSON comes in on standard input, the answer goes to the file that is the only argument: ezkl prints on the standard
streams at will. An answer is ``{"seconds", "bytes"}``, or ``{"error": "memory" | "failed", "message"}``.
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from verifiable.bench.steps import Found, Job, run
from verifiable.errors import Error

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do what standard input says."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = _answer(Job.from_json(json.load(sys.stdin)))
    Path(sys.argv[1]).write_text(json.dumps(answer))


def _answer(job: Job) -> dict[str, Any]:
    try:
        found = run(job)
    except MemoryError:
        return {"error": "memory", "message": "out of memory"}
    except Error as error:
        return {"error": "memory" if _is_about_memory(error) else "failed", "message": str(error)}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a Rust panic reaches Python as a BaseException
        return {"error": "failed", "message": f"{type(error).__name__}: {error}"}
    return _with_memory(found, job.step)


def _is_about_memory(error: Error) -> bool:
    """Foreseen or hit, by whichever system: no error class tells a limit from other reasons to stop, their words do."""
    return "memory" in f"{error} {error.hint}"


def _with_memory(found: Found, step: str) -> dict[str, Any]:
    return {"seconds": found.seconds, "bytes": {**found.bytes, f"memory-{step}": _peak()}}


def _peak() -> int:
    """Bytes of resident memory at the highest, of this process or of its largest child, whichever is more.

    For this process not ``ru_maxrss``: at the start that is what the parent had. A child's may begin with ours for the same
    reason, which the maximum forgives.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


if __name__ == "__main__":
    main()
