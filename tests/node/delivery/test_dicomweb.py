"""Delivery by STOW-RS, against a server that answers as it is told."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from node.delivery import TRANSPORTS, dicomweb
from node.delivery.dicomweb import DicomWebTransport
from node.delivery.dicomweb_client import Part
from tests.node.delivery.stow import Received, Reply, StowServer, deliver, items, module, serving
from tests.peers import eventually, free_port


@pytest.fixture
def server() -> Iterator[StowServer]:
    with serving() as found:
        yield found


def test_objects_arrive_as_their_files_hold_them_and_are_delivered(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 3)
    outcomes = deliver(server.url + "/", what)
    assert [(o.delivery, o.ok, o.status, o.reason) for o in outcomes] == [
        (n, True, "200 stored", "") for n in (1, 2, 3)
    ]
    assert server.stored == {item.uid: [item.path.read_bytes()] for item in what}
    [request] = server.requests
    assert request.path == "/dicom-web/studies"
    assert request.headers["accept"] == "application/dicom+json"
    assert "transfer-encoding" not in request.headers
    assert TRANSPORTS["dicomweb"] is DicomWebTransport


def test_requests_are_bounded_in_number_and_bytes_and_share_a_connection(
    server: StowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = items(tmp_path, 8)
    monkeypatch.setattr(dicomweb, "BATCH_BYTES", what[0].path.stat().st_size * 3 + 1)
    with what[4].path.open("ab") as file:
        file.write(bytes(4 * what[0].path.stat().st_size))
    transport = DicomWebTransport()
    transport._most = transport._ceiling = 2
    assert all(outcome.ok for outcome in deliver(server.url, what, transport))
    assert [len(request.parts) for request in server.requests] == [2, 2, 1, 2, 1]
    transport._most = transport._ceiling = 50
    deliver(server.url, what, transport)
    assert [len(request.parts) for request in server.requests[5:]] == [3, 1, 1, 3]
    assert len({request.connection for request in server.requests}) == 1
    transport.close()


@contextmanager
def draining(bytes_each: int = 1 << 16) -> Iterator[tuple[str, list[int]]]:
    """A server that reads a request without keeping it, and answers 503; counts what it read."""
    counts: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                data = connection.recv(bytes_each)
                head, _, rest = data.partition(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                left = length - len(rest)
                buffer = bytearray(bytes_each)
                while left > 0:
                    left -= connection.recv_into(buffer)
                counts.append(length)
                connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", counts
        thread.join(20)


def test_a_large_object_is_never_whole_in_memory(tmp_path: Path) -> None:
    [item] = items(tmp_path, 1)
    size = 96 << 20
    with item.path.open("r+b") as file:
        file.truncate(size)
    with draining() as (url, counts):
        tracemalloc.start()
        deliver(url, [item], seconds=30)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert counts[0] > size
    assert peak < 8 << 20


def test_each_object_has_what_the_answer_says_of_it(server: StowServer, tmp_path: Path) -> None:
    a, b, c, d = (item.uid for item in items(tmp_path, 4))
    server.script = lambda _: Reply(202, module([a], [(b, 0xA700)], [(c, 0xB000)]))
    what = [replace(item, uid=uid) for item, uid in zip(items(tmp_path, 4), (a, b, c, d), strict=True)]
    assert [(o.ok, o.status, o.reason) for o in deliver(server.url, what)] == [
        (True, "200 stored", ""),
        (False, "0xA700", "out of resources (0xA700)"),
        (True, "0xB000", "stored with data elements coerced (0xB000)"),
        (False, "202", "answered 202, but the answer does not name the object"),
    ]
    assert len(server.requests) == 1


NOTHING_SAID = "answered 200, but the answer does not say what was stored: "


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200), NOTHING_SAID + "it is empty"),
        (Reply(200, "<html>Welcome</html>"), NOTHING_SAID + "it is XML, but no Native DICOM Model"),
        (Reply(200, '{"00081199": {"Val'), NOTHING_SAID + "it is not JSON"),
        (Reply(200, b" " * 400_000), NOTHING_SAID + "it is longer than 278528 bytes"),
        (Reply(200, "{}", {"Content-Length": "10"}), NOTHING_SAID + "it broke off"),
        (
            Reply(200, gzip.compress(b" " * 9_000_000), {"Content-Encoding": "gzip"}),
            NOTHING_SAID + "it is compressed, which was not asked for",
        ),
        (
            Reply(200, module(others=[0xC000, 0xC000, 0xA700])),
            "answered 200, but the answer does not name the object; "
            "it has: cannot understand (0xC000); out of resources (0xA700)",
        ),
    ],
)
def test_a_200_that_does_not_name_the_object_is_a_failure(
    server: StowServer, tmp_path: Path, reply: Reply, reason: str
) -> None:
    server.script = lambda _: reply
    if "Content-Length" in reply.headers:
        server.reads = False  # and the connection is closed behind the answer
    [outcome] = deliver(server.url, items(tmp_path, 1))
    assert (outcome.ok, outcome.status, outcome.reason) == (False, "200", reason)


def test_a_refusal_without_a_reason_is_asked_again_for_each_object_alone(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 4)
    bad = what[2].uid

    def strict(request: Received) -> Reply:
        return Reply(409) if bad in request.uids else server.store(request)

    server.script = strict
    outcomes = sorted(deliver(server.url, what), key=lambda o: o.delivery)
    assert [(o.ok, o.status, o.reason) for o in outcomes] == [
        (True, "200 stored", ""), (True, "200 stored", ""), (False, "409", "409 conflict"), (True, "200 stored", ""),
    ]  # fmt: skip
    assert [len(request.parts) for request in server.requests] == [4, 1, 1, 1, 1]


def test_a_refusal_that_names_objects_is_believed_for_those_it_calls_failed_alone(
    server: StowServer, tmp_path: Path
) -> None:
    good, bad = items(tmp_path, 2)

    def strict(request: Received) -> Reply:
        if len(request.parts) == 1:
            return server.store(request)
        return Reply(409, module(stored=[good.uid], failed=[(bad.uid, 0x0122)]))

    server.script = strict
    outcomes = deliver(server.url, [good, bad])
    assert [(o.delivery, o.ok, o.reason) for o in outcomes] == [
        (2, False, "SOP class not supported (0x0122)"),
        (1, True, ""),
    ]
    assert list(server.stored) == [good.uid]


def test_a_conflict_because_it_is_there_already_is_accepted_with_a_remark(server: StowServer, tmp_path: Path) -> None:
    server.script = lambda request: Reply(409, module(failed=[(uid, 0x0111) for uid in request.uids]))
    [outcome] = deliver(server.url, items(tmp_path, 1))
    assert (outcome.ok, outcome.status, outcome.reason) == (True, "0x0111", "duplicate SOP instance (0x0111)")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(401, "no"), "401 the login is missing or wrong"),
        (Reply(403), "403 the login may not store there"),
        (Reply(404, "<html>"), "404 there is no Store service at this url"),
        (Reply(429, "", {"Retry-After": "7"}), "429 too many requests; it asks to come again after 7 s"),
        (Reply(503, "", {"Retry-After": "soon"}), "503 unavailable"),
    ],
)
def test_what_holds_for_all_objects_is_asked_once(
    server: StowServer, tmp_path: Path, reply: Reply, reason: str
) -> None:
    server.script = lambda _: reply
    transport = DicomWebTransport()
    transport._most = transport._ceiling = 2
    outcomes = deliver(server.url, items(tmp_path, 5), transport)
    transport.close()
    assert [(o.delivery, o.ok, o.status, o.reason) for o in outcomes] == [
        (n, False, str(reply.status), reason) for n in range(1, 6)
    ]
    assert len(server.requests) == 1


def test_a_refusal_that_comes_before_the_body_was_taken_is_read(server: StowServer, tmp_path: Path) -> None:
    [item] = items(tmp_path, 1)
    with item.path.open("ab") as file:
        file.truncate(1 << 17)
    server.reads = False
    server.script = lambda _: Reply(401)
    [outcome] = deliver(server.url, [item])
    assert outcome.status == "401"


def test_what_is_too_large_is_sent_in_halves_and_later_requests_are_smaller(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 7)
    giant = what[5].uid

    def small(request: Received) -> Reply:
        return Reply(413) if len(request.parts) > 2 or giant in request.uids else server.store(request)

    server.script = small
    transport = DicomWebTransport()
    outcomes = sorted(deliver(server.url, what, transport), key=lambda o: o.delivery)
    assert [o.delivery for o in outcomes if not o.ok] == [6]
    assert outcomes[5].reason == "413 too large for the destination"
    before = len(server.requests)
    assert all(o.ok for o in deliver(server.url, what[:5], transport))
    assert max(len(request.parts) for request in server.requests[before:]) <= 2
    transport.close()


def test_a_redirection_is_followed_nowhere(server: StowServer, tmp_path: Path) -> None:
    with serving() as elsewhere:
        server.script = lambda _: Reply(307, "", {"Location": elsewhere.url + "/studies"})
        [outcome] = deliver(server.url, items(tmp_path, 1), token="secret")
        assert elsewhere.requests == []
    assert (outcome.ok, outcome.status) == (False, "307")
    assert "127.0.0.1" not in outcome.reason


def test_a_destination_that_is_away_fails_everything_at_once(tmp_path: Path) -> None:
    outcomes = deliver(f"http://127.0.0.1:{free_port()}", items(tmp_path, 3))
    assert [(o.delivery, o.ok, o.status, o.reason) for o in outcomes] == [
        (n, False, "no answer", "no connection") for n in (1, 2, 3)
    ]


def test_a_destination_that_takes_too_long_gets_fewer_objects_the_next_time(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 4)
    server.script = lambda request: Reply(hang=30) if len(request.parts) > 2 else server.store(request)
    transport = DicomWebTransport()
    outcomes = deliver(server.url, what, transport, seconds=0.3)
    assert {(o.ok, o.status, o.reason) for o in outcomes} == {(False, "no answer", "no answer within 0.3 s")}
    assert len(outcomes) == 4
    assert [o.ok for o in deliver(server.url, what, transport, seconds=0.3)] == [True] * 4
    assert [len(request.parts) for request in server.requests] == [4, 2, 2]
    transport.close()


def test_an_answer_that_never_ends_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.sendall(b"1\r\n \r\n")
                    time.sleep(0.05)

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        began = time.monotonic()
        [outcome] = deliver(f"http://127.0.0.1:{listener.getsockname()[1]}", items(tmp_path, 1), seconds=0.4)
        thread.join(10)
    assert time.monotonic() - began < 5
    assert outcome.reason == NOTHING_SAID + "it did not end within 0.4 s"


def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 3)
    drop = [False, True, False, True, True]
    server.script = lambda request: Reply(cut=True) if drop.pop(0) else server.store(request)
    transport = DicomWebTransport()
    assert [o.ok for o in deliver(server.url, what[:1], transport)] == [True]
    assert [o.ok for o in deliver(server.url, what[1:2], transport)] == [True]
    [outcome] = deliver(server.url, what[2:], transport)
    assert (outcome.ok, outcome.reason) == (False, "the connection was lost before an answer came")
    assert len(server.requests) == 5
    transport.close()


def test_a_server_that_speaks_no_http_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"220 Doe^Jane ESMTP\r\n\r\n")
                connection.recv(1 << 20)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        [outcome] = deliver(f"http://127.0.0.1:{listener.getsockname()[1]}", items(tmp_path, 1))
        thread.join(10)
    assert (outcome.status, outcome.reason) == ("no answer", "the connection was lost before an answer came")


def test_a_file_that_cannot_be_read_fails_alone(server: StowServer, tmp_path: Path) -> None:
    what = items(tmp_path, 3)
    what[1].path.unlink()
    outcomes = deliver(server.url, what)
    assert {o.delivery: (o.ok, o.status) for o in outcomes} == {
        1: (True, "200 stored"), 2: (False, "FileNotFoundError"), 3: (True, "200 stored"),
    }  # fmt: skip


def test_a_file_that_became_shorter_under_way_fails_alone(
    server: StowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = items(tmp_path, 3)
    original, short = Part.chunks, what[1].path.stat().st_ino

    def chunks(self: Part) -> Iterator[bytes]:
        if Path(f"/proc/self/fd/{self.file.fileno()}").stat().st_ino == short:
            what[1].path.write_bytes(b"")
        yield from original(self)

    monkeypatch.setattr(Part, "chunks", chunks)
    outcomes = deliver(server.url, what)
    assert {o.delivery: (o.ok, o.status) for o in outcomes} == {
        1: (True, "200 stored"), 2: (False, "not read"), 3: (True, "200 stored"),
    }  # fmt: skip


def test_an_interrupted_request_ends_and_nothing_more_is_said_of_it(server: StowServer, tmp_path: Path) -> None:
    server.script = lambda _: Reply(hang=30)
    transport = DicomWebTransport()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(deliver(server.url, items(tmp_path, 2), transport, 30)))
    thread.start()
    eventually("the request is under way", lambda: server.requests)
    transport.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert found == []
    server.script = server.store
    assert [o.ok for o in deliver(server.url, items(tmp_path, 1), transport)] == [True]
    transport.close()
