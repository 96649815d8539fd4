# SPDX-License-Identifier: Apache-2.0
"""The process that does one step of a measurement and reports its own peak memory; started by :mod:`.step`.

A job as JSON comes in on standard input, the answer goes to the file that is the second argument: ezkl prints on the standard
streams at will. The first names the suite, whose module ``steps`` has the class of jobs and the function that does one. An answer
is what was found, as JSON, or ``{"error": "memory" | "failed", "message"}``.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verifiable.errors import Error

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do what standard input says."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    suite, target = sys.argv[1:]
    steps = importlib.import_module(f"verifiable.bench.{suite}.steps")
    answer = _answer(steps.Job.from_json(json.load(sys.stdin)), steps.run)
    Path(target).write_text(json.dumps(answer))


def _answer(job: Any, run: Callable[[Any], Any]) -> dict[str, Any]:
    try:
        found = asdict(run(job))
    except MemoryError:
        return {"error": "memory", "message": "out of memory"}
    except Error as error:
        return {"error": "memory" if _is_about_memory(error) else "failed", "message": str(error)}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a Rust panic reaches Python as a BaseException
        return {"error": "failed", "message": f"{type(error).__name__}: {error}"}
    found["bytes"][f"memory-{job.step}"] = _peak()
    return found


def _is_about_memory(error: Error) -> bool:
    """Foreseen or hit, by whichever system: no error class tells a limit from other reasons to stop, their words do."""
    return "memory" in f"{error} {error.hint}"


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
