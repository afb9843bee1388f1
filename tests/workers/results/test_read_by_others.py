"""Programs of others read what we build: DCMTK's tools show it, an Orthanc lists it, previews it and gives it back."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from tests import peers
from tests.workers.results.built import PROFILES, Object, full_input, objects
from tests.workers.synthetic import ORIENTATIONS, Phantom, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import BUILDERS
from workers.results.common import ResultInput, tracking_uid
from workers.results.profile import DEFAULT, Profile

pytestmark = pytest.mark.peer

#: A document, and a map of 16 bits whose window Orthanc does not look for, have no picture in every version of Orthanc.
PICTURES = frozenset({"seg", "pm", "sc"})

#: What DCMTK 3.6.7 remarks that is not about the object: it takes an offset from UTC of +0000, which PS3.5 table 6.2-1
#: demands for UTC, for a mistake, and it has no check of the templates of key objects.
REMARKS = (
    b"W: ObservationDateTime (0040,a032) violates VR definition in SR document\n",
    b"W: Check for template constraints not yet supported\n",
)

Peer = Callable[[str], str]


@pytest.fixture(scope="module")
def inp(tmp_path_factory: pytest.TempPathFactory) -> ResultInput:
    """Give the input of a small oblique series."""
    paths = write(
        tmp_path_factory.mktemp("series"), single_frames(Phantom((6, 32, 40), cosines=ORIENTATIONS["oblique"]))
    )
    return full_input(read_series(paths), paths)


@pytest.fixture(scope="module")
def series(inp: ResultInput, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the files of that series."""
    return write(
        tmp_path_factory.mktemp("images"), single_frames(Phantom((6, 32, 40), cosines=ORIENTATIONS["oblique"]))
    )


@pytest.fixture(scope="module")
def built(inp: ResultInput) -> list[Object]:
    """Give everything that is built of it."""
    return list(objects(inp, PROFILES))


def _default(built: list[Object], kind: str) -> list[Object]:
    return [item for item in built if item.kind == kind and item.profile == DEFAULT]


def test_dcmdump_reads_every_kind_in_every_profile(built: list[Object], peer: Peer, tmp_path: Path) -> None:
    dcmdump = peer("dcmdump")
    assert {item.kind for item in built} == set(BUILDERS)
    for item in built:
        said = peers.run(dcmdump, "+P", "SOPInstanceUID", str(item.write(tmp_path)))
        assert (said.returncode, said.stderr) == (0, ""), item.name
        assert str(item.dataset().SOPInstanceUID) in said.stdout


def test_dsrdump_shows_measurements_with_units_and_tracking(
    built: list[Object], inp: ResultInput, peer: Peer, tmp_path: Path
) -> None:
    dsrdump = peer("dsrdump")
    [sr] = _default(built, "sr")
    said = peers.run(dsrdump, "+U8", "+Pu", str(sr.write(tmp_path)))
    assert said.returncode == 0
    for finding in inp.prediction.findings:
        for one in finding.measurements:
            unit = f'({one.unit.value},{one.unit.scheme},"{one.unit.meaning}")'
            assert f'NUM:(,,"{one.name.meaning}")="{one.value}" {unit}' in said.stdout
            assert tracking_uid(inp, finding.label) in said.stdout


def test_dsrdump_reads_reports_of_every_profile_and_key_objects(
    built: list[Object], peer: Peer, tmp_path: Path
) -> None:
    dsrdump = peer("dsrdump")
    documents = [item for item in built if item.kind in ("sr", "kos")]
    assert len(documents) == len(PROFILES) + ("kos" in BUILDERS)
    for item in documents:
        # DCMTK 3.6.7 does not know label maps (Supplement 243): it reads a report that refers to one only if told to.
        newer = item.profile.segmentation == "labelmap"
        command = [dsrdump, *(["-Ee"] if newer else []), str(item.write(tmp_path))]
        said = subprocess.run(command, capture_output=True, timeout=60, check=False)
        remarks = [line for line in said.stderr.splitlines(keepends=True) if line not in REMARKS]
        assert said.returncode == 0, item.name
        assert newer or remarks == [], item.name


@pytest.mark.skipif("gsps" not in BUILDERS, reason="no builder makes presentation states")
def test_dcmpstat_draws_the_presentation_state_on_its_image(
    built: list[Object], series: list[Path], peer: Peer, tmp_path: Path
) -> None:
    dcmp2pgm, dcmpschk = peer("dcmp2pgm"), peer("dcmpschk")
    [state] = _default(built, "gsps")
    path = state.write(tmp_path)
    checked = peers.run(dcmpschk, str(path))
    assert "Test passed" in checked.stdout + checked.stderr
    drawn = 0
    referenced = {
        str(image.ReferencedSOPInstanceUID)
        for entry in state.dataset().ReferencedSeriesSequence
        for image in entry.ReferencedImageSequence
    }
    for number, image in enumerate(series):
        if str(dcmread(image, stop_before_pixels=True).SOPInstanceUID) in referenced:
            plain, marked = tmp_path / f"{number}.pgm", tmp_path / f"{number}-state.pgm"
            assert peers.run(dcmp2pgm, str(image), str(plain)).returncode == 0
            assert peers.run(dcmp2pgm, "-p", str(path), str(image), str(marked)).returncode == 0
            drawn += plain.read_bytes() != marked.read_bytes()
    assert drawn == len(referenced) > 0


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Peer], peers.Orthanc]]:
    """Give a function that starts an Orthanc, once."""
    started: list[peers.Orthanc] = []

    def start(peer: Peer) -> peers.Orthanc:
        if not started:
            started.append(peers.Orthanc(peer("Orthanc"), tmp_path_factory.mktemp("orthanc")))
        return started[0]

    yield start
    for server in started:
        server.stop()


def _post(server: peers.Orthanc, data: bytes) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/instances", data, timeout=30) as answer:
        assert answer.status == 200
        return str(json.load(answer)["ID"])


def _get(server: peers.Orthanc, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def test_orthanc_takes_lists_and_gives_back_every_object(
    built: list[Object], series: list[Path], orthanc: Callable[[Peer], peers.Orthanc], peer: Peer
) -> None:
    server = orthanc(peer)
    for path in series:
        _post(server, path.read_bytes())
    ids = {item.name: _post(server, item.data) for item in built}
    [study] = server.get("/studies")
    known = server.get(f"/studies/{study}")
    kinds = {(item.kind, item.profile.key if item.kind in ("seg", "sr") else "") for item in built}
    assert len(known["Series"]) == 1 + len(kinds)
    for item in built:
        assert _get(server, f"/instances/{ids[item.name]}/file") == item.data
        tags = server.get(f"/instances/{ids[item.name]}/simplified-tags")
        assert (tags["Modality"], tags["PatientName"]) == (item.dataset().Modality, "Müller^Käthe")


def test_orthanc_previews_what_has_pixels(
    built: list[Object], orthanc: Callable[[Peer], peers.Orthanc], peer: Peer
) -> None:
    server = orthanc(peer)
    for item in built:
        if item.kind in PICTURES and item.profile in (DEFAULT, Profile("labelmap"), Profile("fractional")):
            key = _post(server, item.data)
            picture = Image.open(BytesIO(_get(server, f"/instances/{key}/preview")))
            ds = item.dataset()
            assert picture.size == (ds.Columns, ds.Rows), item.name
            frames = range(int(ds.get("NumberOfFrames", 1)))
            seen = [_get(server, f"/instances/{key}/frames/{frame}/preview") for frame in frames]
            assert any(Image.open(BytesIO(one)).convert("L").getextrema()[1] for one in seen), item.name


def test_orthanc_gives_the_document_of_the_encapsulated_pdf(
    built: list[Object], orthanc: Callable[[Peer], peers.Orthanc], peer: Peer
) -> None:
    server = orthanc(peer)
    for item in _default(built, "pdf"):
        assert _get(server, f"/instances/{_post(server, item.data)}/pdf").startswith(b"%PDF-")
