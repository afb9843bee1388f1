"""The PDF report can be read, printed and kept: every name, whatever stands in it, the same bytes each time."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pypdf import PdfReader

from models.contracts import Code, Finding, Measurement, Prediction
from models.facts import Experiencer
from tests.peers import Orthanc, run
from tests.workers.synthetic import (
    CARD,
    HIPPOCAMPUS,
    MILLILITRE,
    VOLUME,
    Phantom,
    result_input,
    single_frames,
    write,
)
from workers.reading.instances import quiet
from workers.reading.volume.load import read_series
from workers.results.common import DISCLAIMER, KeySlice, OrderContext, Predecessor, ReportedFact, ResultInput
from workers.results.fonts import REPLACEMENT, clean
from workers.results.pdf.document import build_pdf
from workers.results.pdf.text import names
from workers.results.profile import DEFAULT

FACTS = (
    ReportedFact(
        Code("38341003", "SCT", "Hypertension"),
        historical=True,
        document_number="NOTE-1",
        section="history",
        written_at=dt.datetime(2026, 11, 1, 8, 0, tzinfo=dt.UTC),
        start=12,
        end=24,
    ),
    ReportedFact(Code("25064002", "SCT", "Headache"), "symptom", negated=True, document_number="NOTE-2"),
    ReportedFact(Code("26929004", "SCT", "Alzheimer's disease"), experiencer=Experiencer.FAMILY, uncertain=True),
)
CARDED = replace(
    CARD, data="Forty heads.", licence="CC BY-SA 4.0", intended_use="Research alone.", limits=("Adults only.",)
)


def _input(folder: Path, change: Callable[[Dataset], None] | None = None, **changes: object) -> ResultInput:
    loaded = read_series(write(folder, single_frames(Phantom()), change))
    keys = tuple(KeySlice(k, loaded.volume.array[k]) for k in (3, 1, 2))
    return result_input(loaded.sources, Phantom().shape, **({"key_slices": keys, "card": CARDED} | changes))


def _full(folder: Path, change: Callable[[Dataset], None] | None = None) -> ResultInput:
    return _input(
        folder,
        change,
        note_facts=FACTS,
        order=OrderContext("ACC-1", "PL-1", "FI-1", None, "MR head", "memory loss"),
        institution="Klinik Süd",
        predecessor=Predecessor("1.2.840.10008.5.1.4.1.1.104.1", "2.25.1", "2.25.2"),
    )


def _bytes(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _built(inp: ResultInput) -> Dataset:
    [ds] = build_pdf(inp, DEFAULT, {})
    return dcmread(BytesIO(_bytes(ds)))


def _document(ds: Dataset) -> PdfReader:
    data = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    return PdfReader(BytesIO(data), strict=True)


def _text(ds: Dataset) -> str:
    """Words of all pages in the order of the page, with one space between."""
    return " ".join(" ".join(page.extract_text() for page in _document(ds).pages).split())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Give a report with everything in it."""
    return _built(_full(tmp_path_factory.mktemp("report")))


@pytest.mark.parametrize(
    "said",
    [
        "Müller, Käthe",
        "P-1",
        "1950-01-02",
        "female",
        "2026-11-20 10:15",
        "A-1",
        "5 · T1 mprage (6 images)",
        "Hippocampus, anterior part, left",
        "Anterior part 1.5 ml.",
        "1.50 ml",
        "1.40 to 1.70 (90 %)",
        "Atrophy, left",
        "The side could not be told from the geometry.",
        "Slice 4 of 6 (series 5, image 4)",
        "memory loss",
        "Hypertension",
        "problem, present, in the past",
        "NOTE-1, section history, characters 12 to 24",
        "symptom, absent",
        "problem, undetermined, of family",
        "hippocampus 1.0.0",
        CARD.weights_sha256,
        "Forty heads.",
        "CC BY-SA 4.0",
        "Research alone.",
        "Adults only.",
        "Supersedes 2.25.1",
        "Klinik Süd",
    ],
)
def test_the_report_says(said: str, report: Dataset) -> None:
    assert said in _text(report)


def test_every_page_names_the_patient_and_has_the_disclaimer_and_its_number(report: Dataset) -> None:
    pages = [" ".join(page.extract_text().split()) for page in _document(report).pages]
    assert len(pages) > 1
    for number, page in enumerate(pages, 1):
        assert DISCLAIMER in page
        assert "Müller, Käthe · P-1 · A-1" in page
        assert f"Page {number} of {len(pages)}" in page


def test_findings_and_what_notes_say_stand_apart(report: Dataset) -> None:
    text = _text(report)
    findings, clinical = text.index("What the model reports"), text.index("Clinical information")
    assert findings < text.index("Hippocampus, anterior part") < clinical < text.index("Hypertension")
    assert "These are not findings of the model." in text


def test_each_key_image_is_in_it_once(report: Dataset) -> None:
    images = [image for page in _document(report).pages for image in page.images]
    assert len(images) == 3
    assert {image.image.size for image in images if image.image} == {(640, 640)}


def test_all_fonts_are_embedded(report: Dataset) -> None:
    fonts: dict[str, Any] = {}
    for page in _document(report).pages:
        resources: Any = page["/Resources"]
        fonts.update((font.get_object()["/BaseFont"], font.get_object()) for font in resources["/Font"].values())
    assert len(fonts) >= 2
    for font in fonts.values():
        assert "/FontFile2" in font["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        assert "/ToUnicode" in font  # so that its text can be searched and copied


def test_the_object_is_what_the_module_asks_for(report: Dataset) -> None:
    assert report.SOPClassUID.name == "Encapsulated PDF Storage"
    assert (report.Modality, report.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert (report.BurnedInAnnotation, report.VerificationFlag) == ("YES", "UNVERIFIED")
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.DocumentTitle == "Hippocampus segmentation: automated result, not verified"
    assert len(report.EncapsulatedDocument) % 2 == 0
    assert len(report.SourceInstanceSequence) == 6
    assert (str(report.ContentDate), str(report.ContentTime)) == ("20261120", "120005")
    assert int(report.SeriesNumber) == 10057
    assert report.SeriesDescription == "PDF Hippocampus segmentation"
    assert [item.Manufacturer for item in report.ContributingEquipmentSequence][:2] == ["Maker", "Overread"]
    assert (report.PatientName, report.StudyDescription) == ("Müller^Käthe", "Kopf")
    [study] = report.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == report.StudyInstanceUID
    [series] = study.ReferencedSeriesSequence
    assert (series.SeriesInstanceUID, series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == ("2.25.2", "2.25.1")


def test_a_first_report_supersedes_none_and_a_model_that_found_nothing_says_so(tmp_path: Path) -> None:
    ds = _built(_input(tmp_path, key_slices=(), prediction=Prediction(())))
    assert "PredecessorDocumentsSequence" not in ds
    assert "The model reports no finding." in _text(ds)
    assert "Supersedes" not in _text(ds)


def test_other_notes_make_another_document_in_the_same_series(tmp_path: Path) -> None:
    inp = _full(tmp_path)
    one, other = (build_pdf(each, DEFAULT, {})[0] for each in (inp, replace(inp, context_digest="44" * 32)))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID


def test_a_retry_in_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    here = hashlib.sha256(_bytes(build_pdf(_full(tmp_path / "here", everywhere), DEFAULT, {})[0])).hexdigest()
    code = (
        "import hashlib, pathlib, sys; from tests.workers.results import test_pdf as t; "
        "from workers.results.pdf.document import build_pdf; from workers.results.profile import DEFAULT; "
        "inp = t._full(pathlib.Path(sys.argv[1]), t.everywhere); "
        "print(hashlib.sha256(t._bytes(build_pdf(inp, DEFAULT, {})[0])).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        env={**os.environ, "PYTHONHASHSEED": "1"},  # another order of sets than here
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def everywhere(ds: Dataset) -> None:
    """Give the patient a name in many scripts."""
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Müller Διονυσιος Люксембург قباني שרון สมชาย^Käthe=王^小東=홍^길동"


@pytest.mark.data
def test_the_names_of_all_charset_files_come_out_of_the_pdf(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    files = sorted((real_data("dicom-pydicom") / "charset_files").glob("*.dcm"))
    assert len(files) == 17
    for number, path in enumerate(files):
        source = dcmread(path)

        def patient(ds: Dataset, source: Dataset = source) -> None:
            ds.SpecificCharacterSet = source.SpecificCharacterSet
            ds.PatientName = source.get("PatientName")
            ds.StudyDescription = "of a patient without a name" if not source.get("PatientName") else "study"

        with quiet():
            inp = _input(tmp_path / str(number), patient, key_slices=())
            ds = _built(inp)
            expected = names(source.get("PatientName"))
            text = _text(ds)
            assert ds.PatientName == inp.image.PatientName
        assert REPLACEMENT not in text
        for name in expected:
            for word in clean(name).replace(",", " ").split():
                assert word in text, path.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["Yamada, Tarou", "山田 太郎", "やまだ たろう"]),
        ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", ["Adams, Rev. John Robert Quincy, B.A. M.Div."]),
        ("김희중", ["김희중"]),
        ("=王^小東", ["王 小東"]),
        ("", []),
        (None, []),
    ],
)
def test_a_name_is_written_in_each_of_its_spellings(name: str | None, expected: list[str]) -> None:
    assert names(name) == expected


HOSTILE = (
    "<b>bold</b> **stars** __under__ [link](http://x) {nb} \\x00",
    "W" * 5000,
    "\x00\x1b[31m\r\n\t\u2028",
    "\ud800\udfff\ufffe\U0010ffff\ue000",
    "‹n›‹n›",
    "(unbalanced \\) ) endstream endobj",
    "سلام \u202eabc עברית 山 สมชาย" * 20,
    "e\u0301" * 300,
)


#: Shrinking would lay out hundreds of reports; what fails here is short enough as it is.
UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=UNSHRUNK)
@given(
    text=st.text(st.characters(exclude_categories=()), max_size=300),
    number=st.one_of(st.floats(), st.none()),
)
@example(text=HOSTILE[0], number=0.0)
@example(text=HOSTILE[1], number=1e300)
@example(text=HOSTILE[2], number=None)
@example(text=HOSTILE[3], number=float("nan"))
@example(text=HOSTILE[4], number=1.0)
@example(text=HOSTILE[5], number=1.0)
@example(text=HOSTILE[6], number=1.0)
@example(text=HOSTILE[7], number=1.0)
def test_no_text_and_no_number_breaks_the_report(text: str, number: float | None, tmp_path: Path) -> None:
    measurement = Measurement(Code("1", "L", text), number or 0.0, Code("1", "L", text), number, number, None, text)
    finding = Finding("x", Code("1", "L", text), (measurement,), None, None, 0.5, text, lesion=text)
    inp = _input(
        tmp_path,
        prediction=Prediction((finding,), warnings=(text,)),
        key_slices=(),
        note_facts=(ReportedFact(Code("1", "L", text), document_number=text, section=text),),
        order=OrderContext(text, text, text, None, text, text),
    )
    with quiet():
        pdf = _document(build_pdf(replace(inp, card=replace(CARD, data=text, limits=(text,))), DEFAULT, {})[0])
    assert len(pdf.pages) >= 1
    assert DISCLAIMER in " ".join(pdf.pages[-1].extract_text().split())


def test_markup_is_text(tmp_path: Path) -> None:
    finding = Finding("x", Code("1", "L", "<b>bold</b> **stars** [a](http://b) {nb} ‹n›"))
    text = _text(_built(_input(tmp_path, prediction=Prediction((finding,)), key_slices=())))
    assert "<b>bold</b> **stars** [a](http://b) {nb}" in text


def test_hostile_headers_break_nothing_and_stay_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def hostile(ds: Dataset) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName = "Geheim𠮷" + "\U0001f600" * 40 + "^x=y=z"
        ds.PatientID = "Geheim\u202e1"
        ds.StudyDescription = "Geheim\ue000"

    with caplog.at_level(logging.DEBUG), quiet():
        ds = _built(_input(tmp_path, hostile, key_slices=()))
    assert f"Geheim{REPLACEMENT}" in _text(ds)
    assert "Geheim1" in _text(ds)
    assert "Geheim" not in caplog.text


def test_many_findings_and_facts_run_over_pages_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.results.pdf.text.ROWS", 60)
    findings = tuple(Finding(f"f{n}", HIPPOCAMPUS, (Measurement(VOLUME, n, MILLILITRE),)) for n in range(75))
    ds = _built(_input(tmp_path, prediction=Prediction(findings), note_facts=FACTS * 21, key_slices=()))
    text = _text(ds)
    assert "15 more rows are in the structured report." in text
    assert "3 more statements are in the structured report." in text
    assert text.count("Interval or range") > 1  # the head is repeated on each page
    assert len(_document(ds).pages) > 3


@pytest.mark.peer
def test_dciodvfy_finds_no_error(report: Dataset, peer: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    report.save_as(path, enforce_file_format=True)
    said = run(peer("dciodvfy"), str(path)).stderr
    assert said.startswith("EncapsulatedPDF")
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


@pytest.mark.peer
def test_dcentvfy_finds_it_consistent_with_its_images(peer: Callable[[str], str], tmp_path: Path) -> None:
    inp = _full(tmp_path / "in")
    path = tmp_path / "report.dcm"
    build_pdf(inp, DEFAULT, {})[0].save_as(path, enforce_file_format=True)
    done = run(peer("dcentvfy"), *map(str, sorted((tmp_path / "in").iterdir())), str(path))
    assert (done.returncode, [line for line in done.stderr.splitlines() if line.startswith("Error")]) == (0, [])


@pytest.mark.peer
def test_orthanc_lists_it_and_gives_the_pdf_back(report: Dataset, peer: Callable[[str], str], tmp_path: Path) -> None:
    orthanc = Orthanc(peer("Orthanc"), tmp_path / "orthanc")
    try:
        address = f"http://127.0.0.1:{orthanc.http_port}/instances"
        stored = httpx2.post(address, content=_bytes(report)).json()["ID"]
        [series] = orthanc.get("/series?expand")
        assert (series["MainDicomTags"]["Modality"], series["MainDicomTags"]["SeriesNumber"]) == ("DOC", "10057")
        pdf = httpx2.get(f"{address}/{stored}/pdf").content
        assert pdf.rstrip(b"\0") == report.EncapsulatedDocument.rstrip(b"\0")
    finally:
        orthanc.stop()
