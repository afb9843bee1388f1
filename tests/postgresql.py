"""A PostgreSQL server for the tests: a cluster of its own in a temporary folder, on a local port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers import free_port

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
"""Who runs it where the tests are run by root, which PostgreSQL refuses to be."""


def find_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl: of the path, or the newest that Debian has; None without them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    kept = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return kept[-1].parent if kept else None


@contextmanager
def serving(programs: Path) -> Iterator[str]:
    """Run a server while the block runs; gives its SQLAlchemy URL, without a database."""
    folder = Path(tempfile.mkdtemp(prefix="overread-postgresql-"))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, port = folder / "data", free_port()
        made = ("--username", ACCOUNT, "--auth", "trust", "--encoding", "UTF8")
        _run((programs / "initdb", "--pgdata", data, *made))
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        control: tuple[str | Path, ...] = (programs / "pg_ctl", "--pgdata", data, "--wait")
        _run((*control, "--log", folder / "log", "--options", options, "start"))
        try:
            yield f"postgresql+psycopg://{ACCOUNT}@127.0.0.1:{port}"
        finally:
            _run((*control, "--mode", "immediate", "stop"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str | Path]) -> None:
    lower = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    subprocess.run([*lower, *command], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120)
