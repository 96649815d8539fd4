# SPDX-License-Identifier: Apache-2.0
"""Where the models that come with this library are, with a real sample for each and what to expect of it.

A wheel carries a few small entries in ``verifiable/_catalogue``; a checkout has them all in ``models/`` and ``circuits/``. Both
have the same layout, and no file is handed out before its SHA-256 is the one in the entry's ``model.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import BindingError, Error, FatalStateError, UnsupportedError

_MAX_SIZE = 1 << 20
_REQUIRED = ("model", "sample", "calibration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The folder of a circuit's verifier part, and its pinned id."""

    folder: Path
    id: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model of the catalogue, its digests checked when it was loaded.

    ``sample`` is one real input that the model was not trained on, ``expected`` its true label (an index into ``classes``) or
    target value; ``calibration`` holds real training inputs, ``heldout`` the test set (None where it is not shipped).
    ``circuits`` are the verifier's parts by proof system, their ids pinned. ``max_error`` is the absolute error tolerated in an
    output value; ``visibility`` the suggested one of inputs, outputs and weights.
    """

    name: str
    title: str
    task: str
    folder: Path
    model: Path
    sample: Path
    calibration: Path
    heldout: Path | None
    circuits: Mapping[str, Published]
    expected: float
    classes: tuple[str, ...]
    max_error: float
    visibility: Mapping[str, str]

    @property
    def expected_text(self) -> str:
        """The true label's name, or the target value as text."""
        return self.classes[int(self.expected)] if self.classes else f"{self.expected:g}"


def root() -> Path:
    """The folder that holds ``models/`` and ``circuits/``. Raises UnsupportedError."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "_catalogue", package.parent):
        if next(candidate.glob("models/*/model.toml"), None):
            return candidate
    raise UnsupportedError("no catalogue in this installation", hint="name an ONNX file of your own, or use a checkout")


def names(base: Path | None = None) -> tuple[str, ...]:
    """The entries' names, sorted."""
    return tuple(sorted(path.parent.name for path in (base or root()).glob("models/*/model.toml")))


def entries(base: Path | None = None) -> tuple[Entry, ...]:
    """Every entry, checked. Raises what :func:`find` raises."""
    base = base or root()
    return tuple(_load(base, name) for name in names(base))


def find(name: str, base: Path | None = None) -> Entry:
    """The entry of that name, checked.

    Raises UnsupportedError for an unknown name, BindingError for a file that is not the one its ``model.toml`` lists,
    FatalStateError or MalformedError for a damaged ``model.toml``.
    """
    base = base or root()
    known = names(base)
    if name not in known:
        raise UnsupportedError(f"catalogue: no model {name[:80]!r}", hint=f"the models are {', '.join(known)}")
    return _load(base, name)


def _load(base: Path, name: str) -> Entry:
    folder = base / "models" / name
    try:
        return _entry(base, folder, _describe(folder))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FatalStateError(f"catalogue: {folder / 'model.toml'}: {error!r}", hint="install again") from error


def _describe(folder: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(files.read(folder / "model.toml", what="catalogue", max_size=_MAX_SIZE).decode())


def _entry(base: Path, folder: Path, toml: dict[str, Any]) -> Entry:
    paths = {role: _checked(folder, toml["files"][role], toml["sha256"]) for role in _REQUIRED}
    heldout = folder / toml["files"]["heldout"]
    return Entry(
        name=folder.name,
        title=toml["title"],
        task=toml["task"],
        folder=folder,
        **paths,
        heldout=_checked(folder, heldout.name, toml["sha256"]) if heldout.exists() else None,
        circuits=_circuits(base / "circuits", folder.name, toml),
        expected=float(toml["expected"]["target"]),
        classes=tuple(toml["outputs"][0].get("classes", ())),
        max_error=float(toml["compile"]["max_error"]),
        visibility={kind: toml["compile"][kind] for kind in ("inputs", "outputs", "weights")},
    )


def _circuits(base: Path, name: str, toml: dict[str, Any]) -> dict[str, Published]:
    """The circuits whose folders are here; their parts are bound to the id by whoever loads the folder."""
    found = {}
    for system, text in toml["circuits"].items():
        pinned, folder = Digest.parse(text), base / Path(system).name / name
        if folder.is_dir():
            _bind(folder / "circuit.json", pinned)
            found[system] = Published(folder=folder, id=pinned)
    return found


def _checked(folder: Path, file: str, digests: Mapping[str, str]) -> Path:
    if Path(file).name != file:
        raise FatalStateError(f"catalogue: {folder.name}: {file!r} is not a file name")
    _bind(folder / file, Digest.parse(digests[file]))
    return folder / file


def _bind(path: Path, digest: Digest) -> None:
    try:
        data = files.read(path, what="catalogue", max_size=_MAX_SIZE)
    except Error as error:
        raise BindingError(f"catalogue: {path} is missing or unreadable", hint="install again") from error
    if Digest.of(data) != digest:
        raise BindingError(f"catalogue: {path} is not the file that was published ({digest})", hint="install again")
