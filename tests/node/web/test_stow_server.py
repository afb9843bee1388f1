"""The Store transaction over a real connection: a foreign client, hostile senders, large bodies, the log."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from node import logs
from node.records.engine import Records
from node.settings import Settings
from node.web.app import create_app
from node.web.server import create_server
from tests.node.dicom.takers import ListSink, part10, real_intake
from tests.node.web.test_stow import FORM, body
from tests.peers import eventually, free_port

MEGABYTE = 1 << 20


@dataclass
class Server:
    """A node's web server, what it received, and where."""

    port: int
    sink: ListSink
    root: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def connect(self, length: int | None, **headers: str) -> socket.socket:
        """Begin a request and leave its body to the test."""
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        fields = {"Host": f"127.0.0.1:{self.port}", "Content-Type": FORM["content-type"]} | size | headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        stream.sendall(f"POST /dicom-web/studies HTTP/1.1\r\n{lines}\r\n".encode())
        return stream


@contextlib.contextmanager
def serving(root: Path, records: Records, **changes: Any) -> Iterator[Server]:
    port = free_port()
    web = {"port": port} | changes.pop("web", {})
    settings = Settings.model_validate({"node": {"root": root}, "web": web} | changes)
    intake, sink = real_intake(root)
    server = create_server(settings, create_app(settings, records, intake=intake))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    eventually("the server does not start", lambda: server.started)
    try:
        yield Server(port, sink, root)
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def serve(tmp_path: Path, records: Records) -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:
        yield lambda **changes: stack.enter_context(serving(tmp_path, records, **changes))


def status_of(stream: socket.socket) -> int:
    return int(stream.makefile("rb").readline().split()[1])


def loaded(**values: Any) -> Dataset:
    return dcmread(io.BytesIO(part10(**values)[1]))


def test_dicomweb_client_stores_and_understands_the_answer(serve: Callable[..., Server]) -> None:
    server = serve()
    sent = [loaded(), loaded()]
    found = DICOMwebClient(server.url).store_instances(sent)
    assert [item.ReferencedSOPInstanceUID for item in found.ReferencedSOPSequence] == [ds.SOPInstanceUID for ds in sent]
    for stored, ds in zip(server.sink.stored, sent, strict=True):
        assert dcmread(server.root / "spool" / stored.path) == ds


def test_dicomweb_client_learns_of_an_instance_of_another_study(serve: Callable[..., Server]) -> None:
    server = serve()
    mine, other = loaded(StudyInstanceUID="1.2.3"), loaded(StudyInstanceUID="1.2.4")
    found = DICOMwebClient(server.url).store_instances([mine, other], study_instance_uid="1.2.3")
    assert [item.ReferencedSOPInstanceUID for item in found.ReferencedSOPSequence] == [mine.SOPInstanceUID]
    assert [item.FailureReason for item in found.FailedSOPSequence] == [0xA901]


def test_dicomweb_client_logs_in_with_http_basic_and_reads_xml(serve: Callable[..., Server]) -> None:
    server = serve(web={"user": "modality", "password": "right horse"})
    session = create_session_from_user_pass("modality", "right horse")
    session.headers["Accept"] = "application/dicom+xml"
    ds = loaded()
    found = DICOMwebClient(server.url, session=session).store_instances([ds])
    assert found.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == ds.SOPInstanceUID


@pytest.mark.data
def test_real_objects_arrive_byte_identical_after_their_file_meta(
    serve: Callable[..., Server], real_data: Callable[[str], Path]
) -> None:
    from tests.node.dicom.objects import storable

    items = [item for item in storable(real_data("dicom-pydicom")) if item.offset > 132]
    unique = list({item.sop_instance: item for item in items}.values())
    server = serve()
    with server.connect(None) as stream:
        for item in unique:
            head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
            for data in (head, item.path.read_bytes()):
                stream.sendall(b"%x\r\n" % len(data) + data + b"\r\n")
        stream.sendall(b"7\r\n\r\n--b--\r\n0\r\n\r\n")
        assert status_of(stream) in (200, 202)
    stored = {entry.command.sop_instance: entry for entry in server.sink.stored}
    named = [item for item in unique if item.sop_instance in stored]
    assert len(named) > 0.9 * len(unique) > 20
    for item in named:
        kept = (server.root / "spool" / stored[item.sop_instance].path).read_bytes()
        assert kept.endswith(item.dataset())


def test_a_connection_that_is_lost_keeps_what_was_whole_and_ends_the_association(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    content = body([part10()[1], part10()[1]])
    with server.connect(len(content)) as stream:
        stream.sendall(content[:-100])
        eventually("the first instance is not stored", lambda: len(server.sink.stored) == 1)
    eventually("the association does not end", lambda: len(server.sink.ended) == 1)
    assert len(server.sink.stored) == 1
    client = DICOMwebClient(server.url)
    assert len(client.store_instances([loaded()]).ReferencedSOPSequence) == 1


def test_a_body_that_stops_coming_is_answered_408_and_holds_no_place(serve: Callable[..., Server]) -> None:
    server = serve(dicom={"read_seconds": 0.3})
    content = body([part10()[1]])
    slow = [server.connect(len(content)) for _ in range(4)]
    for stream in slow:
        stream.sendall(content[:50])
    eventually("the slow ones are not given up", lambda: len(server.sink.ended) == 4)
    for stream in slow:
        assert status_of(stream) == 408
        stream.close()
    assert len(DICOMwebClient(server.url).store_instances([loaded()]).ReferencedSOPSequence) == 1


def test_the_fifth_request_at_once_is_told_to_come_again(serve: Callable[..., Server]) -> None:
    server = serve()
    content = body([part10()[1]])
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(server.connect(len(content), Expect="100-continue")) for _ in range(4)]
        answers = [stack.enter_context(stream.makefile("rb")) for stream in waiting]
        for answer in answers:  # each is admitted, whatever the order in which the server looked at them
            assert answer.readline().split()[1] == b"100"
            assert answer.readline() == b"\r\n"
        with server.connect(0) as fifth:
            assert status_of(fifth) == 503
        for stream, answer in zip(waiting, answers, strict=True):
            stream.sendall(content)
            assert answer.readline().split()[1] == b"200"
    assert len(server.sink.ended) == 4


def test_a_refused_sender_that_does_not_listen_while_it_sends_still_gets_its_answer(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    content = bytes(8 * MEGABYTE)
    with server.connect(len(content), **{"Content-Type": "application/dicom"}) as stream:
        stream.sendall(content)
        assert status_of(stream) == 415


def test_a_sender_that_asks_first_is_refused_before_it_sends(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.connect(1 << 30, **{"Content-Type": "application/dicom", "Expect": "100-continue"}) as stream:
        assert status_of(stream) == 415
    content = body([part10()[1]])
    with server.connect(len(content), Expect="100-continue") as stream:
        assert status_of(stream) == 100


def anonymous_bytes() -> int:
    """Return this process's memory without that of mapped files, which are the page cache's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@contextlib.contextmanager
def watched_memory() -> Iterator[list[int]]:
    """Give a list whose only element is the most memory that was used on top of what was used before."""
    before, grown, done = anonymous_bytes(), [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.002):
            grown[0] = max(grown[0], anonymous_bytes() - before)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield grown
    finally:
        done.set()
        thread.join()


def test_a_large_request_does_not_pass_through_memory(serve: Callable[..., Server]) -> None:
    server = serve()
    rows, frames = 2048, 32
    ds = loaded(Rows=rows, Columns=rows, NumberOfFrames=frames, PixelData=bytes(2 * rows * rows * frames))
    file = io.BytesIO()
    dcmwrite(file, ds)
    view = file.getbuffer()
    assert len(view) > 256 * MEGABYTE
    head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
    with watched_memory() as grown, server.connect(len(head) + len(view) + 9) as stream:
        stream.sendall(head)
        stream.sendall(view)
        stream.sendall(b"\r\n--b--\r\n")
        assert status_of(stream) == 200
    assert len(server.sink.stored) == 1
    assert 0 < grown[0] < 32 * MEGABYTE


def test_the_log_holds_no_identifiers_of_what_was_stored(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level="DEBUG")
    try:
        server = serve()
        ds = loaded(StudyInstanceUID="1.2.3.77.88.99", PatientName="Zweifel^Hildegard")
        client = DICOMwebClient(server.url)
        client.store_instances([ds], study_instance_uid="1.2.3.77.88.99")
        with contextlib.suppress(Exception):
            client.store_instances([loaded(PatientName="Zweifel^Hildegard")], study_instance_uid="1.2.3.77.88.99")
    finally:
        structlog.reset_defaults()
    output = "".join(capfd.readouterr())
    assert "store request answered" in output
    assert "object refused" in output
    assert not any(secret in output for secret in ("Zweifel", "77.88.99", str(ds.SOPInstanceUID)))
