"""Real servers as peers: started for one test, on free ports, in a folder of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

FAST = {"TCP_NODELAY": "1"}
"""DCMTK and Orthanc wait 40 ms an object without it."""

FIRST_PORT, PORTS = 20_000, 1_500
"""Where the free ports of each process that runs tests lie: below those that Linux gives away itself, from 32768 on."""


@cache
def _ports() -> Iterator[int]:
    """Give this process's own ports, one after another; several runs of the tests begin at different ones."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    begin = os.getpid() % PORTS
    return cycle(FIRST_PORT + process * PORTS + (begin + at) % PORTS for at in range(PORTS))


def free_port() -> int:
    """Return a TCP port that nobody listens on now, each time another one, which is not given to anybody meanwhile."""
    while True:
        port = next(_ports())
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(what: str, check: Callable[[], Any], timeout: float = 30.0, pause: float = 0.1) -> Any:
    """Return the first true answer of ``check``; fails with ``what`` when none comes in time."""
    deadline = time.monotonic() + timeout
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout:g} s: {what}")
        time.sleep(pause)
    return answer


class Orthanc:
    """An Orthanc that stores what it gets, with its REST interface."""

    def __init__(self, program: str, folder: Path, **options: Any) -> None:
        self.dicom_port, self.http_port = free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "Name": "PEER",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": True,
            "Plugins": [],
            **options,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self._log = (folder / "orthanc.log").open("w")
        self.process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], env={**os.environ, **FAST}, stdout=self._log, stderr=self._log
        )
        eventually("Orthanc answers", self._alive, 90)

    def _alive(self) -> bool:
        try:
            return bool(self.get("/system"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str) -> Any:
        """Return what the REST interface says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return json.load(answer)

    def instances(self, modality: str | None = None) -> list[dict[str, Any]]:
        """Return the simplified tags of the stored instances."""
        found = [self.get(f"/instances/{key}/simplified-tags") for key in self.get("/instances")]
        return [tags for tags in found if modality is None or tags.get("Modality") == modality]

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def run(program: str, *arguments: str, env: Mapping[str, str] = FAST) -> subprocess.CompletedProcess[str]:
    """Run a peer's command to its end."""
    return subprocess.run(
        [program, *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False
    )
