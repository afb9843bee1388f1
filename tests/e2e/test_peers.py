"""The node between real peers: DCMTK sends, Orthanc archives, validators look at what arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodes import RunningNode, running
from tests.peers import Orthanc, eventually, run

pytestmark = [pytest.mark.e2e, pytest.mark.peer, pytest.mark.data]


def destination(orthanc: Orthanc) -> str:
    return (
        '[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\n'
        f'port = {orthanc.dicom_port}\nae_title = "ORTHANC"\n'
    )


@pytest.fixture
def orthanc(peer: Callable[[str], str], tmp_path: Path) -> Iterator[Orthanc]:
    server = Orthanc(peer("Orthanc"), tmp_path / "orthanc")
    yield server
    server.stop()


def send(node: RunningNode, storescu: str, folders: list[Path]) -> None:
    for folder in folders:
        files = [str(path) for path in sorted(folder.iterdir())]
        done = run(storescu, "-aec", "OVERREAD", "127.0.0.1", str(node.dicom_port), *files)
        assert done.returncode == 0, done.stderr


def test_real_hippocampus_studies_sent_twice_leave_one_seg_and_one_sr_per_series_in_orthanc(
    orthanc: Orthanc, peer: Callable[[str], str], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folders = sorted(real_data("dicom-mr-brain-btp").glob("*/*HCropVolume"))
    assert len(folders) == 2
    storescu, dciodvfy = peer("storescu"), peer("dciodvfy")
    with running(tmp_path / "node", destination(orthanc)) as node:
        send(node, storescu, folders)
        eventually("both studies are delivered", lambda: node.settled(2), 120)
        stored = Counter(tags["Modality"] for tags in orthanc.instances())
        assert stored == {"SEG": 2, "SR": 2}
        before = {tags["SOPInstanceUID"] for tags in orthanc.instances()}
        studies = {tags["StudyInstanceUID"] for tags in orthanc.instances()}
        assert studies == {study.uid for study in node.studies()}

        send(node, storescu, folders)
        eventually("the second send was received", lambda: len(node.events("study.complete")) >= 2)
        eventually("nothing is left to do", lambda: node.settled(2))
        assert {tags["SOPInstanceUID"] for tags in orthanc.instances()} == before
        assert len(node.jobs()) == 2
        assert len(node.results("seg")) == len(node.results("sr")) == 2

        for result in (*node.results("seg"), *node.results("sr")):
            said = run(dciodvfy, str(node.root / result.path))
            errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
            assert errors == []
        assert node.stop() == 0
    for name in ("Avasarala", "Chrisjen", "Dumbledore", "Albus"):
        assert name not in node.log()


def test_a_destination_that_is_down_gets_everything_once_it_is_back(
    orthanc: Orthanc, peer: Callable[[str], str], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = sorted(real_data("dicom-mr-brain-btp").glob("*/*HCropVolume"))[0]
    other = destination(orthanc).replace(str(orthanc.dicom_port), "1").replace('"pacs"', '"down"')
    with running(tmp_path / "node", destination(orthanc) + other) as node:
        send(node, peer("storescu"), [folder])
        eventually("the PACS that is up has both", lambda: len(orthanc.instances()) == 2, 60)
        eventually("the other one is retried", lambda: len(node.events("delivery.retrying")) >= 4)
        assert not node.settled(1)
        node.stop()
        text = node.config.read_text().replace("port = 1\n", f"port = {orthanc.dicom_port}\n")
        node.config.write_text(text)
        node.start()
        eventually("all is delivered", lambda: node.settled(1), 60)
