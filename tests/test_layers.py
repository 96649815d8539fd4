# SPDX-License-Identifier: Apache-2.0
"""The walls of docs/architecture.md: imports only go down, and some packages may be touched in one place only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Top to bottom. A module may import from rows below its own, and from its own package; never sideways, never up.
ROWS = (
    ("verifiable_cli",),
    ("demo", "node", "bench"),
    ("catalogue",),
    ("compiling", "proving", "settling", "verify"),
    ("receipt", "trust"),
    ("claim",),
    ("zk", "tee", "oracle", "ledger"),
    ("model", "keys", "blobs"),
    ("merkle", "encoding", "digest", "files", "paths", "checklist"),
    ("errors",),
)
# Within the pure bottom row, encoding may use digest.
SIDEWAYS = {("encoding", "digest")}
# What may open a socket: services, clients, and the one fetch of setups.
NETWORK = (
    "verifiable/zk/srs/fetch.py",
    "verifiable/ledger/service.py",
    "verifiable/ledger/http.py",
    "verifiable/ledger/deadline.py",
    "verifiable/ledger/witness_client.py",
)
# package -> the only places that may import it
WALLS = {
    "ezkl": ("verifiable/zk/ezkl/",),
    "onnx": ("verifiable/model/", "models/"),
    "onnxruntime": ("verifiable/model/", "models/"),
    "onnxslim": ("verifiable/model/",),
    "click": ("cli/verifiable_cli/",),
    "numba": ("verifiable/zk/sumcheck/", "verifiable/model/"),
    "llvmlite": ("verifiable/zk/sumcheck/",),
    "py_ecc": ("verifiable/zk/srs/",),
    "dcap_qvl": ("verifiable/tee/dcap/",),
    "cbor2": ("verifiable/tee/nitro/",),
    "lxml": ("verifiable/tee/nvidia/",),
    "signxml": ("verifiable/tee/nvidia/",),
    "socket": NETWORK,
    "socketserver": NETWORK,
    "urllib.request": NETWORK,
    "http.client": NETWORK,
    "http.server": NETWORK,
}
# Inside the library nothing prints and nothing exits.
HEAVY = (
    "ezkl", "onnx", "onnxruntime", "onnxslim", "click", "numba", "numpy", "py_ecc", "cryptography", "securesystemslib",
    "dcap_qvl", "cbor2", "lxml", "signxml",
)  # fmt: skip


def _sources(root: Path) -> Iterator[Path]:
    for folder in ("verifiable", "cli", "models"):
        yield from sorted((root / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _unit(dotted: str) -> str | None:
    parts = dotted.split(".")
    if parts[0] == "verifiable_cli":
        return "verifiable_cli"
    return parts[1] if parts[0] == "verifiable" and len(parts) > 1 else None


def _row(unit: str) -> int:
    return next(i for i, row in enumerate(ROWS) if unit in row)


def violations(sources: dict[str, list[str]]) -> list[str]:
    """``sources``: path relative to the root -> dotted names it imports."""
    found = []
    for path, names in sources.items():
        for name in names:
            found += [
                f"{path} imports {package}"
                for package, places in WALLS.items()
                if (name == package or name.startswith(package + ".")) and not path.startswith(places)
            ]
        if path.startswith("models/") or path == "verifiable/__init__.py":
            continue
        own = "verifiable_cli" if path.startswith("cli/") else Path(path).relative_to("verifiable").parts[0].removesuffix(".py")
        for name in names:
            other = _unit(name)
            if other is None or other == own or (own, other) in SIDEWAYS or other.startswith("_") or not other.islower():
                continue
            if other in {unit for row in ROWS for unit in row} and _row(other) <= _row(own):
                found.append(f"{path} ({own}) imports {name}: not below it")
            elif other not in {unit for row in ROWS for unit in row} and own != "verifiable_cli":
                found.append(f"{path} imports {name}: in no row")
    return found


def test_imports_go_down_and_walls_hold(checkout: Path) -> None:
    sources = {str(p.relative_to(checkout)): list(_imports(p)) for p in _sources(checkout)}
    assert sources
    assert violations(sources) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("verifiable/encoding/x.py", "verifiable.receipt"),
        ("verifiable/model/x.py", "verifiable.keys.signer"),
        ("verifiable/zk/circuit.py", "ezkl"),
        ("verifiable/verify/x.py", "onnx.checker"),
        ("verifiable/keys/x.py", "urllib.request"),
        ("verifiable/ledger/cosigner.py", "http.server"),
        ("verifiable/verify/x.py", "click"),
        ("verifiable/verify/x.py", "verifiable.proving"),
    ],
)
def test_a_breach_is_seen(path: str, name: str) -> None:
    assert violations({path: [name]})


def test_every_library_module_is_in_a_row(checkout: Path) -> None:
    units = {p.name.removesuffix(".py") for p in (checkout / "verifiable").iterdir() if not p.name.startswith(("_", ".", "py."))}
    assert units <= {unit for row in ROWS for unit in row}


def test_the_library_neither_prints_nor_exits(checkout: Path) -> None:
    for path in (checkout / "verifiable").rglob("*.py"):
        if path.name == "worker.py":  # the child process's own main
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
                assert name not in {"print", "exit", "quit", "sys.exit", "os._exit"}, f"{path}:{node.lineno} calls {name}"


def test_importing_the_library_loads_nothing_heavy() -> None:
    code = f"import sys, verifiable; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
