"""Whether the node's ports can be listened on, asked before its processes try."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from node.settings import Settings


def problem(host: str, port: int) -> str | None:
    """Say why nobody can listen there, or None.

    The probe does not share the port (SO_REUSEPORT), or two nodes would take turns at receiving one study.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as exc:
            return exc.strerror or type(exc).__name__
    return None


def of_node(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """Give section, host and port of everything that `overread serve` listens on."""
    yield "dicom", settings.dicom.host, settings.dicom.port
    yield "hl7", settings.hl7.host, settings.hl7.port
    yield "web", settings.web.host, settings.web.port


def problems(settings: Settings) -> list[str]:
    """Return one sentence for each port that is not to be had."""
    return [
        f"{name}.port: {host}:{port} cannot be listened on: {why}"
        for name, host, port in of_node(settings)
        if (why := problem(host, port)) is not None
    ]
