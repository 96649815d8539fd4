# SPDX-License-Identifier: Apache-2.0
"""The child process with the real worker: whatever happens to it costs one job, leaves nothing behind, and has a name."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from tests.zk.ezkl.workshop import SAMPLE, Output, Workshop, mlp, onnx_model, tensor
from verifiable.errors import FatalStateError, UnsupportedError
from verifiable.model import isolation
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import process, scratch, steps
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.process import Child, Refusal, job, one_line
from verifiable.zk.ezkl.pulse import Pulse
from verifiable.zk.ezkl.warm import WarmChild
from verifiable.zk.system import Limits, Proved, ProverCircuit, no_progress

PUBLIC = Visibility()


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> Any:
    """After each test there is no child of ours but the shared warm one, and no temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    workshop.system.close()
    before = children()
    yield
    workshop.system.close()
    deadline = time.monotonic() + 5
    while children() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not children() - before
    assert not list(tmp_path.glob("verifiable-ezkl-*"))


def children() -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(status.parent.name))
    return found


def big_setup(child: Child, workshop: Workshop, *, soon: Callable[[], object] | None = None) -> None:
    """Key generation that takes long enough, and memory enough, to be interrupted; ``soon`` is called while it runs."""
    if soon is not None:
        threading.Timer(0.3, soon).start()
    parameters = EzklParameters(decomp_base=128, decomp_legs=3, logrows=10, num_inner_cols=2)
    program = mlp(8, 200, 4)
    settings, _ = steps.make_settings(child, program, parameters, PUBLIC)
    steps.compile_circuit(child, program, settings)
    steps.set_up(child, settings, workshop.srs.path, child.folder / "pk")


# --- what ezkl says


def test_nothing_that_ezkl_prints_reaches_our_streams(workshop: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    """Trap 13: it prints tables and progress bars, on either stream, as it likes."""
    circuit = workshop.build(mlp(8, 8, 4))
    workshop.system.prove(circuit, SAMPLE)
    assert capfd.readouterr() == ("", "")


def test_a_panic_is_one_of_our_errors() -> None:
    """Trap 3: pyo3's PanicException is a BaseException; in this process it would pass every ``except Exception``."""
    with pytest.raises(UnsupportedError, match="PanicException"), job(limits=Limits(), progress=no_progress) as child:
        child.ask("hashing", {"op": "poseidon", "felts": ["no field element"]})


def test_a_child_lives_on_after_a_panic() -> None:
    with job(limits=Limits(), progress=no_progress) as child:
        with pytest.raises(Refusal) as caught:
            child.ask("hashing", {"op": "poseidon", "felts": ["no field element"]})
        assert caught.value.panicked
        assert child.ask("asking", {"op": "version"}) == "23.0.5"


def test_every_run_argument_of_ezkl_is_ours() -> None:
    """Trap 8: its defaults differ between its interfaces; an argument that we do not set would be one we did not choose."""
    with job(limits=Limits(), progress=no_progress) as child:
        known = child.ask("asking", {"op": "run_args"})
    assert known == sorted(EzklParameters().run_args(PUBLIC))


def test_an_unknown_run_argument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="nonsense"), job(limits=Limits(), progress=no_progress) as child:
        child.ask("x", {"op": "settings", "model": "m", "settings": "s", "run_args": {"nonsense": 1}})


# --- memory, time, death


def test_too_little_memory_is_a_clear_error(workshop: Workshop) -> None:
    for megabytes in (4, 10, 32):  # too little to import, to start threads, to make the keys
        limits = Limits(memory=megabytes << 20)
        with (
            pytest.raises(FatalStateError, match=r"out of memory while .*limit [0-9,]+ bytes") as caught,
            job(limits=limits, progress=no_progress) as child,
        ):
            big_setup(child, workshop)
        assert "memory" in caught.value.hint


def test_enough_memory_is_enough(workshop: Workshop) -> None:
    with job(limits=Limits(memory=2 << 30), progress=no_progress) as child:
        big_setup(child, workshop)


def test_a_deadline_ends_the_job(workshop: Workshop) -> None:
    started = time.monotonic()
    with (
        pytest.raises(FatalStateError, match="deadline passed while"),
        job(limits=Limits(seconds=0.4), progress=no_progress) as child,
    ):
        big_setup(child, workshop)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGKILL, "killed while .*kernel"), (signal.SIGABRT, "SIGABRT"), (signal.SIGSEGV, "SIGSEGV")],
)
def test_a_child_that_dies_is_a_clear_error(workshop: Workshop, number: signal.Signals, message: str) -> None:
    """What the kernel does when memory runs out, and what Rust does on a double panic."""
    with pytest.raises(FatalStateError, match=message), job(limits=Limits(), progress=no_progress) as child:
        big_setup(child, workshop, soon=lambda: child._process.send_signal(number))


def test_no_core_is_dumped_and_nobody_may_look_in() -> None:
    """A core file would hold the witness, hidden inputs and weights included."""
    with job(limits=Limits(), progress=no_progress) as child:
        child.ask("asking", {"op": "version"})
        limits = Path(f"/proc/{child._process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_the_environment_does_not_steer_ezkl(monkeypatch: pytest.MonkeyPatch) -> None:
    """``EZKL_KEY_FORMAT`` alone changes how a verifying key is read, its checks included."""
    for name in ("EZKL_KEY_FORMAT", "EZKL_MAX_CIRCUIT_AREA", "PYTHONPATH", "RUST_LOG", "ENABLE_ICICLE_GPU"):
        monkeypatch.setenv(name, "raw-bytes-unchecked")
    with job(limits=Limits(), progress=no_progress) as child:
        assert child.ask("asking", {"op": "version"}) == "23.0.5"
        assert set(process._environment(child.folder)) <= {
            "PATH", "LD_LIBRARY_PATH", "RAYON_NUM_THREADS", "HOME", "TMPDIR", "LC_ALL", "RUST_BACKTRACE", "RUST_LOG",
        }  # fmt: skip
        assert process._environment(child.folder)["RUST_LOG"] == "error"


def test_a_full_disk_is_a_clear_error() -> None:
    with pytest.raises(FatalStateError, match="no space left"), job(limits=Limits(), progress=no_progress) as child:
        child.ask("making a setup", {"op": "gen_srs", "srs": "/dev/full", "logrows": 8})


def test_a_folder_that_is_gone_is_a_clear_error() -> None:
    with pytest.raises(FatalStateError, match="cannot write"), job(limits=Limits(), progress=no_progress) as child:
        child.write("no/such/folder", b"")
    with pytest.raises(FatalStateError, match="cannot read"), job(limits=Limits(), progress=no_progress) as child:
        child.read("absent")


# --- cancellation


class Stop(Exception):
    pass


@pytest.mark.parametrize("kind", [Stop, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_exception_in_the_progress_callback_ends_the_job(workshop: Workshop, kind: type[BaseException]) -> None:
    calls = []

    def progress(phase: str, fraction: float | None) -> None:
        calls.append((phase, fraction))
        if phase == "making the keys" and sum(p == phase for p, _ in calls) > 1:  # while it runs, not before
            raise kind

    with pytest.raises(kind), job(limits=Limits(), progress=progress) as child:
        big_setup(child, workshop)
    assert not child.alive
    assert not child.folder.exists()
    assert calls[0][0] == "laying out the circuit"


def test_ctrl_c_ends_the_job(workshop: Workshop) -> None:
    with pytest.raises(KeyboardInterrupt), job(limits=Limits(), progress=no_progress) as child:
        big_setup(child, workshop, soon=lambda: os.kill(os.getpid(), signal.SIGINT))
    assert not child.alive


def test_a_generator_that_is_closed_ends_the_job() -> None:
    def proving() -> Any:
        with job(limits=Limits(), progress=no_progress) as child:
            yield child
            yield child

    generator = proving()
    child = next(generator)
    generator.close()
    assert not child.alive
    assert not child.folder.exists()


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path, workshop: Workshop, checkout: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys, tempfile
        sys.path.insert(0, {str(checkout)!r})
        tempfile.tempdir = {str(tmp_path / "of-the-parent")!r}
        import os; os.mkdir(tempfile.tempdir)
        from verifiable.zk.ezkl.process import Child
        from verifiable.zk.ezkl.warm import WarmChild
        from verifiable.zk.system import Limits
        child, warm = Child(limits=Limits()), WarmChild(limits=Limits())
        child.ask("asking", {{"op": "version"}})
        warm.use(lambda c: c.ask("asking", {{"op": "version"}}), seconds=60)
        print(child._process.pid, warm._child._process.pid, flush=True)
        child.ask("making", {{"op": "gen_srs", "srs": str(child.folder / "srs"), "logrows": 20}})
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"] == []


def aged(folder: Path) -> Path:
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    return folder


def test_what_a_killed_parent_left_is_swept_up(tmp_path: Path, checkout: Path) -> None:
    """The folder holds the witness, hidden values included."""
    script = (
        f"import os, sys, tempfile; sys.path.insert(0, {str(checkout)!r}); tempfile.tempdir = {str(tmp_path)!r};"
        "from verifiable.zk.ezkl import scratch; print(scratch.make()[0], flush=True); os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False).stdout
    left = Path(said.strip())
    assert left.is_dir()
    scratch.sweep()
    assert left.is_dir()  # it might have been made this moment
    aged(left)
    scratch.sweep()
    assert not left.exists()


def test_a_folder_in_use_and_the_folders_of_others_are_not_swept(tmp_path: Path) -> None:
    other = tmp_path / "verifiable-ezkl-link"
    (tmp_path / "kept").mkdir()
    other.symlink_to(tmp_path / "kept")
    with job(limits=Limits(), progress=no_progress) as child:
        aged(child.folder)
        scratch.sweep()
        assert child.folder.is_dir()
    assert (tmp_path / "kept").is_dir()
    other.unlink()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


# --- the warm child


def test_a_dead_warm_child_is_replaced(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    child = workshop.system._warm._child
    assert child is not None
    child._process.kill()
    child._process.wait()
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    assert workshop.system._warm._child is not child
    assert not child.folder.exists()


def test_a_full_cache_is_emptied() -> None:
    warm = WarmChild(limits=Limits(), max_cached=100)
    folders = []
    for number in range(4):
        warm.use(lambda child, n=number: (warm.keep(f"file{n}", bytes(60)), folders.append(child.folder)), seconds=60)
    warm.close()
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


def test_a_question_that_fails_unforeseen_costs_the_child_not_the_next_question() -> None:
    warm = WarmChild(limits=Limits())
    with pytest.raises(ZeroDivisionError):
        warm.use(lambda child: 1 // 0, seconds=60)
    assert warm.use(lambda child: child.ask("asking", {"op": "version"}), seconds=60) == "23.0.5"
    warm.close()


def test_another_release_of_ezkl_is_refused(monkeypatch: pytest.MonkeyPatch, workshop: Workshop, circuit: ProverCircuit) -> None:
    from importlib import metadata

    monkeypatch.setattr(metadata, "version", lambda name: "23.0.6")
    with pytest.raises(UnsupportedError, match=r"ezkl 23\.0\.5 is needed, found: 23\.0\.6") as caught:
        workshop.system.execute(circuit, SAMPLE)
    assert caught.value.hint == "pip install ezkl==23.0.5"


def test_a_temporary_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(FatalStateError, match="cannot create a temporary folder"):
        Child(limits=Limits())


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", ""),
        ("one\n\ntwo\n", "one two"),
        ("\x1b[31mred\x1b[0m\r\nbell\x07", "red bell"),
        ("x" * 400, "..." + "x" * 300),
    ],
)
def test_what_ezkl_said_becomes_one_line(said: str, line: str) -> None:
    assert one_line(said) == line


# --- calls that would never return


def product_through_a_table(workshop: Workshop) -> tuple[ProverCircuit, dict[str, Any]]:
    """Sigmoid(a * b) with a table that does not hold what the admissible inputs give, and such inputs."""
    program = onnx_model(
        [helper.make_node("Mul", ["a", "b"], ["c"]), helper.make_node("Sigmoid", ["c"], ["y"])], {"a": (1, 3), "b": (1, 3)},
        {"y": (1, 3)},
    )  # fmt: skip
    specs = tuple(TensorSpec(name=n, dtype="float32", shape=(1, 3), scale=2.0**-7, low=-500, high=500) for n in "ab")
    narrow = EzklParameters(decomp_base=128, decomp_legs=3, logrows=10, lookup_low=-300, lookup_high=300)
    circuit = workshop.build(program, inputs=specs, outputs=(Output("y", "float32", (1, 3)),), parameters=narrow)
    return circuit, {"a": tensor(400, 400, 400), "b": tensor(400, 400, 400)}


def test_an_argument_beyond_the_tables_is_refused_before_proving(workshop: Workshop) -> None:
    circuit, inputs = product_through_a_table(workshop)
    for ask in (workshop.system.prove, workshop.system.execute):
        with pytest.raises(UnsupportedError, match=r"argument of a table function is in \[.*\]; the circuit's tables hold"):
            ask(circuit, inputs)


def test_a_prover_that_waits_for_a_thread_that_ended_is_stopped(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check above ezkl's call never returns, and its threads sleep for ever."""
    monkeypatch.setattr(steps, "_check_lookups", lambda *_: None)
    monkeypatch.setattr(process, "STALL_SECONDS", 3.0)
    circuit, inputs = product_through_a_table(workshop)
    started = time.monotonic()
    with pytest.raises(FatalStateError, match="waits for a thread of its own that has ended while proving"):
        workshop.system.prove(circuit, inputs, limits=Limits(seconds=60))
    assert time.monotonic() - started < 30


def test_work_is_no_stall() -> None:
    """One thread computes, another one sleeps; and a process that was stopped is not taken for one that waits."""
    both = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()\nwhile 1: pass"
    busy = subprocess.Popen([sys.executable, "-c", both])
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pulses = [Pulse(started.pid, 0.0) for started in (busy, idle)]
    try:
        time.sleep(0.5)
        for now in range(1, 8):
            waited = [pulse.asleep(float(now)) for pulse in pulses]
            time.sleep(0.05)
        assert waited[0] <= 1
        assert waited[1] >= 5
        idle.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        assert pulses[1].asleep(9.0) == 0
    finally:
        for started in (busy, idle):
            started.kill()
            started.wait()


def test_a_panic_that_is_no_answer_ends_the_call(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PANIC_SECONDS", 0.2)
    with job(limits=Limits(), progress=no_progress) as child:
        path = f"/proc/{child._process.pid}/fd/1"

        def panic() -> None:
            with open(path, "w") as stream:
                stream.write("thread '<unnamed>' panicked at src/lookup.rs:1:1:\nvalue not in table\n")

        with pytest.raises(FatalStateError, match=r"a thread of the prover panicked while making the keys.*value not in table"):
            big_setup(child, workshop, soon=panic)


def test_no_job_without_a_deadline(workshop: Workshop, circuit: ProverCircuit) -> None:
    from verifiable.zk.ezkl import system
    from verifiable.zk.ezkl.settings import EzklSettings

    with job(limits=Limits(), progress=no_progress) as child:
        assert child._deadline is not None
        assert child._deadline <= time.monotonic() + process.DEFAULT_SECONDS
    settings = EzklSettings.parse(circuit.verifier.parts["settings"])
    assert system._deadline(Limits(seconds=5.0), settings).seconds == 5.0
    assert system._deadline(Limits(memory=7), settings) == Limits(memory=7, seconds=system.PROVE_LEAST)


# --- many descriptors


@pytest.fixture
def many_descriptors() -> Any:
    """More than 1,100 open ones, so that every new one is beyond what ``select`` can hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"this process may open {hard} descriptors, 2,048 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1150)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_than_a_thousand_descriptors_are_no_obstacle(many_descriptors: None) -> None:
    """A service with a thousand connections hands the child descriptors that ``select`` knows nothing of."""
    with job(limits=Limits(), progress=no_progress) as child:
        assert child._replies > 1023
        assert child.ask("asking", {"op": "version"}) == "23.0.5"
        time.sleep(0.1)
        assert child.ask("asking", {"op": "version"}) == "23.0.5"


def test_models_are_analysed_with_more_than_a_thousand_descriptors(many_descriptors: None) -> None:
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.operators import OPERATORS

    isolation._current = None  # a worker of its own, started with these descriptors open
    assert not preflight(Model.parse(mlp(8, 4)), operators=OPERATORS).defects
    assert isolation._current is not None
    isolation._current.close()
    isolation._current = None
