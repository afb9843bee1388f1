"""A Store service that answers as a test tells it, and the bodies of such answers."""

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom

from node.delivery.dicomweb import DicomWebTransport
from node.delivery.transport import Item, Outcome
from node.dicom.multipart import MultipartParser, PartBegin, PartData, boundary_of, media_type
from node.settings import DeliverySection, Destination, Settings
from tests.node.dicom.takers import part10

MR = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True)
class Received:
    """A request: the SOP Instance UIDs and the bytes of its parts, its headers, and over which connection it came."""

    path: str
    headers: dict[str, str]
    parts: dict[str, bytes]
    connection: int

    @property
    def uids(self) -> list[str]:
        return list(self.parts)


@dataclass
class Reply:
    """What is answered; ``hang`` seconds pass before it, and ``cut`` ends the connection in place of it."""

    status: int = 200
    body: bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    cut: bool = False


def module(
    stored: Sequence[str] = (),
    failed: Sequence[tuple[str, int | None]] = (),
    warned: Sequence[tuple[str, int]] = (),
    others: Sequence[int] = (),
) -> str:
    """Write a Store Instances Response Module (PS3.18 table I.1-1) in the DICOM JSON model."""

    def item(uid: str, tag: str = "", code: int | None = None) -> dict[str, Any]:
        reason = {} if code is None else {tag: {"vr": "US", "Value": [code]}}
        return {"00081150": {"vr": "UI", "Value": [MR]}, "00081155": {"vr": "UI", "Value": [uid]}} | reason

    sequences = {
        "00081199": [item(uid) for uid in stored] + [item(uid, "00081196", code) for uid, code in warned],
        "00081198": [item(uid, "00081197", code) for uid, code in failed],
        "0008119A": [{"00081197": {"vr": "US", "Value": [code]}} for code in others],
    }
    return json.dumps({tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items})


Script = Callable[[Received], Reply]


class StowServer(ThreadingHTTPServer):
    """Listens on a free port; ``script`` answers, and may be changed at any time."""

    daemon_threads = True

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.requests: list[Received] = []
        self.stored: dict[str, list[bytes]] = {}
        self.hung = threading.Event()
        self.reads = True
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "http" if context is None else "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/dicom-web"

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a client that goes away is what some tests are about."""

    def store(self, request: Received) -> Reply:
        """Keep everything and say so."""
        for uid, data in request.parts.items():
            self.stored.setdefault(uid, []).append(data)
        return Reply(200, module(stored=request.uids), {"Content-Type": "application/dicom+json"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StowServer

    def do_POST(self) -> None:
        if not self.server.reads:  # the answer comes before the body
            self._say(self.server.script(Received(self.path, {}, {}, self.client_address[1])))
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.path, headers, dict(_parts(headers["content-type"], body)), self.client_address[1])
        self.server.requests.append(request)
        reply = self.server.script(request)
        if reply.hang:
            self.server.hung.wait(reply.hang)
        if reply.cut:
            self.close_connection = True
            return
        self._say(reply)

    def _say(self, reply: Reply) -> None:
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    media = media_type(content_type)
    assert media.name == "multipart/related"
    assert media.parameters["type"] == "application/dicom"
    parser = MultipartParser(boundary_of(media))
    found: list[bytearray] = []
    for event in parser.feed(body):
        if isinstance(event, PartBegin):
            assert event.headers == {"content-type": "application/dicom"}
            found.append(bytearray())
        elif isinstance(event, PartData):
            found[-1] += event.data
    parser.close()
    for number, data in enumerate(found):
        try:
            uid = str(pydicom.dcmread(io.BytesIO(data), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        except pydicom.errors.InvalidDicomError:
            uid = f"none {number}"
        yield uid, bytes(data)


@contextmanager
def serving(script: Script | None = None, context: ssl.SSLContext | None = None) -> Iterator[StowServer]:
    """Run a server for a test; without a script it stores everything."""
    with StowServer(script or (lambda request: server.store(request)), context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.hung.set()
            server.shutdown()
            thread.join(10)


def items(folder: Path, count: int) -> list[Item]:
    """Write objects and return what their delivery is."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(1, count + 1):
        uid, data = part10()
        path = folder / f"{uid}.dcm"
        path.write_bytes(data)
        found.append(Item(number, "seg", uid, "1.2.3", path))
    return found


def deliver(
    url: str, what: Sequence[Item], transport: DicomWebTransport | None = None, seconds: float = 5.0, **changes: Any
) -> list[Outcome]:
    """Deliver to a url, with a transport of its own unless one is given."""
    tls = changes.pop("tls", {})
    destination = Destination(name="web", kind="dicomweb", url=url, **changes)
    settings = Settings.model_validate(
        {"delivery": DeliverySection(timeout_seconds=seconds), "dicom": {"tls": tls}, "destinations": [destination]}
    )
    own = transport or DicomWebTransport()
    try:
        return list(own(destination, what, settings))
    finally:
        if transport is None:
            own.close()
