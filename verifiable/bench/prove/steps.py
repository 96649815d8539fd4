# SPDX-License-Identifier: Apache-2.0
"""What is timed, step by step: compile, prove, verify. Each runs in a process of its own and leaves its files to the next.

A warm-up comes first, then as many runs as asked for, fewer where one takes long. Making a development setup is not counted: it
is made once per machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable.bench.prove import STOCK
from verifiable.bench.timing import repeat, timed
from verifiable.errors import FatalStateError
from verifiable.zk.system import Limits

if TYPE_CHECKING:
    from verifiable.proving import ProvedReceipt
    from verifiable.zk.ezkl.stock import Stock

STEPS = ("compile", "prove", "verify")
#: Calibration samples for ezkl's own calibration, which runs every one of them through many circuits.
STOCK_SAMPLES = 20
#: Where the data is noise, of the range of the float outputs: coarse, so that it is not precision that costs.
NOISE_ERROR = 0.05
#: What only one system takes. sumcheck's cost hangs on its width and not on an allowed error; no error is too large.
_OWN_OPTIONS: Mapping[str, Any] = {
    "ezkl": {"srs": "dev-insecure"},
    "sumcheck": {"bits": 8, "max_error": 1e30},
}
_WITNESS, _PROVE = ("witness", "computing the witness"), ("prove", "proving")
_NOT_COUNTED = "making a development setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step. ``folder`` is shared by the steps of one measurement; ``memory`` in bytes."""

    step: str
    system: str
    model: Path
    calibration: Path
    sample: Path
    folder: Path
    max_error: float | None
    runs: int
    memory: int | None

    def to_json(self) -> dict[str, Any]:
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Job:
        paths = {f.name for f in fields(cls) if f.type == "Path"}
        values: dict[str, Any] = {name: Path(value) if name in paths else value for name, value in document.items()}
        return cls(**values)

    @property
    def circuit(self) -> Path:
        return self.folder / "circuit"

    @property
    def receipt(self) -> Path:
        return self.folder / "receipt.json"


@dataclass(slots=True)
class Found:
    """Seconds per run and bytes, as in ``results``."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


def run(job: Job) -> Found:
    """Do the step. Raises Error, and whatever ezkl's stock calibration may raise."""
    steps = _STOCK_STEPS if job.system == STOCK else _OUR_STEPS
    return steps[job.step](job)


class _Clock:
    """Seconds since it was made, without those of the phases that do not count. Itself a progress sink."""

    def __init__(self) -> None:
        self._phase, self._since = "", time.monotonic()
        self._started, self._dropped = self._since, 0.0

    def __call__(self, phase: str, fraction: float | None) -> None:  # noqa: ARG002 - the signature of Progress
        now = time.monotonic()
        if self._phase == _NOT_COUNTED:
            self._dropped += now - self._since
        self._phase, self._since = phase, now

    @property
    def seconds(self) -> float:
        self("", None)
        return time.monotonic() - self._started - self._dropped


# -- our systems ----------------------------------------------------------------------------------------------------------


def _compile(job: Job) -> Found:
    import verifiable

    given = {"max_error": _tolerated(job)} | _OWN_OPTIONS[job.system]
    clock = _Clock()
    compiled = verifiable.compile(
        job.model, system=job.system, calibration=job.calibration,
        limits=Limits(memory=job.memory), progress=clock, **given,
    )  # fmt: skip
    found = Found(seconds={"compile": [clock.seconds]})
    compiled.save(job.circuit)
    circuit, parts = compiled.circuit, compiled.prover.verifier.parts
    found.bytes["verifier"] = len(circuit.encode()) + sum(len(part) for part in parts.values())
    if circuit.proving_key is not None:
        found.bytes["proving-key"] = circuit.proving_key.size
    return found


def _tolerated(job: Job) -> float:
    """What was asked for, else a share of the float outputs' range."""
    if job.max_error is not None:
        return job.max_error
    import numpy as np

    from verifiable.model.data import read_samples
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.runtime import FloatModel

    model = Model.load(job.model)
    reference = FloatModel(normalise(model))
    samples = read_samples(job.calibration, model.inputs)
    outputs = [reference.run({name: tensor.array() for name, tensor in sample.items()}) for sample in samples]
    ranges = [float(np.ptp([output[name] for output in outputs])) for name in outputs[0]]
    return NOISE_ERROR * max(ranges)


def _prove(job: Job) -> Found:
    import verifiable
    from verifiable.keys.signer import generate
    from verifiable.zk import directory

    prover, signer, limits = directory.load_prover(job.circuit), generate(job.folder / "node.pem"), Limits(memory=job.memory)
    proved = repeat(lambda: verifiable.prove(prover, job.sample, signer=signer, limits=limits), job.runs)
    job.receipt.write_bytes(proved[-1].receipt.encode())
    witness, prove = ([_phase(p, names) for p in proved] for names in (_WITNESS, _PROVE))
    total = [a + b for a, b in zip(witness, prove, strict=True)]
    return Found(seconds={"witness": witness, "prove": prove, "total": total}, bytes={"proof": proved[-1].proof_size})


def _phase(proved: ProvedReceipt, names: tuple[str, ...]) -> float:
    """Each system has its own words for the same two phases."""
    for name in names:
        if name in proved.seconds:
            return proved.seconds[name]
    raise FatalStateError(f"benchmark: none of the phases {', '.join(proved.seconds)} is {names[0]!r}")


def _verify(job: Job) -> Found:
    import verifiable
    from verifiable.proving import read_inputs
    from verifiable.zk import directory

    receipt, circuit = job.receipt.read_bytes(), directory.load_verifier(job.circuit).circuit
    inputs = read_inputs(circuit, job.sample)  # a batch is too large to be in the receipt
    verifier = verifiable.Verifier(verifiable.TrustRoot.pin(circuit.id))

    def judge() -> object:
        return verifier.verify(receipt, now=datetime.now(UTC), inputs=inputs, allow_dev_srs=True)

    times = repeat(lambda: timed(judge), job.runs)
    return Found(seconds={"verify": times})


# -- ezkl's stock calibration -----------------------------------------------------------------------------------------------


def _stock_compile(job: Job) -> Found:
    from verifiable.model.data import read_samples
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model

    model = Model.load(job.model)
    normal = job.folder / "normal.onnx"
    normal.write_bytes(normalise(model))
    samples = [[t.array() for t in s.values()] for s in read_samples(job.calibration, model.inputs)][:STOCK_SAMPLES]
    clock = _Clock()
    stock = _stock(job)
    logrows = stock.calibrate(normal, samples)
    calibrated = clock.seconds
    srs = _setup(job, logrows)
    found = Found(seconds={"compile": [calibrated + timed(lambda: stock.set_up(srs))]})
    sizes = stock.sizes
    found.bytes |= {"proving-key": sizes["proving-key"], "verifier": sizes["verifying-key"]}
    (job.folder / "srs").symlink_to(srs)
    return found


def _stock_prove(job: Job) -> Found:
    from verifiable.model.data import read_tensors
    from verifiable.model.onnx_file import Model

    stock, srs = _stock(job), job.folder / "srs"
    sample = [tensor.array() for tensor in read_tensors(job.sample, Model.load(job.model).inputs).values()]

    def once() -> tuple[float, float]:
        return timed(lambda: stock.witness(sample)), timed(lambda: stock.prove(srs))

    runs = repeat(once, job.runs)
    seconds = {"witness": [w for w, _ in runs], "prove": [p for _, p in runs], "total": [w + p for w, p in runs]}
    return Found(seconds=seconds, bytes={"proof": stock.sizes["proof"]})


def _stock_verify(job: Job) -> Found:
    stock = _stock(job)
    return Found(seconds={"verify": repeat(lambda: timed(lambda: stock.verify(job.folder / "srs")), job.runs)})


def _stock(job: Job) -> Stock:
    from verifiable.zk.ezkl.stock import Stock

    return Stock(folder=job.folder)


def _setup(job: Job, logrows: int) -> Path:
    from verifiable.compiling.ezkl import choose_srs
    from verifiable.zk.registry import Stores
    from verifiable.zk.system import no_progress

    limits = Limits(memory=job.memory)
    return choose_srs("dev-insecure", logrows, Stores.default(), limits=limits, progress=no_progress).path


_OUR_STEPS = {"compile": _compile, "prove": _prove, "verify": _verify}
_STOCK_STEPS = {"compile": _stock_compile, "prove": _stock_prove, "verify": _stock_verify}

__all__ = ["STEPS", "Found", "Job", "run"]
