# SPDX-License-Identifier: Apache-2.0
"""Compiled loops without the compiler: Numba makes machine code once per machine, and later processes load it in milliseconds.

Importing Numba costs a second, most proofs less than a tenth of one. A module of loops marks them with :func:`export`;
:func:`load` gives them back as callables, from an object file beside the module (or in the cache directory) that is keyed by
the module's source, the versions of Numba and LLVM, and the processor. Only where no such file exists is the module imported
and compiled. Loops must neither allocate nor raise: they get every array passed in, outputs too.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import stat
from collections.abc import Callable
from importlib import import_module, metadata, util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from verifiable import files, paths
from verifiable.errors import Error, FatalStateError, UnsupportedError

#: What a loop takes: arrays of F by rank, of signed indices, of bytes; words; signed integers. Arrays are C-contiguous.
ARRAYS = {"F1": ("uint64", 1), "F2": ("uint64", 2), "F3": ("uint64", 3), "I1": ("int64", 1), "B1": ("uint8", 1)}
SCALARS = {"U": "uint64", "N": "int64"}
_REGISTRY = "_exported"
# Views count references to the memory's owner. Here there is none (null in every descriptor), so this is never called.
_NO_OWNER = "define void @NRT_MemInfo_call_dtor(ptr %owner) { ret void }"
_MAX_SIZE = 1 << 26
_FOLDER = "loops"


def export(*kinds: str) -> Callable[[Callable[..., None]], Any]:
    """Mark a function as a loop over arguments of these kinds. Imports Numba; other compiled functions can call it."""
    from numba import njit

    def mark(function: Callable[..., None]) -> Any:
        compiled = njit(nogil=True)(function)
        vars(import_module(function.__module__)).setdefault(_REGISTRY, {})[function.__name__] = (compiled, kinds)
        return compiled

    return mark


@functools.cache
def load(module: str) -> SimpleNamespace:
    """The exported loops of a module, by name, compiled. Raises UnsupportedError where neither their code nor Numba is there."""
    try:
        import llvmlite.binding as llvm  # type: ignore[import-untyped]
    except ImportError as error:
        raise UnsupportedError("compiled loops need the package llvmlite", hint="pip install numba") from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    header, code = _read(module, llvm) or _build(module, llvm)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    loops = {name: _callable(engine.get_function_address(name), kinds) for name, kinds in header.items()}
    return SimpleNamespace(**loops, _engine=engine)  # the engine owns the code


def _callable(address: int, kinds: list[str]) -> Callable[..., None]:
    """Numba's calling convention: a place for the result, one for an exception, then each array as its descriptor's words."""
    words: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
    for kind in kinds:
        words += [ctypes.c_uint64] if kind == "U" else [ctypes.c_int64] * (1 if kind == "N" else 5 + 2 * ARRAYS[kind][1])
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *words)(address)
    expected = [(np.dtype(ARRAYS[kind][0]), ARRAYS[kind][1]) if kind in ARRAYS else None for kind in kinds]
    result, exception = ctypes.byref(ctypes.c_void_p()), ctypes.byref(ctypes.c_void_p())

    def call(*arguments: Any) -> None:
        flat: list[Any] = [result, exception]
        for argument, want in zip(arguments, expected, strict=True):
            if want is None:
                flat.append(int(argument))
            else:
                flat += _descriptor(argument, *want)
        function(*flat)

    return call


def _descriptor(array: Any, dtype: np.dtype[Any], rank: int) -> list[int]:
    # Compiled code believes its arguments: this is the only guard between a wrong dtype and foreign memory.
    if array.dtype != dtype or array.ndim != rank or not array.flags.c_contiguous:
        raise FatalStateError(f"a compiled loop takes contiguous {dtype} of rank {rank}, not {array.dtype}{list(array.shape)}")
    return [0, 0, array.size, dtype.itemsize, array.__array_interface__["data"][0], *array.shape, *array.strides]


# -- the file -------------------------------------------------------------------------------------------------------------


def _places(module: str, llvm: Any) -> list[Path]:
    spec = util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin)
    parts = [metadata.version("numba"), metadata.version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name()]
    features = llvm.get_host_cpu_features().flatten()
    digest = hashlib.sha256("\0".join([*parts, features]).encode() + b"\0")
    for dependency in _sources(source):
        digest.update(dependency.read_bytes() + b"\0")
    name = f"{source.stem}.{digest.hexdigest()[:32]}.loops"
    return [source.parent / "__pycache__" / name, paths.cache_directory() / _FOLDER / name]


def _sources(source: Path) -> list[Path]:
    """What the code depends on: the module, the field's functions that it inlines, and this file."""
    here = Path(__file__)
    return [source, here.with_name("kernels.py"), here]


def _read(module: str, llvm: Any) -> tuple[dict[str, list[str]], bytes] | None:
    for path in _places(module, llvm):
        data = _trusted(path)
        if data is not None and hashlib.sha256(data[32:]).digest() == data[:32]:  # not half a file
            head, _, code = data[32:].partition(b"\n")
            return json.loads(head), code
    return None


def _trusted(path: Path) -> bytes | None:
    """The file, if nobody but this user and the administrator can have put it there or changed it: it is code."""
    try:
        if not _ours(os.stat(path.parent)):
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)  # what was opened is what is judged: the name may mean another file by now
        if not stat.S_ISREG(found.st_mode) or not _ours(found) or found.st_size > _MAX_SIZE:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(_MAX_SIZE)
    finally:
        os.close(descriptor)


def _ours(found: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or (found.st_uid in {0, os.getuid()} and not found.st_mode & 0o022)


def _build(module: str, llvm: Any) -> tuple[dict[str, list[str]], bytes]:
    try:
        exported = getattr(import_module(module), _REGISTRY)
    except ImportError as error:
        raise UnsupportedError(f"{module} needs the package numba", hint="pip install numba") from error
    code = _compile(exported, llvm)
    loops = {name: list(kinds) for name, (_, kinds) in exported.items()}
    body = json.dumps(loops).encode() + b"\n" + code
    for path in _places(module, llvm):
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.parent.name == _FOLDER:
                path.parent.chmod(0o700)  # our own, whatever the umask; a package's folder stays as it is
            if not _ours(os.stat(path.parent)):
                continue  # others can write here, so nothing would be read from it either
            files.write(path, hashlib.sha256(body).digest() + body, what="compiled loops", mode=0o600)
        except (OSError, Error):
            continue  # a read-only installation: the next place, or compile again next time
        break
    return loops, code


def _compile(exported: dict[str, Any], llvm: Any) -> bytes:
    """One object file: each loop under its own name, all else internal, and nothing asked of Numba's or Python's run time."""
    from numba import types

    whole = llvm.parse_assembly(_NO_OWNER)
    for name, (dispatcher, kinds) in exported.items():
        scalar = {kind: getattr(types, type_name) for kind, type_name in SCALARS.items()}
        array = {kind: types.Array(getattr(types, dtype), rank, "C") for kind, (dtype, rank) in ARRAYS.items()}
        signature = types.void(*({**scalar, **array}[kind] for kind in kinds))
        dispatcher.compile(signature)
        part = llvm.parse_assembly(dispatcher.inspect_llvm(signature.args))
        symbol = dispatcher.overloads[signature.args].fndesc.llvm_func_name
        for function in part.functions:
            if not function.is_declaration:
                function.linkage = "external" if function.name == symbol else "internal"
        part.get_function(symbol).name = name
        whole.link_in(part)
    machine = _machine(llvm)
    _drop_unused(whole, machine, llvm)
    return bytes(machine.emit_object(whole))


def _drop_unused(whole: Any, machine: Any, llvm: Any) -> None:
    """Numba's wrappers for Python go, and with them all references to it; whatever else is left over would fail at load."""
    for variable in whole.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(whole, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    foreign = [f.name for f in whole.functions if f.is_declaration and not f.name.startswith(("llvm.", "mem"))]
    if foreign:
        raise FatalStateError(f"compiled loops refer to {foreign[0]}", hint="a loop allocates or raises; it must do neither")


def _machine(llvm: Any) -> Any:
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, codemodel="jitdefault", jit=True
    )
