# SPDX-License-Identifier: Apache-2.0
"""Build the wheel, look at what it would put on a user's machine, install it elsewhere and use it there.

Run by ``make wheel``; uses the dependencies of the environment it runs in, but never the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_TOP = {"verifiable", "verifiable_cli"}


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    result = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"wheel check: {' '.join(map(str, command))} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
        wheel = next(folder.glob("*.whl"))
        names = zipfile.ZipFile(wheel).namelist()
        top = {name.split("/")[0] for name in names}
        assert {t for t in top if not t.endswith(".dist-info")} == ALLOWED_TOP, top
        assert any(name.startswith("verifiable/_catalogue/") for name in names), "the demo's catalogue is missing"
        assert "verifiable/py.typed" in names
        environment = folder / "venv"
        venv.create(environment, with_pip=False, symlinks=True)
        python = environment / "bin" / "python"
        site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
        # Third-party packages come from this environment, our own from the wheel alone.
        ours = Path(run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        links = folder / "dependencies"
        links.mkdir()
        for entry in ours.iterdir():
            if not entry.name.startswith(("verifiable", "_editable", "_verifiable", "__editable__")) and entry.suffix != ".pth":
                (links / entry.name).symlink_to(entry)
        (site / "dependencies.pth").write_text(f"{links}\n")
        env = {**os.environ, "HOME": str(folder), "VERIFIABLE_CACHE": str(folder / "c"), "VERIFIABLE_DATA": str(folder / "d")}
        where = run(
            python, "-c", "import verifiable, pathlib; print(pathlib.Path(verifiable.__file__).parent)", cwd=folder, env=env
        )
        assert Path(where.strip()) == site / "verifiable", where
        version = run(environment / "bin" / "verifiable", "--version", cwd=folder, env=env)
        assert version.strip(), version
        roots = run(python, "-c", "from verifiable.tee.roots import shipped; print(len(shipped().roots))", cwd=folder, env=env)
        assert roots.strip() == "7", f"the vendors' roots: {roots}"
        print(run(environment / "bin" / "verifiable", "demo", cwd=folder, env=env))
        print(f"wheel check: {wheel.name} holds {len(names)} files, installs, imports and runs its demo")


if __name__ == "__main__":
    main()
