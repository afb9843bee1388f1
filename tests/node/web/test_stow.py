"""The Store transaction, request by request."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from httpx2 import Response
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.dicom.landing import Taker
from node.dicom.part10 import read_meta
from node.records.engine import Records
from node.settings import Settings
from node.web import credentials
from node.web.app import create_app
from node.web.dicomweb import upload
from node.web.dicomweb.negotiate import JSON, XML, choose
from node.web.dicomweb.report import NATIVE, http_status, module
from node.web.dicomweb.upload import TooSlow, paced
from tests.node.dicom.objects import DEFLATED, EXPLICIT, IMPLICIT
from tests.node.dicom.takers import MemoryTaker, part10, real_intake

STUDIES = "/dicom-web/studies"
FORM = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}


def body(parts: Iterable[bytes], content_type: str = "application/dicom") -> bytes:
    head = f"\r\n--b\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + part for part in parts) + b"\r\n--b--\r\n"


def client_for(root: Path, records: Records, taker: Taker | None, **changes: Any) -> TestClient:
    settings = Settings.model_validate({"node": {"root": root}} | changes)
    app = create_app(settings, records, intake=taker)
    return TestClient(app, base_url="http://127.0.0.1:8080", client=("127.0.0.1", 5), follow_redirects=False)


@pytest.fixture
def taker() -> MemoryTaker:
    return MemoryTaker()


@pytest.fixture
def make(tmp_path: Path, records: Records, taker: MemoryTaker) -> Callable[..., TestClient]:
    def build(**changes: Any) -> TestClient:
        return client_for(tmp_path, records, changes.pop("intake", taker), **changes)

    return build


@pytest.fixture
def client(make: Callable[..., TestClient]) -> TestClient:
    return make()


def answer(response: Response) -> Dataset:
    assert response.headers["content-type"] == JSON
    return Dataset.from_json(response.text)


def uids(sequence: Any) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in sequence]


def data_set(file: bytes) -> bytes:
    stream = BytesIO(file)
    read_meta(stream)
    return stream.read()


def left_over(root: Path) -> list[str]:
    """Return what lies in the spool outside of where instances are kept."""
    return [name for _, _, names in os.walk(root / "spool" / "incoming") for name in names if name.endswith(".part")]


# ---------------------------------------------------------------------- what is stored


def test_instances_are_stored_byte_for_byte_and_named_in_the_answer(client: TestClient, taker: MemoryTaker) -> None:
    files = [part10(), part10(IMPLICIT), part10(DEFLATED)]
    response = client.post(STUDIES, content=body(data for _, data in files), headers=FORM)
    assert response.status_code == 200
    found = answer(response)
    assert uids(found.ReferencedSOPSequence) == taker.uids == [uid for uid, _ in files]
    assert [item.ReferencedSOPClassUID for item in found.ReferencedSOPSequence] == ["1.2.840.10008.5.1.4.1.1.4"] * 3
    assert found.RetrieveURL == ""
    assert "FailedSOPSequence" not in found
    assert [data for _, _, data in taker.taken] == [data_set(file) for _, file in files]
    assert [command.transfer_syntax for _, command, _ in taker.taken] == [EXPLICIT, IMPLICIT, DEFLATED]
    assert {(command.calling_ae_title, command.called_ae_title) for _, command, _ in taker.taken} == {
        ("STOW-RS", "OVERREAD")
    }


def test_a_request_is_one_association_that_ends_after_its_instances(client: TestClient, taker: MemoryTaker) -> None:
    for _ in range(2):
        client.post(STUDIES, content=body([part10()[1], part10()[1]]), headers=FORM)
    names = [association for association, _, _ in taker.taken]
    assert names[0] == names[1] != names[2] == names[3]
    assert taker.ended == [names[0], names[2]]


def test_objects_are_taken_in_a_thread_of_their_own(client: TestClient, taker: MemoryTaker) -> None:
    client.post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert all(name.startswith("stow") for name in taker.threads)


def test_through_the_real_intake_the_file_is_in_the_spool_and_the_ledger(
    make: Callable[..., TestClient], tmp_path: Path
) -> None:
    intake, sink = real_intake(tmp_path)
    uid, data = part10()
    response = make(intake=intake).post(STUDIES, content=body([data]), headers=FORM)
    assert response.status_code == 200
    (stored,) = sink.stored
    kept = dcmread(tmp_path / "spool" / stored.path)
    assert kept.SOPInstanceUID == stored.command.sop_instance == uid
    assert kept.file_meta.SourceApplicationEntityTitle == "STOW-RS"
    assert data_set((tmp_path / "spool" / stored.path).read_bytes()) == data_set(data)
    assert sink.ended == [stored.association]
    assert left_over(tmp_path) == []


def test_the_same_instance_again_is_success_and_another_of_its_uid_is_not(
    make: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = make(intake=real_intake(tmp_path)[0])
    uid = generate_uid()
    _, first = part10(SOPInstanceUID=uid)
    _, other = part10(SOPInstanceUID=uid, PatientID="P2")
    assert client.post(STUDIES, content=body([first]), headers=FORM).status_code == 200
    assert client.post(STUDIES, content=body([first]), headers=FORM).status_code == 200
    response = client.post(STUDIES, content=body([other]), headers=FORM)
    assert response.status_code == 409
    (failed,) = answer(response).FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (uid, 0xC001)


def test_a_large_instance_passes_through_in_pieces(client: TestClient, taker: MemoryTaker) -> None:
    rows = 2048
    uid, data = part10(Rows=rows, Columns=rows, PixelData=os.urandom(2 * rows * rows))
    assert client.post(STUDIES, content=body([data]), headers=FORM).status_code == 200
    assert taker.uids == [uid]
    assert taker.taken[0][2] == data_set(data)


# ---------------------------------------------------------------------- what is refused


def test_a_refused_instance_does_not_stop_the_others(make: Callable[..., TestClient], tmp_path: Path) -> None:
    intake, sink = real_intake(tmp_path)
    good, bad = part10(), part10()
    parts = [good[1], bad[1][:-7], b"no DICOM at all", b"", part10()[1]]
    response = make(intake=intake).post(STUDIES, content=body(parts), headers=FORM)
    assert response.status_code == 202
    found = answer(response)
    assert len(found.ReferencedSOPSequence) == 2
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in found.FailedSOPSequence] == [(bad[0], 0xC000)]
    assert [item.FailureReason for item in found.OtherFailuresSequence] == [0xC000, 0xC000]
    assert [note.kind for note in sink.notes] == ["instance.refused"] * 3


def test_a_file_meta_that_names_another_instance_is_refused_with_a900(
    make: Callable[..., TestClient], tmp_path: Path
) -> None:
    _, data = part10(SOPInstanceUID="1.2.3.4.5")
    swapped = data.replace(b"1.2.3.4.5\0", b"1.2.3.4.6\0", 1)
    response = make(intake=real_intake(tmp_path)[0]).post(STUDIES, content=body([swapped]), headers=FORM)
    assert response.status_code == 409
    assert answer(response).FailedSOPSequence[0].FailureReason == 0xA900


def test_an_instance_of_another_study_than_the_address_names_is_refused(client: TestClient, taker: MemoryTaker) -> None:
    mine, other = part10(StudyInstanceUID="1.2.3"), part10(StudyInstanceUID="1.2.4")
    response = client.post(f"{STUDIES}/1.2.3", content=body([mine[1], other[1]]), headers=FORM)
    assert response.status_code == 202
    assert taker.uids == uids(answer(response).ReferencedSOPSequence) == [mine[0]]
    (failed,) = answer(response).FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (other[0], 0xA901)
    alone = client.post(f"{STUDIES}/1.2.3", content=body([other[1]]), headers=FORM)
    assert alone.status_code == 409
    assert "1.2.4" not in str(taker.refused)


def test_out_of_resources_is_503_with_retry_after(make: Callable[..., TestClient]) -> None:
    full = MemoryTaker(lambda _: (0xA700, "the spool is full"))
    response = make(intake=full).post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert answer(response).FailedSOPSequence[0].FailureReason == 0xA700


def test_below_the_watermark_nothing_is_read_at_all(make: Callable[..., TestClient], taker: MemoryTaker) -> None:
    response = make(dicom={"min_free_bytes": 1 << 62}).post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert response.status_code == 503
    assert "retry-after" in response.headers
    assert taker.taken == []


def test_a_process_without_an_intake_answers_503(tmp_path: Path, records: Records) -> None:
    response = client_for(tmp_path, records, None).post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert response.status_code == 503


def test_a_warning_is_success_with_its_reason_and_202(make: Callable[..., TestClient]) -> None:
    response = make(intake=MemoryTaker(lambda _: (0xB007, ""))).post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert response.status_code == 202
    assert answer(response).ReferencedSOPSequence[0].WarningReason == 0xB007


def test_an_instance_over_the_limit_is_413_and_the_others_are_kept(
    make: Callable[..., TestClient], taker: MemoryTaker
) -> None:
    client = make(dicom={"max_instance_bytes": 1 << 20})
    large, small = part10(Rows=1024, Columns=1024, PixelData=bytes(2 << 20)), part10()
    alone = client.post(STUDIES, content=body([large[1]]), headers=FORM)
    assert alone.status_code == 413
    assert answer(alone).FailedSOPSequence[0].ReferencedSOPInstanceUID == large[0]
    both = client.post(STUDIES, content=body([large[1], small[1]]), headers=FORM)
    assert both.status_code == 202
    assert taker.uids == [small[0]]


@pytest.mark.parametrize("announced", [True, False])
def test_a_request_over_the_limit_is_413(make: Callable[..., TestClient], taker: MemoryTaker, announced: bool) -> None:
    client = make(web={"max_stow_bytes": 1 << 20})
    content = body([part10()[1], bytes(2 << 20)])
    sent: Any = content if announced else iter([content[: 1 << 19], content[1 << 19 :]])
    response = client.post(STUDIES, content=sent, headers=FORM)
    assert response.status_code == 413
    assert len(taker.ended) == (0 if announced else 1)


def test_too_many_parts_are_413(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MAX_PARTS", 2)
    assert client.post(STUDIES, content=body([b"x"] * 3), headers=FORM).status_code == 413


@pytest.mark.parametrize("content", [b"", b"--b--", b"no boundary anywhere", body([])[:-6]])
def test_a_body_that_is_not_multipart_is_400(client: TestClient, taker: MemoryTaker, content: bytes) -> None:
    assert client.post(STUDIES, content=content, headers=FORM).status_code == 400
    assert len(taker.ended) == 1


def test_a_body_that_breaks_off_is_202_where_something_was_kept_and_says_so(
    client: TestClient, taker: MemoryTaker, tmp_path: Path
) -> None:
    kept, lost = part10(), part10()
    response = client.post(STUDIES, content=body([kept[1], lost[1]])[:-200], headers=FORM)
    assert response.status_code == 202
    assert taker.uids == uids(answer(response).ReferencedSOPSequence) == [kept[0]]
    assert len(answer(response).OtherFailuresSequence) == 1
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/dicom"}, 415),
        ({"content-type": "application/json"}, 415),
        ({"content-type": "multipart/form-data; boundary=b"}, 415),
        ({"content-type": 'multipart/related; type="application/dicom+json"; boundary=b'}, 415),
        ({"content-type": 'multipart/related; type="application/dicom+xml"; boundary=b'}, 415),
        ({"content-type": "nonsense"}, 415),
        (FORM | {"content-encoding": "gzip"}, 415),
        ({"content-type": 'multipart/related; type="application/dicom"'}, 400),
        ({"content-type": f'multipart/related; type="application/dicom"; boundary={"x" * 71}'}, 400),
        (FORM | {"accept": "text/html"}, 406),
        (FORM | {"accept": "multipart/related; type=image/jpeg"}, 406),
    ],
)
def test_what_cannot_be_understood_or_answered_is_refused_unread(
    client: TestClient, taker: MemoryTaker, headers: dict[str, str], status: int
) -> None:
    response = client.post(STUDIES, content=body([part10()[1]]), headers=headers)
    assert response.status_code == status
    assert (taker.taken, taker.ended) == ([], [])


def test_a_multipart_type_parameter_may_be_missing_as_some_senders_have_it(client: TestClient) -> None:
    headers = {"content-type": "multipart/related; boundary=b"}
    assert client.post(STUDIES, content=body([part10()[1]]), headers=headers).status_code == 200


def test_a_part_of_another_type_is_a_failure_of_its_own(client: TestClient, taker: MemoryTaker) -> None:
    response = client.post(STUDIES, content=body([part10()[1]], "application/dicom+json"), headers=FORM)
    assert response.status_code == 409
    assert len(answer(response).OtherFailuresSequence) == 1
    assert taker.taken == []


def test_a_study_that_is_no_uid_is_400(client: TestClient) -> None:
    assert client.post(f"{STUDIES}/..%2f1", content=body([]), headers=FORM).status_code in (400, 404)
    assert client.post(f"{STUDIES}/Zweifel", content=body([part10()[1]]), headers=FORM).status_code == 400


def test_hostile_file_meta_is_not_repeated_in_the_answer(make: Callable[..., TestClient], tmp_path: Path) -> None:
    _, data = part10(SOPInstanceUID="1.2.3.4.5.6.7.8.9")
    hostile = data.replace(b"1.2.3.4.5.6.7.8.9\0", b"<script>alert(1)\0\0")
    response = make(intake=real_intake(tmp_path)[0]).post(STUDIES, content=body([hostile]), headers=FORM)
    assert response.status_code == 409
    assert "script" not in response.text
    assert len(answer(response).OtherFailuresSequence) == 1


# ---------------------------------------------------------------------- the answer's form


def test_the_answer_is_the_native_model_where_xml_is_asked_for(client: TestClient) -> None:
    uid, data = part10()
    response = client.post(STUDIES, content=body([data]), headers=FORM | {"accept": XML})
    assert response.headers["content-type"] == XML
    root = ET.fromstring(response.content)  # noqa: S314  our own
    names = {"d": NATIVE}
    assert root.tag == f"{{{NATIVE}}}NativeDicomModel"
    found = root.find("d:DicomAttribute[@tag='00081199']/d:Item[@number='1']/d:DicomAttribute[@tag='00081155']", names)
    assert found is not None
    assert (found.get("vr"), found.get("keyword")) == ("UI", "ReferencedSOPInstanceUID")
    assert [value.text for value in found.findall("d:Value", names)] == [uid]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", "application/json"),
        (XML, XML),
        (f"{XML};q=0.5, {JSON};q=0.4", XML),
        (f"{JSON};q=0, */*", "application/json"),
        ("text/html, */*;q=0.1", JSON),
        ("text/html", None),
        (f"{JSON};q=0", None),
        ("garbage", None),
        (f"{JSON};q=high", None),
    ],
)
def test_the_answer_is_negotiated(accept: str, media: str | None) -> None:
    assert choose(accept) == media


def test_a_request_that_stored_nothing_is_never_a_2xx() -> None:
    assert http_status([], None) == 400
    assert http_status([], 400) == 400
    assert module([], 400)["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]


# ---------------------------------------------------------------------- who may


LOGIN = {"web": {"user": "modality", "password": "right horse"}}


def test_behind_a_login_storing_takes_http_basic(make: Callable[..., TestClient], taker: MemoryTaker) -> None:
    client = make(**LOGIN)
    content = body([part10()[1]])
    refused = client.post(STUDIES, content=content, headers=FORM)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert client.post(STUDIES, content=content, headers=FORM, auth=("modality", "wrong")).status_code == 401
    assert taker.taken == []
    assert client.post(STUDIES, content=content, headers=FORM, auth=("modality", "right horse")).status_code == 200


def test_a_hashed_password_opens_the_same_door(make: Callable[..., TestClient]) -> None:
    web = {"user": "modality", "password_hash": PasswordHasher(time_cost=1).hash("right horse")}
    client = make(web=web)
    content = body([part10()[1]])
    assert client.post(STUDIES, content=content, headers=FORM, auth=("modality", "right horse")).status_code == 200


def test_guessing_is_braked_as_on_the_login_page(make: Callable[..., TestClient]) -> None:
    client = make(**LOGIN)
    for _ in range(credentials.FREE_FAILURES + 1):
        assert client.post(STUDIES, headers=FORM, auth=("modality", "wrong")).status_code == 401
    assert client.post(STUDIES, headers=FORM, auth=("modality", "right horse")).status_code == 401


def test_basic_opens_no_other_page_for_changes(make: Callable[..., TestClient]) -> None:
    token = base64.b64encode(b"modality:right horse").decode()
    answer = make(**LOGIN).post("/worklist/rows", headers={"authorization": f"Basic {token}"})
    assert answer.status_code == 303


def test_a_page_of_another_site_cannot_store(client: TestClient, taker: MemoryTaker) -> None:
    headers = FORM | {"sec-fetch-site": "cross-site"}
    assert client.post(STUDIES, content=body([part10()[1]]), headers=headers).status_code == 403
    assert taker.taken == []


def test_storing_is_all_that_can_be_done_there(client: TestClient) -> None:
    response = client.get(STUDIES)
    assert response.status_code == 405
    assert "html" not in response.headers["content-type"]


# ---------------------------------------------------------------------- how fast, how many


async def chunks(*steps: tuple[float, bytes]) -> AsyncIterator[bytes]:
    for seconds, data in steps:
        await asyncio.sleep(seconds)
        yield data


def drain(*steps: tuple[float, bytes], read_seconds: float, rate: int = 0) -> bytes:
    settings = Settings.model_validate({"dicom": {"read_seconds": read_seconds, "min_bytes_per_second": rate}})

    async def run() -> bytes:
        return b"".join([chunk async for chunk in paced(chunks(*steps), settings)])

    return asyncio.run(run())


def test_a_body_that_stops_coming_is_given_up() -> None:
    with pytest.raises(TooSlow, match="stopped"):
        drain((0, b"x"), (5, b"y"), read_seconds=0.05)


def test_a_body_that_drips_is_given_up() -> None:
    with pytest.raises(TooSlow, match="too slowly"):
        drain(*[(0.02, b"x")] * 100, read_seconds=0.1, rate=1000)


def test_a_body_that_comes_fast_enough_is_read_to_its_end() -> None:
    assert drain(*[(0.02, b"x" * 1000)] * 10, read_seconds=1.0, rate=1000) == b"x" * 10_000


def test_a_reader_that_takes_its_time_is_not_the_senders_fault() -> None:
    settings = Settings.model_validate({"dicom": {"read_seconds": 0.05, "min_bytes_per_second": 1000}})

    async def run() -> int:
        count = 0
        async for chunk in paced(chunks(*[(0, b"x" * 20)] * 5), settings):
            await asyncio.sleep(0.1)
            count += len(chunk)
        return count

    assert asyncio.run(run()) == 100


def test_more_requests_than_may_be_at_once_are_503_with_retry_after(
    client: TestClient, taker: MemoryTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MAX_REQUESTS", 0)
    response = client.post(STUDIES, content=body([part10()[1]]), headers=FORM)
    assert response.status_code == 503
    assert "retry-after" in response.headers
    monkeypatch.undo()
    assert client.post(STUDIES, content=body([part10()[1]]), headers=FORM).status_code == 200
    assert len(taker.taken) == 1
