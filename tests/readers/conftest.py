"""JavaScript readers: packages from the npm registry, installed once in a cache folder outside the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
Reader = Callable[..., Any]

#: What a bundle of modules needs to hold packages of the older kind.
BANNER = "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);"


@pytest.fixture(scope="session")
def reader(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Give a function from a script's name and its arguments to the JSON that it prints.

    Skips, saying why, where node, npm or the packages are not to be had; fails where peers are required and there is
    no node.
    """
    node, npm = peer("node"), peer("npm")
    modules = _installed(npm) / "node_modules"
    bundles = tmp_path_factory.mktemp("readers")

    def read(script: str, *paths: Path | str) -> Any:
        bundle = bundles / f"{script}.mjs"
        if not bundle.exists():
            _bundle(modules, HERE / f"{script}.mjs", bundle)
        done = subprocess.run(
            [node, str(bundle), *map(str, paths)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{script} failed:\n{done.stderr[-2000:]}"
        return json.loads(done.stdout)

    return read


def _installed(npm: str) -> Path:
    """Return the folder with the packages that the lock file names, installing them if it is not there yet."""
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "overread-tests"
    folder = cache / f"readers-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        _install(npm, fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    return folder


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250, check=False)
        said = done.stderr.strip().splitlines()[:1] if done.returncode else []
        failed = bool(done.returncode)
    except subprocess.TimeoutExpired:
        said, failed = ["it took too long"], True
    if failed:
        shutil.rmtree(folder, ignore_errors=True)
        # A network that does not answer is no missing peer: it would make every run depend on somebody else's server.
        pytest.skip(f"the JavaScript readers cannot be installed (npm ci): {' '.join(said)}")


def _bundle(modules: Path, script: Path, bundle: Path) -> None:
    """Put a script and what it imports into one file, as viewers do; node alone does not resolve all that they do."""
    subprocess.run(
        [
            str(modules / ".bin" / "esbuild"), str(script), "--bundle", "--platform=node", "--format=esm",
            f"--outfile={bundle}", f"--banner:js={BANNER}", "--log-level=error",
        ],
        env={**os.environ, "NODE_PATH": str(modules)}, check=True, timeout=120,
    )  # fmt: skip
