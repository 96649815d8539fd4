# SPDX-License-Identifier: Apache-2.0
"""One ezkl circuit from settings to verified proof, in a process of its own, so that its peak memory is its own.

Reads a job as JSON from standard input and writes what it measured to the file that the job names. ``run_args`` None: what ezkl's
own calibration (target ``resources``) makes of its own defaults.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ezkl

# Not calibrated by ezkl and off in both, since the randomised product is not bound to the next layer.
COMMON = {"disable_freivalds": True, "input_visibility": "public", "output_visibility": "public", "param_visibility": "fixed"}


def main(job: dict[str, Any]) -> None:
    folder = Path(job["folder"])
    at = {name: str(folder / name) for name in ("settings", "compiled", "vk", "pk", "input", "witness", "proof", "calibration")}
    result: dict[str, Any] = {}

    def timed(name: str, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
        started = time.monotonic()
        answer = call(*given, **options)
        result[name] = min(time.monotonic() - started, result.get(name, float("inf")))
        return answer

    arguments = ezkl.PyRunArgs()
    for name, value in {**COMMON, **(job["run_args"] or {})}.items():
        setattr(
            arguments,
            name,
            tuple(value) if name == "lookup_range" else [tuple(v) for v in value] if name == "variables" else value,
        )
    ezkl.gen_settings(job["model"], at["settings"], py_run_args=arguments)
    if job["run_args"] is None:
        Path(at["calibration"]).write_text(json.dumps({"input_data": job["calibration"]}))
        timed("calibrate", ezkl.calibrate_settings, at["calibration"], job["model"], at["settings"], "resources")
    settings = json.loads(Path(at["settings"]).read_text())
    logrows = settings["run_args"]["logrows"]
    srs = Path(job["srs"]) / f"{logrows}.srs"
    if not srs.exists():
        ezkl.gen_srs(str(srs), logrows)
    ezkl.compile_circuit(job["model"], at["compiled"], at["settings"])
    timed(
        "setup",
        ezkl.setup,
        at["compiled"],
        at["vk"],
        at["pk"],
        str(srs),
        disable_selector_compression=job["run_args"] is not None,
    )
    Path(at["input"]).write_text(json.dumps({"input_data": [job["sample"]]}))
    timed("witness", ezkl.gen_witness, at["input"], at["compiled"], at["witness"])
    for _ in range(job["proofs"]):
        timed("prove", ezkl.prove, at["witness"], at["compiled"], at["pk"], at["proof"], str(srs))
    for _ in range(5):
        assert timed("verify", ezkl.verify, at["proof"], at["settings"], at["vk"], str(srs)) is True
    result |= {name: Path(at[name]).stat().st_size for name in ("pk", "vk")}
    result |= {"logrows": logrows, "rows": settings["num_rows"], "proof": len(json.loads(Path(at["proof"]).read_text())["proof"])}
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main(json.load(sys.stdin))
