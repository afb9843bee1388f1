"""Every object that the builders make of one prediction: each kind, in each profile where it has some."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import Code, Finding, Measurement, Prediction, Region, RegionKind, ScalarMap, SegmentSpec
from tests.workers.results.assessments import FULL
from tests.workers.results.test_sr import FACTS
from tests.workers.synthetic import HIPPOCAMPUS, MILLILITRE, SEGMENTS, VOLUME, result_input
from workers.reading.volume.load import LoadedSeries
from workers.reporting.keypixels import read_key_slices
from workers.results import BUILDERS, PROFILED, build_all
from workers.results.common import OrderContext, ResultInput
from workers.results.keys import key_slices
from workers.results.profile import DEFAULT, Profile, Segmentation

PROBABILITY = Code("130402", "DCM", "Class activation")
UNITY = Code("1", "UCUM", "no units")
SEGMENTATIONS: tuple[Segmentation, ...] = ("binary", "fractional", "labelmap")

#: Every profile there is.
PROFILES = tuple(Profile(*chosen) for chosen in itertools.product(SEGMENTATIONS, (False, True), (False, True)))


@dataclass(frozen=True, eq=False)
class Object:
    """One object that was built, written and read back."""

    kind: str
    profile: Profile
    number: int
    data: bytes

    @property
    def name(self) -> str:
        """Name of its file, and of its line in a failing test."""
        return f"{self.kind}-{self.profile.key or 'default'}-{self.number}"

    def dataset(self) -> Dataset:
        """Read it back."""
        return dcmread(BytesIO(self.data))

    def write(self, folder: Path) -> Path:
        """Write it to a file."""
        path = folder / f"{self.name}.dcm"
        path.write_bytes(self.data)
        return path


def objects(inp: ResultInput, profiles: tuple[Profile, ...] = PROFILES) -> Iterator[Object]:
    """Build every kind; those that come in profiles in each of ``profiles``, the others once."""
    for profile in dict.fromkeys([DEFAULT, *profiles]):
        kinds = [kind for kind in BUILDERS if profile == DEFAULT or kind in PROFILED]
        for kind, built in build_all(inp, profile, kinds).items():
            for number, ds in enumerate(built, 1):
                buffer = BytesIO()
                ds.save_as(buffer, enforce_file_format=True)
                yield Object(kind, profile, number, buffer.getvalue())


def full_input(loaded: LoadedSeries, paths: list[Path], prediction: Prediction | None = None) -> ResultInput:
    """Input with all that a result can hold: findings of every sort, maps, regions, notes, order, key slices."""
    inp = result_input(
        loaded.sources,
        loaded.volume.array.shape,
        prediction=prediction or loaded.bring_back(made_to_fit(loaded)),
        note_facts=FACTS,
        order=OrderContext("ACC-1", "P-1", "F-1", None, "MR head", "memory loss"),
        assessment=FULL,
        institution="Klinik",
    )
    files = {str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): path for path in paths}
    return replace(inp, key_slices=tuple(read_key_slices(files, inp.sources, key_slices(inp))))


def made_to_fit(loaded: LoadedSeries) -> Prediction:
    """Two bodies without symmetry in the middle of a series: measured, outlined, with a map of probability each."""
    shape, affine = loaded.volume.array.shape, loaded.volume.geometry.affine
    labels = two_bodies(shape)
    findings = tuple(_finding(labels, spec, affine) for spec in SEGMENTS if (labels == spec.label).any())
    total = Finding("hippocampus", HIPPOCAMPUS, (Measurement(VOLUME, 2.75, MILLILITRE),), None, None, 0.9)
    said = Finding("atrophy", Code("13331008", "SCT", "Atrophy"), text="Perhaps smaller than usual.", confidence=0.4)
    segments = tuple(spec for spec in SEGMENTS if (labels == spec.label).any())
    maps = tuple(
        ScalarMap(f"p{spec.label}", spec.name, PROBABILITY, UNITY, _probability(labels, spec), spec.label)
        for spec in segments
    )
    return Prediction((*findings, total, said), labels, segments, ("Made to fit, not inferred.",), maps)


def two_bodies(shape: tuple[int, ...]) -> np.ndarray:
    """Labels: a ball and an L-shaped block, each at least a voxel, in no mirror image of the other."""
    slices, rows, columns = shape
    labels = np.zeros(shape, dtype=np.uint8)
    k, r, c = np.ogrid[:slices, :rows, :columns]
    radius = max(1.0, min(rows, columns) / 8)
    depth = max(1.0, slices / 5)
    middle = ((k - slices // 2) / depth) ** 2 + ((r - rows // 3) / radius) ** 2 + ((c - columns // 3) / radius) ** 2
    labels[middle < 1] = 1
    block = labels[slices // 2 :, rows // 2 : rows // 2 + rows // 5 + 1, columns // 2 : columns // 2 + columns // 4 + 1]
    block[:1] = 2
    block[:, :1] = 2
    return labels


def _probability(labels: np.ndarray, spec: SegmentSpec) -> np.ndarray:
    return np.where(labels == spec.label, np.float32(0.75), np.float32(0.125)).astype(np.float32)


def _finding(labels: np.ndarray, spec: SegmentSpec, affine: np.ndarray) -> Finding:
    where = np.argwhere(labels == spec.label)
    ends = [affine @ [*map(float, index), 1.0] for index in (where[0], where[-1])]
    points = tuple((float(p[0]), float(p[1]), float(p[2])) for p in ends)
    regions: tuple[Region, ...] = (Region(RegionKind.POINT, points[:1]),)
    if points[0] != points[1]:
        regions += (Region(RegionKind.POLYLINE, points),)
    volume = Measurement(VOLUME, 1.5 * spec.label, MILLILITRE, 1.4 * spec.label, 1.7 * spec.label, 0.9, "count")
    return Finding(f"part-{spec.label}", HIPPOCAMPUS, (volume,), None, spec.label, 0.75, f"Part {spec.label}.", regions)
