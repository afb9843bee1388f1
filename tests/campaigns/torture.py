"""Hundreds of hostile connections, and a full disk: others are served, nothing leaks, nothing is lost.

``python -m tests.campaigns.torture``. Needs DCMTK's storescu, and root for the full disk (else that part is skipped).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from node.dicom.part10 import Command, file_meta
from tests.campaigns import console, fulldisk
from tests.campaigns.console import Outcome
from tests.campaigns.crowd import PLAIN, SECURE, crowd, timed
from tests.campaigns.objects import CLASS, SYNTAX, Maker
from tests.campaigns.processes import Services, footprint, services
from tests.peers import eventually, run

CONNECTIONS = 500
ROUNDS = 10
WARM_ROUND = 2
"""The round that the last one is compared with: until then threads and pools are made that stay."""
OBJECTS = 150
TIMES = 3
MOST_RATIO = 3.0
"""How much longer a sender may take while the crowd is there, on a machine that the crowd's own sender shares."""
MOST_GROWTH_BYTES = 8 << 20
SETTLE_SECONDS = 60.0


class Sender:
    """DCMTK storescu with a folder of objects."""

    def __init__(self, folder: Path, port: int, count: int, *extra: str) -> None:
        self._program = shutil.which("storescu") or ""
        self._port, self._extra = port, extra
        self._files = [folder / f"{number}.dcm" for number in range(count)]
        folder.mkdir()
        maker = Maker(port)
        for number, path in enumerate(self._files):
            sample = maker.sample(number, 30_000)
            path.write_bytes(file_meta(Command(CLASS, sample.uid, SYNTAX)) + sample.data)

    def send(self) -> None:
        """Send all; the first time they are new, then they are known."""
        files = [str(path) for path in self._files]
        done = run(self._program, *self._extra, "-aec", "OVERREAD", "127.0.0.1", str(self._port), *files)
        assert done.returncode == 0, done.stderr[-500:]


def others_are_served(
    node: Services, sender: Sender, outcome: Outcome, count: int, manners: Sequence[Callable[..., Any]], name: str
) -> None:
    """Compare a sender's time with and without the crowd."""
    sender.send()
    alone = timed(sender.send, TIMES)
    with crowd(node.port, count, manners) as found:
        time.sleep(1.0)
        among = timed(sender.send, TIMES)
        outcome.figures[f"{name}: connections open meanwhile"] = found.open()
    ratio = among / alone
    outcome.figures |= {f"{name}: seconds alone": round(alone, 3), f"{name}: seconds among them": round(among, 3)}
    outcome.figures[f"{name}: ratio"] = round(ratio, 2)
    outcome.require(ratio < MOST_RATIO, f"{name}: a sender takes {ratio:.1f} times as long beside {count} connections")


def nothing_leaks(
    node: Services, idle: Mapping[str, int], outcome: Outcome, count: int, rounds: int, bar: Callable[[], None]
) -> None:
    """Compare descriptors, threads and memory after rounds of connections; ``idle`` is from before the first one."""
    found = []
    for _ in range(rounds):
        with crowd(node.port, count) as these:
            time.sleep(0.5)
            these.open()
        eventually("all threads ended", lambda: _settled(node, idle), SETTLE_SECONDS)
        found.append(footprint(node))
        bar()
    warm, last = found[min(WARM_ROUND, rounds) - 1], found[-1]
    outcome.figures["leak: before, after the second round, after the last"] = [idle, warm, last]
    for name in ("descriptors", "threads"):
        outcome.require(last[name] <= warm[name], f"{name} grow: {warm[name]} after the second round, {last[name]} now")
    growth = last["bytes"] - warm["bytes"]
    outcome.require(growth < MOST_GROWTH_BYTES, f"memory grows by {growth >> 10} KiB")


def _settled(node: Services, idle: Mapping[str, int]) -> bool:
    return footprint(node)["threads"] <= idle["threads"]


def certificate(folder: Path) -> dict[str, Path]:
    """Make a key and a certificate that nobody signed."""
    key, cert = folder / "node.key", folder / "node.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"certificate": cert, "key": key}


def plain(folder: Path, outcome: Outcome, count: int, rounds: int, bar: Callable[[], None]) -> None:
    """Attack a node without TLS."""
    folder.mkdir()
    with services(folder, max_associations=count + 64, max_associations_per_peer=count + 64) as node:
        idle = footprint(node)
        sender = Sender(folder / "sent", node.port, OBJECTS)
        others_are_served(node, sender, outcome, count, PLAIN, "plain")
        bar()
        nothing_leaks(node, idle, outcome, count, rounds, bar)
        sender.send()
        outcome.require(all(service.alive() for service in node.all), "a process died")
        for line in node.complaints():
            outcome.violation(line)


def secure(folder: Path, outcome: Outcome, count: int, bar: Callable[[], None]) -> None:
    """Attack a node with TLS."""
    folder.mkdir()
    tls = certificate(folder)
    with services(folder, tls=tls) as node:
        sender = Sender(folder / "sent", node.port, OBJECTS, "+tla", "-ic")
        others_are_served(node, sender, outcome, count, SECURE, "TLS")
        for line in node.complaints():
            outcome.violation(line)
    bar()


def full_disk(folder: Path, outcome: Outcome, watermark: int, bar: Callable[[], None]) -> None:
    """Fill a small disk: to its last block, or to the watermark."""
    folder.mkdir()
    try:
        fulldisk.run(folder, outcome, watermark=watermark)
    except fulldisk.NoMount as exc:
        outcome.figures["full disk"] = f"skipped: {exc}"
    bar()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns 1 if a promise was broken."""
    parser = console.parser("torture", __doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    outcome = Outcome()
    if shutil.which("storescu") is None:
        outcome.violation("storescu is not installed: nothing was tried")
        return console.finish(outcome, options.json)
    with console.workplace(options, "torture", outcome) as folder, console.progress(options.rounds + 4) as (bar, task):

        def advance() -> None:
            bar.advance(task)

        plain(folder / "plain", outcome, options.connections, options.rounds, advance)
        secure(folder / "tls", outcome, options.connections, advance)
        full_disk(folder / "full", outcome, 0, advance)
        full_disk(folder / "watermark", outcome, 8 << 20, advance)
    return console.finish(outcome, options.json)


if __name__ == "__main__":
    sys.exit(main())
