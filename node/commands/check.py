"""`overread check`: would the node start here, and is it running? Each line is one thing that was tried."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer

from node.broker import Broker, broker_url
from node.commands.common import ConfigOption, JsonOption, dump, load, out, told
from node.dicom.sender import echo
from node.errors import OverreadError
from node.records.engine import Records
from node.settings import Destination, Settings

LOW_BYTES = 2 << 30
"""Less free space than this under the root is worth a warning."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    text: str


@told
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check configuration, root, database, broker, ports and destinations. Exit status 1 if one is not well."""
    settings = load(config)
    found = list(checks(settings))
    if json:
        dump([asdict(item) for item in found])
    else:
        for item in found:
            mark = "[green]ok  [/green]" if item.ok else "[red]bad [/red]"
            out.print(f"{mark}{item.name}: ", end="")
            out.print(item.text, markup=False, highlight=False)
    if not all(item.ok for item in found):
        raise typer.Exit(1)


def checks(settings: Settings) -> Iterator[Check]:
    """Try everything that the node needs."""
    yield Check("configuration", True, "read; every key is known")
    yield _root(settings)
    yield _database(settings)
    running = _broker_ready(settings)
    yield _broker(settings, running)
    if not running:
        for name, host, port in (
            ("dicom", settings.dicom.host, settings.dicom.port),
            ("hl7", settings.hl7.host, settings.hl7.port),
            ("web", settings.web.host, settings.web.port),
        ):
            yield _port(name, host, port)
    if not settings.dicom.peers:
        yield Check(
            "dicom.peers", True, "empty: every AE title and address may send (set [[dicom.peers]] to narrow it)"
        )
    for destination in settings.destinations:
        yield _destination(destination, settings)


def _root(settings: Settings) -> Check:
    root = settings.node.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
    except OSError as exc:
        return Check("root", False, f"{root}: {exc.strerror}")
    if not os.access(root, os.W_OK):
        return Check("root", False, f"{root} cannot be written")
    return Check("root", free > LOW_BYTES, f"{root.resolve()}, {free / 1e9:.1f} GB free")


def _database(settings: Settings) -> Check:
    records = Records(settings.database_url)
    try:
        records.migrate()
    except Exception as exc:
        return Check("database", False, f"cannot be opened or migrated ({type(exc).__name__}): see database.url")
    finally:
        records.close()
    return Check("database", True, f"{records.engine.dialect.name}, schema is current")


def _broker_ready(settings: Settings) -> bool:
    broker = Broker(broker_url(settings))
    try:
        return broker.ready()
    finally:
        broker.close()


def _broker(settings: Settings, running: bool) -> Check:
    if settings.broker.url:
        return Check("broker", running, "answers" if running else "does not answer: see broker.url")
    return Check("broker", True, "embedded, running" if running else "embedded; `overread serve` starts it")


def _port(name: str, host: str, port: int) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            return Check(f"{name}.port", False, f"{host}:{port} cannot be bound: {exc.strerror}; set {name}.port")
    return Check(f"{name}.port", True, f"{host}:{port} is free")


def _destination(destination: Destination, settings: Settings) -> Check:
    name = f"destination {destination.name}"
    where = f"{destination.host}:{destination.port}"
    try:
        if destination.kind == "dicom":
            calling = destination.calling_ae_title or settings.dicom.ae_title
            echo(destination.host, destination.port, called_ae=destination.ae_title, calling_ae=calling, timeout=5)
            return Check(name, True, f"{destination.ae_title}@{where} answers C-ECHO")
        if destination.kind == "mllp":
            socket.create_connection((destination.host, destination.port), 5).close()
            return Check(name, True, f"{where} accepts connections")
    except (OverreadError, OSError) as exc:
        return Check(name, False, str(exc) if isinstance(exc, OverreadError) else f"{where}: {exc.strerror or exc}")
    return Check(name, True, f"folder {destination.path}")
