"""Every suitable series of the real data, every kind of object: validators, checklist, and voxels.

Findings are made to fit each series; where a shipped model takes the series, its own prediction is built as well. The
first small series of each modality is built in every profile, all others in :data:`FEW`, so that it takes a minute.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.seg import Segmentation, segread
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from models import catalog
from models.contracts import InputDeclined, InputKind, InputRequirements, Model
from tests.conftest import data_root
from tests.workers.results.built import PROFILES, Object, full_input, objects
from workers.errors import SeriesRefused
from workers.reading.instances import quiet
from workers.reading.volume.load import LoadedSeries, read_series
from workers.results import BUILDERS
from workers.results.air.checklist import check
from workers.results.common import ResultInput, segment_numbers
from workers.results.profile import DEFAULT, Profile
from workers.results.validate import VALIDATORS, errors, run, validate_together

pytestmark = [
    pytest.mark.long,
    pytest.mark.data,
    pytest.mark.peer,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's, of what sources hold
]

#: Voxels above which a series is not small.
LARGE = 1_000_000
FEW = (DEFAULT, Profile("labelmap"), Profile("fractional", empty_frames=True))

#: What a lenient model takes: leaning, uneven and mixed series are read too, and results brought back to their slices.
LENIENT = InputRequirements(
    modalities=(), spacing_mm=(0.0, inf), extent_mm=(0.0, inf), tilt="resample", uneven_spacing="resample",
    missing_slices="resample", several_stacks="largest", scouts="leave_out",
)  # fmt: skip

#: Series that have to be among the suitable ones, by data set and first file: the rest of the test is empty without.
EXPECTED = {
    "dicom-ct-head-qa/01.dcm",  # gantry tilt
    "dicom-ct-head-qa/I10",
    "dicom-ct-lung-petct-dx/1-01.dcm",
    "dicom-mr-brain-btp/000000.dcm",
    "dicom-mr-brain-btp/1.dcm",
    "dicom-pydicom/2062",
}


@dataclass
class Found:
    """What is wrong, by question, each line with the series and object that it is about."""

    series: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    objects: int = 0
    in_every_profile: set[str] = field(default_factory=set)
    iod: list[str] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    together: list[str] = field(default_factory=list)
    checklist: list[str] = field(default_factory=list)
    voxels: list[str] = field(default_factory=list)
    segmentations: int = 0
    validated: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def found(
    real_data: Callable[[str], Path], peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Found:
    """Judge every suitable series."""
    real_data("dicom-mr-brain-btp")
    for program in ("dciodvfy", "dcentvfy", "java"):
        peer(program)
    result = Found()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        models = _models()
        for name, paths, loaded in _suitable():
            result.series.append(name)
            for title, inp in _inputs(loaded, paths, models):
                folder = tmp_path_factory.mktemp("series")
                _judge(result, f"{name} {title}", inp, paths, folder, pool)
                for path in folder.iterdir():
                    path.unlink()
    return result


def _suitable() -> Iterator[tuple[str, list[Path], LoadedSeries]]:
    """Give all series below the data root that can be read as a volume, each instance once."""
    for (folder, _), instances in _series().items():
        paths = list(instances.values())
        try:
            yield f"{folder}/{paths[0].name}", paths, read_series(paths, LENIENT)
        except SeriesRefused:
            continue


def _series() -> Mapping[tuple[str, str], dict[str, Path]]:
    series: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
    for folder in sorted(data_root().glob("dicom-*")):
        for path in sorted(item for item in folder.rglob("*") if item.is_file()):
            try:
                with quiet():
                    ds = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "SOPInstanceUID"])
            except InvalidDicomError:
                continue
            if ds.get("SeriesInstanceUID") and ds.get("SOPInstanceUID"):
                series[folder.name, str(ds.SeriesInstanceUID)].setdefault(str(ds.SOPInstanceUID), path)
    return series


def _models() -> dict[str, Model]:
    """Load the shipped models that take volumes."""
    kinds = {name: catalog.card(name).requirements.kind for name in catalog.names()}
    return {name: catalog.load(name, "cpu") for name, kind in kinds.items() if kind is InputKind.VOLUME}


def _inputs(loaded: LoadedSeries, paths: list[Path], models: Mapping[str, Model]) -> Iterator[tuple[str, ResultInput]]:
    """Give the input of builders with findings made to fit, and with those of each shipped model that takes it."""
    yield "made to fit", full_input(loaded, paths)
    for name, model in models.items():
        try:
            model.check(loaded.volume)
        except InputDeclined:
            continue
        if loaded.way is None:
            yield name, replace(full_input(loaded, paths, model.predict(loaded.volume)), card=model.card)


def _judge(
    result: Found, name: str, inp: ResultInput, paths: Sequence[Path], folder: Path, pool: ThreadPoolExecutor
) -> None:
    labels = inp.prediction.labels
    assert labels is not None
    modality = str(inp.image.Modality)
    every = labels.size <= LARGE and modality not in result.in_every_profile
    result.in_every_profile |= {modality} if every else set()
    written = [(item, item.write(folder)) for item in objects(inp, PROFILES if every else FEW)]
    said = pool.map(lambda pair: errors(run(VALIDATORS[0], pair[1])), written)  # while this thread looks for itself
    together = pool.submit(partial(validate_together, [*paths, *(path for _, path in written)]))
    result.objects += len(written)
    result.kinds |= {item.kind for item, _ in written}
    for item, path in written:
        result.checklist += [f"{name} {item.name}: {one.rule.id} {one.text}" for one in check(item.dataset())]
        if item.kind == "seg":
            result.segmentations += 1
            result.voxels += [f"{name} {item.name}: {text}" for text in _wrong_voxels(segread(path), item, inp)]
    if modality not in result.validated:  # five seconds a report: one series of each modality will do
        result.validated.add(modality)
        reports = [path for item, path in written if item.kind in ("sr", "kos") and item.profile == DEFAULT]
        for issues in pool.map(lambda path: errors(run(VALIDATORS[1], path)), reports):
            result.templates += [f"{name}: {issue.text}" for issue in issues]
    for (item, _), issues in zip(written, said, strict=True):
        result.iod += [f"{name} {item.name}: {issue.text}" for issue in issues]
    result.together += [f"{name}: {issue.text}" for issue in errors(together.result())]


def _wrong_voxels(seg: Segmentation, item: Object, inp: ResultInput) -> Iterator[str]:
    """Read the masks back by source image, and where the frames themselves say that they lie."""
    assert inp.prediction.labels is not None
    sources = [str(ds.SOPInstanceUID) for ds in inp.sources]
    numbers = segment_numbers(inp.prediction)
    labels = [label for label, number in numbers.items() if not item.profile.split_segments or number == item.number]
    with quiet():
        read = seg.get_pixels_by_source_instance(
            sources, assert_missing_frames_are_empty=True, ignore_spatial_locations=True, rescale_fractional=True
        )
    for index, label in enumerate(labels):
        wanted = _probability(inp, label) if item.profile.segmentation == "fractional" else None
        if wanted is None:
            equal = np.array_equal(read[..., index] > 0, inp.prediction.labels == label)
        else:
            equal = np.allclose(read[..., index], wanted, atol=0.5 / 255 + 1e-6)
        if not equal:
            yield f"label {label} has other voxels"
    positions = {str(ds.SOPInstanceUID): ds.ImagePositionPatient for ds in inp.sources}
    for number, group in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        source = str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        place = group.PlanePositionSequence[0].ImagePositionPatient
        if not np.allclose(np.array(place, float), np.array(positions[source], float), atol=1e-4):
            yield f"frame {number} does not lie where its image lies"


def _probability(inp: ResultInput, label: int) -> npt.NDArray[np.float32]:
    found = [item.array for item in inp.prediction.maps if item.segment == label]
    return found[0] if found else np.equal(np.asarray(inp.prediction.labels), label).astype(np.float32)


def test_the_suitable_series_are_those_that_are_known(found: Found) -> None:
    assert set(found.series) >= EXPECTED
    assert found.kinds == set(BUILDERS)


def test_dciodvfy_finds_no_error_in_any_object(found: Found) -> None:
    assert found.iod == []


def test_dcentvfy_finds_images_and_results_consistent(found: Found) -> None:
    assert found.together == []


def test_the_sr_validator_finds_no_error_that_is_not_its_age(found: Found) -> None:
    assert found.templates == []
    assert found.validated == {"CT", "MR"}


def test_no_object_breaks_the_checklist(found: Found) -> None:
    assert found.checklist == []


def test_every_mask_is_read_back_voxel_by_voxel_where_it_lies(found: Found) -> None:
    assert found.voxels == []
    assert found.segmentations > len(found.series) * len(FEW)
