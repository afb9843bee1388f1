from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from node.dicom.query import STUDY_ROOT_FIND, QueryError, count_instances
from node.dicom.scp.tls import client_context
from node.dicom.sender import send
from node.errors import DeliveryError
from node.settings import TlsSection
from tests.node.dicom.objects import image, outgoing_image
from tests.peers import Orthanc, free_port

STUDY = "1.2.3"
Find = Callable[[Dataset], Iterator[tuple[int, Dataset | None]]]


@contextmanager
def archive(find: Find, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run an archive that answers queries as ``find`` does, and give its port."""
    ae = AE("PACS")
    ae.add_supported_context(STUDY_ROOT_FIND)
    handlers = [(evt.EVT_C_FIND, lambda event: find(event.identifier))]
    server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=tls, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def match(uid: str = STUDY, **values: Any) -> Dataset:
    ds = Dataset()
    ds.StudyInstanceUID = uid
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def count(port: int, timeout: float = 5.0) -> int | None:
    return count_instances(STUDY, "127.0.0.1", port, "PACS", "OVERREAD", timeout)


def test_the_number_of_the_study_is_asked_for_at_study_level() -> None:
    asked: list[Dataset] = []

    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(query)
        yield 0xFF00, match(NumberOfStudyRelatedInstances="120")

    with archive(find) as port:
        assert count(port) == 120
    (query,) = asked
    assert (query.QueryRetrieveLevel, query.StudyInstanceUID) == ("STUDY", STUDY)
    assert query.NumberOfStudyRelatedInstances is None


def test_a_peer_that_does_not_count_studies_is_asked_for_its_series() -> None:
    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        if query.QueryRetrieveLevel == "STUDY":
            yield 0xFF01, match()
            return
        yield 0xFF00, match(SeriesInstanceUID="1.2.3.1", NumberOfSeriesRelatedInstances="20")
        yield 0xFF00, match(SeriesInstanceUID="1.2.3.2", NumberOfSeriesRelatedInstances="4")
        yield 0xFF00, match(SeriesInstanceUID="1.2.3.2", NumberOfSeriesRelatedInstances="4")

    with archive(find) as port:
        assert count(port) == 24


@pytest.mark.parametrize("missing", [{}, {"NumberOfSeriesRelatedInstances": ""}])
def test_a_peer_that_does_not_count_every_series_gives_no_number(missing: dict[str, str]) -> None:
    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, match(SeriesInstanceUID="1.2.3.1", NumberOfSeriesRelatedInstances="20")
        yield 0xFF00, match(SeriesInstanceUID="1.2.3.2", **missing)

    with archive(find) as port:
        assert count(port) is None


def test_an_unknown_study_has_no_instances() -> None:
    with archive(lambda query: iter(())) as port:
        assert count(port) == 0


def test_a_peer_that_ignores_the_study_uid_is_not_believed_for_other_studies() -> None:
    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, match("1.2.30", NumberOfStudyRelatedInstances="999")
        yield 0xFF00, match(NumberOfStudyRelatedInstances="7")

    with archive(find) as port:
        assert count(port) == 7


@pytest.mark.parametrize("said", ["-5", "99999999999"])
def test_a_number_that_cannot_be_is_none(said: str) -> None:
    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        ds = match(SeriesInstanceUID="1.2.3.1")
        ds.add_new(0x00201208, "LO", said)
        yield 0xFF00, ds

    with archive(find) as port:
        assert count(port) is None


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122, 0xFE00])
def test_a_refused_query_names_the_peer_s_status(status: int) -> None:
    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield status, None

    with archive(find) as port, pytest.raises(QueryError, match=f"0x{status:04X}"):
        count(port)


def test_a_peer_that_gives_matches_without_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.dicom.query.MAX_MATCHES", 50)

    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        while True:
            yield 0xFF00, match(NumberOfStudyRelatedInstances="1")

    with archive(find) as port, pytest.raises(QueryError, match="more matches"):
        count(port)


def test_a_peer_that_drips_its_answers_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.dicom.query.LONGEST_SECONDS", 0.5)

    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        for _ in range(30):
            time.sleep(0.2)
            yield 0xFF00, match(NumberOfStudyRelatedInstances="1")

    begun = time.monotonic()
    with archive(find) as port:
        with pytest.raises(QueryError, match="too slowly"):
            count(port)
        assert time.monotonic() - begun < 3


def test_a_peer_that_says_nothing_ends_the_question_in_time() -> None:
    stop = threading.Event()

    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        stop.wait(10)
        yield 0xFF00, match(NumberOfStudyRelatedInstances="1")

    begun = time.monotonic()
    with archive(find) as port:
        with pytest.raises(QueryError, match="no answer"):
            count(port, 0.5)
        assert time.monotonic() - begun < 4
        stop.set()


def test_nobody_there_and_somebody_who_does_not_talk_dicom() -> None:
    with pytest.raises(DeliveryError):
        count(free_port(), 1.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begun = time.monotonic()
        with pytest.raises(DeliveryError):
            count(int(deaf.getsockname()[1]), 0.5)
        assert time.monotonic() - begun < 4


def test_a_peer_without_queries_says_so() -> None:
    ae = AE("PACS")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        with pytest.raises(DeliveryError, match="SOP classes"):
            count(int(server.server_address[1]))
    finally:
        server.shutdown()


@pytest.mark.peer
def test_a_peer_is_asked_over_tls_and_only_with_a_certificate_that_is_known(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    good, other = (certificate(peer("openssl"), tmp_path / name) for name in ("good", "other"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good / "cert.pem", good / "key.pem")

    def find(query: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, match(NumberOfStudyRelatedInstances="120")

    with archive(find, context) as port:
        known = client_context(TlsSection(authorities=good / "cert.pem"))
        assert count_instances(STUDY, "127.0.0.1", port, "PACS", "OVERREAD", tls=known) == 120
        unknown = client_context(TlsSection(authorities=other / "cert.pem"))
        with pytest.raises(DeliveryError):
            count_instances(STUDY, "127.0.0.1", port, "PACS", "OVERREAD", tls=unknown)


def certificate(openssl: str, folder: Path) -> Path:
    """Make a certificate that signs itself, and its key."""
    folder.mkdir()
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=PACS"]
    words += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.peer
def test_orthanc_counts_what_it_has(peer: Callable[[str], str], tmp_path: Path) -> None:
    orthanc = Orthanc(peer("Orthanc"), tmp_path / "orthanc", DicomAlwaysAllowFind=True)
    try:
        port = orthanc.dicom_port
        assert count_instances(STUDY, "127.0.0.1", port, "ORTHANC", "OVERREAD") == 0
        items = [outgoing_image(tmp_path / f"out{index}", SOPInstanceUID=f"1.2.3.4.{index}") for index in range(3)]
        assert all(outcome.ok for outcome in send(items, "127.0.0.1", port, "ORTHANC", "OVERREAD"))
        study = str(image().StudyInstanceUID)
        assert count_instances(study, "127.0.0.1", port, "ORTHANC", "OVERREAD") == 3
    finally:
        orthanc.stop()
