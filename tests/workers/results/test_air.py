"""The AIR checklist: each rule is silent on what we build, fires on what breaks it, and stands in docs/air.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from tests.workers.results.built import Object, full_input, objects
from tests.workers.synthetic import ORIENTATIONS, Phantom, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import BUILDERS, build_all
from workers.results.air.checklist import AIR_RULES, check
from workers.results.air.rule import AirRule, descendants, items
from workers.results.common import ResultInput

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "air.md"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Give everything that is built of a small oblique series."""
    paths = write(tmp_path_factory.mktemp("series"), single_frames(Phantom(cosines=ORIENTATIONS["oblique"])))
    return list(objects(full_input(read_series(paths), paths)))


def _of(kind: str, ours: list[Object]) -> Dataset:
    return next(item for item in ours if item.kind == kind).dataset()


def _named(item: Dataset, *values: str) -> bool:
    return bool(items(item, "ConceptNameCodeSequence")) and str(item.ConceptNameCodeSequence[0].CodeValue) in values


def _without(*values: str) -> Callable[[Dataset], None]:
    """Take all content items of some names out, wherever they are."""

    def change(ds: Dataset) -> None:
        for item in (ds, *descendants(ds)):
            if "ContentSequence" in item:
                item.ContentSequence = [child for child in item.ContentSequence if not _named(child, *values)]

    return change


def _set(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


def _content(value: str, keyword: str, new: object) -> Callable[[Dataset], None]:
    """Change the first content item of a name."""

    def change(ds: Dataset) -> None:
        setattr(next(item for item in descendants(ds) if _named(item, value)), keyword, new)

    return change


def _person(ds: Dataset) -> None:
    observer = next(item for item in descendants(ds) if _named(item, "121005"))
    observer.ConceptCodeSequence[0].CodeValue = "121006"


def _unnamed_unit(ds: Dataset) -> None:
    number = next(item for item in descendants(ds) if item.ValueType == "NUM")
    number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodingSchemeDesignator = "99X"


def _lost_place(ds: Dataset) -> None:
    place = Dataset()
    place.ValueType, place.RelationshipType, place.GraphicType = "SCOORD3D", "CONTAINS", "POINT"
    place.GraphicData = [1.0, 2.0, 3.0]
    ds.ContentSequence.append(place)


def _no_disclaimer(ds: Dataset) -> None:
    for item in ds.ContributingEquipmentSequence:
        item.ContributionDescription = "Certified"


def _segment(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds.SegmentSequence[0], keyword, value)


def _other_version(ds: Dataset) -> None:
    ds.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion = "9.9"


def _nowhere(ds: Dataset) -> None:
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence


def _unmapped(ds: Dataset) -> None:
    for group in (*ds.SharedFunctionalGroupsSequence, *ds.PerFrameFunctionalGroupsSequence):
        group.pop("RealWorldValueMappingSequence", None)


def _about_nothing(ds: Dataset) -> None:
    for element in [element for element in ds if element.VR == "SQ"]:
        del ds[element.tag]


#: For each rule, the kind of object that is broken and how.
BREAKS: dict[str, tuple[str, Callable[[Dataset], None]]] = {
    "GEN-1": ("seg", lambda ds: delattr(ds, "ContributingEquipmentSequence")),
    "GEN-2": ("sr", _content("121015", "TextValue", "another model")),
    "GEN-3": ("seg", _other_version),
    "GEN-4": ("seg", _set("ContentDate", "")),
    "GEN-5": ("seg", lambda ds: setattr(ds, "SOPInstanceUID", ds.SeriesInstanceUID)),
    "GEN-6": ("seg", _set("SeriesDescription", None)),
    "GEN-7": ("sr", _set("DeviceSerialNumber", "")),
    "GEN-8": ("sr", _about_nothing),
    "GEN-9": ("seg", _no_disclaimer),
    "SR-1": ("sr", lambda ds: setattr(ds.ContentTemplateSequence[0], "TemplateIdentifier", "2000")),
    "SR-2": ("sr", _without("121058")),
    "SR-3": ("sr", _person),
    "SR-4": ("sr", _set("VerificationFlag", "VERIFIED")),
    "SR-5": ("sr", _without("126010", "C0034375")),
    "SR-6": ("sr", _without("112040")),
    "SR-7": ("sr", _without("111003")),
    "SR-8": ("sr", _without("121071")),
    "SR-9": ("sr", _unnamed_unit),
    "SR-10": ("sr", _set("CurrentRequestedProcedureEvidenceSequence", [])),
    "SR-11": ("sr", _without("121232", "121233")),
    "SR-12": ("sr", _lost_place),
    "SR-13": ("sr", _without("111028")),
    "SEG-1": ("seg", _segment("SegmentedPropertyTypeCodeSequence", [])),
    "SEG-2": ("seg", lambda ds: _segment("TrackingUID", ds.SegmentSequence[1].TrackingUID)(ds)),
    "SEG-3": ("seg", _segment("SegmentAlgorithmName", "")),
    "SEG-4": ("seg", _segment("SegmentNumber", 7)),
    "IMG-1": ("seg", _nowhere),
    "IMG-2": ("seg", _set("ReferencedSeriesSequence", [])),
    "PM-1": ("pm", _unmapped),
    "KOS-1": ("kos", _set("CurrentRequestedProcedureEvidenceSequence", [])),
    "KOS-2": ("kos", _without("113012")),
    "GSPS-1": ("gsps", _set("ReferencedSeriesSequence", [])),
    "SC-1": ("sc", lambda ds: delattr(ds, "BurnedInAnnotation")),
    "PDF-1": ("pdf", _set("EncapsulatedDocument", b"no PDF")),
}


def test_nothing_that_we_build_breaks_a_rule(ours: list[Object]) -> None:
    said = {item.name: [f"{one.rule.id}: {one.text}" for one in check(item.dataset())] for item in ours}
    assert {name: found for name, found in said.items() if found} == {}
    assert {item.kind for item in ours} == set(BUILDERS)


@pytest.mark.parametrize("rule", AIR_RULES, ids=lambda rule: rule.id)
def test_a_rule_fires_on_what_breaks_it(rule: AirRule, ours: list[Object]) -> None:
    kind, change = BREAKS[rule.id]
    if kind not in BUILDERS:
        pytest.skip(f"no builder makes {kind!r}")
    ds = _of(kind, ours)
    change(ds)
    assert rule.id in {found.rule.id for found in check(ds)}


def test_no_break_is_left_of_a_rule_that_is_gone() -> None:
    assert set(BREAKS) == {rule.id for rule in AIR_RULES}


def test_another_training_is_another_device(tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom()))
    inp = result_input(read_series(paths).sources, Phantom().shape)
    trained = replace(inp, card=replace(inp.card, weights_sha256="cd" * 32))
    devices = [[item.get("DeviceUID") for item in _equipment(one)] for one in (inp, trained)]
    assert len(set(devices[0])) == len(set(devices[1])) == 1
    assert devices[0] != devices[1]


def _equipment(inp: ResultInput) -> list[Dataset]:
    """Give the algorithm's items of everything that is built by default."""
    built = [ds for objects in build_all(inp).values() for ds in objects]
    return [item for ds in built for item in ds.ContributingEquipmentSequence if "DeviceUID" in item]


def test_images_are_no_results(tmp_path: Path) -> None:
    ds = single_frames(Phantom())[0]
    assert ds.SOPClassUID == MRImageStorage
    assert check(ds) == []


def test_a_capture_of_the_scanner_is_not_held_against_our_rules() -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.Manufacturer = "1.2.840.10008.5.1.4.1.1.7", "Maker"
    assert check(ds) == []
    ds.Manufacturer = "Overread"
    assert {found.rule.id for found in check(ds)} >= {"GEN-1", "GEN-5", "SC-1"}


def test_an_attribute_of_the_wrong_kind_breaks_the_rule_and_raises_nothing(ours: list[Object]) -> None:
    ds = _of("sr", ours)
    ds.add_new(0x0040A730, "LO", "no sequence")
    ds.add_new(0x0018A001, "LO", "no sequence")
    assert {found.rule.id for found in check(ds)} >= {"GEN-1", "SR-2", "SR-13"}


def test_a_tree_as_deep_as_the_stack_is_walked(ours: list[Object]) -> None:
    ds = _of("sr", ours)
    leaf = ds
    for _ in range(3000):
        child = Dataset()
        child.ValueType = "CONTAINER"
        leaf.ContentSequence = [child]
        leaf = child
    assert {found.rule.id for found in check(ds)} >= {"SR-2", "SR-5"}


def test_the_document_lists_every_rule_with_its_demand_and_source() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    for rule in AIR_RULES:
        [row] = [row for row in rows if row.startswith(f"| {rule.id} |")]
        assert rule.clause in row
