"""One study from order to report, with everything that the record knows of the patient."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import pydicom
import pytest

from node.errors import DeliveryError
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator
from node.simulator.ris import NOTE_CHINESE, Person, RisSimulator, labs, note, order, send
from node.simulator.studies import generate
from tests.nodes import RunningNode, running
from tests.peers import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, PacsSimulator, RisSimulator]]:
    folder = tmp_path_factory.mktemp("hospital")
    with PacsSimulator(folder / "pacs") as pacs, RisSimulator(folder / "ris") as ris:
        extra = (
            f'[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\nport = {pacs.port}\nae_title = "P"\n'
            f'[[destinations]]\nname = "ris"\nkind = "mllp"\nhost = "127.0.0.1"\nport = {ris.port}\n'
        )
        with running(folder / "node", extra) as node:
            yield node, pacs, ris


def deliver(node: RunningNode, *messages: bytes) -> None:
    for raw in messages:
        assert send("127.0.0.1", node.hl7_port, raw, 10).code == "AA"


def test_order_note_labs_and_images_become_one_report_and_a_late_note_supersedes_it(
    surroundings: tuple[RunningNode, PacsSimulator, RisSimulator],
) -> None:
    node, pacs, ris = surroundings
    person = Person(id="P100", name="Muster^Änne", issuer="HOSP")
    study = generate(5, person=person, accession_number="A100", at=dt.datetime(2026, 2, 3, 4))
    deliver(
        node,
        order(person, accession="A100", priority="STAT"),
        note(person, document_number="N100", accession="A100"),
        labs(person, filler="L100"),
    )
    list(send_study(study, node.folder / "mod", "127.0.0.1", node.dicom_port, called_ae="OVERREAD"))
    eventually("the study is delivered", lambda: node.settled(1), 90)

    [row] = node.studies()
    assert row.priority == "STAT"
    assert row.order_fk is not None
    [path] = [item.path for item in pacs.received if item.sop_class == "1.2.840.10008.5.1.4.1.1.88.34"]
    report = pydicom.dcmread(path)
    assert report.PatientName == "Muster^Änne"
    assert report.AccessionNumber == "A100"
    assert "Alzheimer's disease" in str(report)
    assert "Not a medical device" in str(report)
    [message] = [item.read_text("utf-8") for item in ris.wait(1)]
    assert "|P|" in message.split("OBR|1")[1].split("\r")[0]
    assert "G30.9^Alzheimer's disease" in message
    assert "A100" in message

    deliver(node, note(person, document_number="N101", text=NOTE_CHINESE, accession="A100"))
    eventually("a second report is built", lambda: len(node.results("sr")) == 2, 60)
    eventually("and delivered", lambda: node.settled(1), 60)
    first, second = node.results("sr")
    assert second.predecessor == first.uid
    assert len(node.results("seg")) == 1
    corrected = ris.wait(2)[-1].read_text("utf-8")
    assert "|C|" in corrected.split("OBR|1")[1].split("\r")[0]

    said = json.loads(node.get(f"/api/studies/{row.id}"))
    assert study.study_uid in json.dumps(said)
    page = node.get(f"/studies/{row.id}")
    assert "Alzheimer" in page
    log = node.log()
    for secret in ("Muster", "P100", "Änne", "Memory loss"):
        assert secret not in log
    for line in node.get("/metrics").splitlines():
        assert "P100" not in line


def test_bad_input_is_refused_with_a_reason_and_harms_nothing(
    surroundings: tuple[RunningNode, PacsSimulator, RisSimulator],
) -> None:
    node, _, _ = surroundings
    host = ("127.0.0.1", node.hl7_port)
    good = order(Person(id="P200"), accession="A200")
    for bad, code in (
        (good.replace(b"ORM^O01^ORM_O01", b"ZZZ^Z99"), "AR"),
        (good.replace(b"PID|", b"PIX|"), "AE"),
        (note(Person(id="P200"), document_number="N200", text=NOTE_CHINESE).replace(b"UNICODE UTF-8", b"ASCII"), "AE"),
    ):
        with pytest.raises(DeliveryError) as caught:
            send(*host, bad, 10)
        assert caught.value.status == code
    study = generate(6, accession_number="A200", at=dt.datetime(2026, 2, 4))
    for ds in study.datasets:
        ds.Modality, ds.BodyPartExamined, ds.SeriesDescription = "MR", "KNEE", "T1 knee"
    list(send_study(study, node.folder / "mod", "127.0.0.1", node.dicom_port, called_ae="OVERREAD"))
    eventually("no rule wants it, and the timeline says so", lambda: node.events("study.unwanted"), 30)
    assert len(node.events("message.refused") + node.events("message.failed")) >= 3
    deliver(node, good)
