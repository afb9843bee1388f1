"""`overread check`: would the node start here, and is it running? Each line is one thing that was tried."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import typer

from node import ports
from node.broker import Broker, broker_url
from node.commands.common import dump, out
from node.delivery.mllp import connect
from node.dicom.receiver import spool_of
from node.dicom.scp.tls import client_context, server_context
from node.dicom.sender import echo
from node.errors import OverreadError
from node.hl7 import tls as hl7_tls
from node.hl7.listener import check_charsets
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


Trial = Callable[[], str]
"""Loads something of another room; returns what it is, raises OverreadError if it cannot be used."""


def report(settings: Settings, wrong: Sequence[str], trials: Mapping[str, Trial], json: bool) -> None:
    """Print what was tried; exit status 1 if something is not well."""
    found = list(checks(settings, wrong, trials))
    if json:
        dump([asdict(item) for item in found])
    else:
        for item in found:
            mark = "[green]ok  [/green]" if item.ok else "[red]bad [/red]"
            out.print(f"{mark}{item.name}: ", end="")
            out.print(item.text, markup=False, highlight=False)
    if not all(item.ok for item in found):
        raise typer.Exit(1)


def checks(settings: Settings, wrong: Sequence[str], trials: Mapping[str, Trial]) -> Iterator[Check]:
    """Try everything that the node needs; ``wrong`` says what rules ask for that is not there."""
    yield Check("configuration", True, "read; every key is known")
    yield _models(settings, wrong)
    yield from (_tried(name, trial) for name, trial in trials.items())
    yield _root(settings)
    yield _database(settings)
    yield _tls(settings)
    yield _hl7(settings)
    yield _spool_room(settings)
    running = _broker_ready(settings)
    yield _broker(settings, running)
    if not running:
        for name, host, port in ports.of_node(settings):
            yield _port(name, host, port)
    if not settings.dicom.peers:
        yield Check(
            "dicom.peers", True, "empty: every AE title and address may send (set [[dicom.peers]] to narrow it)"
        )
    if not settings.hl7.peers:
        yield Check("hl7.peers", True, "empty: every address may send (set hl7.peers to narrow it)")
    if settings.dicom.durability == "none":
        yield Check("dicom.durability", True, "none: what was answered with Success may not survive a power cut")
    for destination in settings.destinations:
        yield _destination(destination, settings)


def _tried(name: str, trial: Trial) -> Check:
    try:
        return Check(name, True, trial())
    except OverreadError as exc:
        return Check(name, False, str(exc))


def _tls(settings: Settings) -> Check:
    """Whether certificate, key and authorities of the DICOM port can be used."""
    try:
        context = server_context(settings.dicom.tls)
    except OverreadError as exc:
        return Check("dicom.tls", False, str(exc))
    return Check("dicom.tls", True, "plain DICOM" if context is None else "TLS")


def _hl7(settings: Settings) -> Check:
    """Whether the HL7 port can speak TLS as configured, and read what senders declare nothing of."""
    try:
        check_charsets(settings.hl7)
        context = hl7_tls.server_context(settings.hl7.tls)
    except OverreadError as exc:
        return Check("hl7", False, str(exc))
    speaks = "plain MLLP" if context is None else "TLS"
    return Check("hl7", True, f"{speaks}; messages without MSH-18 are {settings.hl7.charset}")


def _spool_room(settings: Settings) -> Check:
    """Whether senders would be told A700."""
    try:
        spool_of(settings).require_room()
    except OverreadError as exc:
        return Check("spool", False, f"{exc} (dicom.min_free_bytes, dicom.min_free_percent): senders get A700")
    return Check("spool", True, "above its free space watermark")


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
    why = ports.problem(host, port)
    text = "is free" if why is None else f"cannot be listened on: {why}; set {name}.port"
    return Check(f"{name}.port", why is None, f"{host}:{port} {text}")


def _models(settings: Settings, wrong: Sequence[str]) -> Check:
    if wrong:
        return Check("rules", False, "; ".join(wrong))
    count = len(settings.effective_rules)
    return Check("rules", True, f"{count} {'rule' if count == 1 else 'rules'}, every model is known")


def _address(url: str) -> tuple[str, int]:
    """Host and port of a service; the scheme's port where the address names none."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]


def _destination(destination: Destination, settings: Settings) -> Check:
    name = f"destination {destination.name}"
    where = f"{destination.host}:{destination.port}"
    try:
        if destination.kind == "dicom":
            calling = destination.calling_ae_title or settings.dicom.ae_title
            tls = client_context(settings.dicom.tls) if destination.tls else None
            echo(destination.host, destination.port, destination.ae_title, calling, timeout=5, tls=tls)
            return Check(name, True, f"{destination.ae_title}@{where} answers C-ECHO")
        if destination.kind == "mllp":
            with connect(destination, settings, seconds=5.0) as client:
                client.open()
            return Check(name, True, f"{where} accepts connections{' over TLS' if destination.tls else ''}")
        if destination.kind == "dicomweb":
            host, port = _address(destination.url)
            where = f"{host}:{port}"
            socket.create_connection((host, port), 5).close()
            return Check(name, True, f"{where} accepts connections")
    except (OverreadError, OSError) as exc:
        return Check(name, False, str(exc) if isinstance(exc, OverreadError) else f"{where}: {exc.strerror or exc}")
    return Check(name, True, f"folder {destination.path}")
