"""What the model states: findings with sizes, places and drawings, which the scores of lung nodules can read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import cards, catalog, geometry
from models.contracts import (
    Code,
    Finding,
    Geometry,
    InputDeclined,
    ModelCard,
    Prediction,
    RegionKind,
    Side,
    Volume,
    WeightsError,
)
from models.fusion.scores.brock import brock
from models.fusion.scores.fleischner import fleischner
from models.fusion.scores.lung_rads import lung_rads
from models.fusion.scores.nodules import Density, nodules
from models.imaging.lung.findings import Place, Settings, interval, settings_of
from models.imaging.lung.nodules import LungNoduleModel
from models.imaging.lung.terms import REQUIREMENTS, SEGMENTS
from models.outputs import check_output
from models.training.lung_nodule.card import make_card
from tests.models.fusion.score_cases import chest as case_of
from tests.models.imaging.lung.conftest import GROUND_GLASS, PART_SOLID, SOLID, Chest

pytestmark = pytest.mark.long

METRICS = {
    "calibration": {"slope": 1.0, "intercept": 0.0},
    "operating_threshold": 0.5,
    "interval_factor": {"long_axis": 1.0, "volume": 1.0},
}


class Round(torch.nn.Module):
    """In place of the network: sure of the candidates that lung surrounds, sure that others are none."""

    def __init__(self, *, sure: bool = True) -> None:
        super().__init__()
        self.sure = sure

    def forward(self, cubes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        # Near cubes of the lesions are bright in the middle and dark at all six faces, which most vessels leave by.
        near = cubes[:, 0]
        middle = near[:, 9:15, 9:15, 9:15].mean((1, 2, 3))
        faces = [near.narrow(axis, at, 3).mean((1, 2, 3)) for axis in (1, 2, 3) for at in (0, near.shape[axis] - 3)]
        found = (middle > 0.28) & (numbers[:, 0] > -0.1) & (torch.stack(faces).amax(0) < 0.15)
        return torch.where(found & self.sure, 3.0, -4.0)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return make_card({"train": 1, "validation": 1, "held_out": 1}, METRICS)


@pytest.fixture(scope="module")
def prediction(chest: Chest, card: ModelCard) -> Prediction:
    return LungNoduleModel(Round(), card, torch.device("cpu")).predict(chest.volume)


def nearest(prediction: Prediction, centre: tuple[float, float, float]) -> Finding:
    def away(finding: Finding) -> float:
        points = np.array([point for region in finding.regions for point in region.points])
        return float(np.linalg.norm(points.mean(0) - centre))

    found = min(prediction.findings, key=away)
    assert away(found) < 6
    return found


def measured(finding: Finding, name: str) -> float:
    return next(m.value for m in finding.measurements if m.name.meaning == name)


def test_every_lesion_is_a_finding_with_its_size(prediction: Prediction, chest: Chest) -> None:
    for truth in chest.truth.nodules:
        found = nearest(prediction, truth.lesion.centre)
        assert measured(found, "Long axis") == pytest.approx(truth.long_mm, abs=3.0)
        assert measured(found, "Volume") == pytest.approx(truth.volume_ml, rel=0.35)


def test_the_output_can_be_reported(prediction: Prediction) -> None:
    check_output(prediction)
    assert 0 <= prediction.scores["probability"] <= 1
    assert 0 <= prediction.scores["out_of_scope"] < 0.25
    assert prediction.maps[0].array.max() <= 1


def test_each_drawn_nodule_is_a_segment_of_its_own(prediction: Prediction, chest: Chest) -> None:
    assert prediction.labels is not None
    assert prediction.labels.shape == chest.volume.array.shape
    for number, truth in enumerate(chest.truth.nodules, start=1):
        found = nearest(prediction, truth.lesion.centre)
        drawn, true = prediction.labels == found.segment, chest.truth.labels == number
        assert 2 * (drawn & true).sum() / (drawn.sum() + true.sum()) > 0.7
    assert [spec.label for spec in prediction.segments] == list(range(1, len(prediction.segments) + 1))
    assert len({spec.rgb for spec in SEGMENTS}) == len(SEGMENTS)


def test_the_axes_are_lines_in_the_patient(prediction: Prediction) -> None:
    found = nearest(prediction, SOLID.centre)
    assert [region.kind for region in found.regions] == [RegionKind.POLYLINE] * 2
    long, short = (float(np.linalg.norm(np.subtract(region.points[0], region.points[1]))) for region in found.regions)
    assert long == pytest.approx(measured(found, "Long axis"), abs=0.1)
    assert short == pytest.approx(measured(found, "Short axis"), abs=0.1)


def test_sides_and_names_tell_nodules_apart(prediction: Prediction) -> None:
    assert nearest(prediction, SOLID.centre).side is Side.RIGHT
    assert nearest(prediction, GROUND_GLASS.centre).side is Side.LEFT
    names = [(finding.side, finding.lesion) for finding in prediction.findings]
    assert len(set(names)) == len(names)


def test_the_scores_read_size_and_type(prediction: Prediction) -> None:
    types = {SOLID: Density.SOLID, GROUND_GLASS: Density.NON_SOLID, PART_SOLID: Density.PART_SOLID}
    for lesion, density in types.items():
        found = nearest(prediction, lesion.centre)
        (nodule,) = nodules(case_of(found))
        assert nodule.density.value is density
        assert nodule.longest_mm == pytest.approx(measured(found, "Long axis"))
        assert nodule.volume_mm3 == pytest.approx(1000 * measured(found, "Volume"))
        assert (nodule.solid_mm is not None) == (density is Density.PART_SOLID)


def test_nothing_is_said_that_was_not_measured(prediction: Prediction) -> None:
    for finding in prediction.findings:
        (nodule,) = nodules(case_of(finding))
        assert nodule.upper_lobe.value is None
        assert nodule.spiculated.value is None
        assert not any((nodule.juxtapleural, nodule.benign, nodule.new))


def test_brock_fleischner_and_lung_rads_are_computed(prediction: Prediction) -> None:
    found = nearest(prediction, SOLID.centre)
    assert brock(case_of(found))
    (advice,) = fleischner(case_of(found))
    assert "single solid" in advice.category
    (graded,) = lung_rads(case_of(found, reason="Low-dose CT screening of the lungs"))
    assert graded.category or graded.missing


def test_an_image_without_nodules_says_so(chest: Chest, card: ModelCard) -> None:
    model = LungNoduleModel(Round(sure=False), card, torch.device("cpu"))
    (found,) = model.predict(chest.volume).findings
    assert not found.present
    assert found.text == "No lung nodule of 4 to 30 mm was found; larger masses are not looked for."
    assert found.confidence is not None
    assert found.confidence > 0.9


def test_the_same_is_found_however_the_slices_are_stored(chest: Chest, card: ModelCard, prediction: Prediction) -> None:
    turn = geometry.Orientation((0, 2, 1), (True, False, True))
    array = np.ascontiguousarray(geometry.to_canonical(chest.volume.array, turn))
    a, b, c = array.shape
    affine = geometry.canonical_affine(chest.volume.geometry.affine, chest.volume.geometry.shape, turn)
    other = Volume(array, Geometry(affine, (a, b, c)), "CT")
    again = LungNoduleModel(Round(), card, torch.device("cpu")).predict(other)
    assert len(again.findings) == len(prediction.findings)
    for first, second in zip(prediction.findings, again.findings, strict=True):
        assert first.text == second.text
    assert again.labels is not None
    assert prediction.labels is not None
    assert np.array_equal(geometry.from_canonical(again.labels, turn), prediction.labels)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"modality": "MR"}, "modality is MR"),
        ({"attributes": {"BodyPartExamined": "HEAD"}}, "body part is HEAD"),
        ({"array": np.zeros((108, 170, 170), np.float32)}, "same value everywhere"),
    ],
)
def test_other_images_are_declined(chest: Chest, card: ModelCard, changed: dict[str, Any], reason: str) -> None:
    model = LungNoduleModel(Round(), card, torch.device("cpu"))
    with pytest.raises(InputDeclined, match=reason):
        model.check(replace(chest.volume, **changed))


def test_thick_slices_are_read_up_to_five_millimetres() -> None:
    assert REQUIREMENTS.spacing_mm[1] == 5.0
    assert "CHEST" in REQUIREMENTS.body_parts


def test_a_card_without_its_numbers_is_an_error() -> None:
    with pytest.raises(WeightsError, match="operating_threshold"):
        settings_of({"calibration": {"slope": 1.0}})


def test_a_probability_is_the_calibrated_logit() -> None:
    settings = Settings(2.0, -1.0, 0.5, 1.0, 1.0)
    assert settings.probability(0.5) == pytest.approx(0.5)
    assert settings.probability(1e9) == pytest.approx(1.0)
    assert settings.probability(-1e9) == pytest.approx(0.0, abs=1e-20)


def test_an_interval_holds_its_value_and_is_not_negative() -> None:
    lower, upper = interval((5.0, 4.0, 7.0), 3.0)
    assert (lower, upper) == (0.0, 11.0)
    lower, upper = interval((5.0, 5.0, 5.0), 1.0)
    assert lower < 5.0 < upper


def test_a_place_is_named_by_tenths_of_the_lung() -> None:
    assert Place(Side.LEFT, 0.05, 0.99, 1.0).name == "h0-d9-w9"
    assert Place(Side.LEFT, 0.05, 0.99, 1.0).third == "lower"
    assert Place(Side.RIGHT, 0.7, 0.5, 0.5).third == "upper"


@pytest.mark.skipif(not (cards.SHIPPED / "lung-nodule" / cards.CARD_FILE).is_file(), reason="no weights are shipped")
def test_the_shipped_model_finds_lesions_of_a_generated_scan(chest: Chest) -> None:
    found = catalog.load("lung-nodule", "cpu").predict(chest.volume)
    for lesion in (SOLID, PART_SOLID):
        assert nearest(found, lesion.centre).present
    assert len(found.findings) <= 8
    assert all(math.isfinite(finding.confidence or 0) for finding in found.findings)


@pytest.mark.data
@pytest.mark.skipif(not (cards.SHIPPED / "lung-nodule" / cards.CARD_FILE).is_file(), reason="no weights are shipped")
def test_the_shipped_model_declines_a_head(real_data: Callable[[str], Path]) -> None:
    from workers.reading.volume.load import read_series

    files = sorted(path for path in (real_data("dicom-ct-head-qa") / "GE").rglob("*") if path.is_file())
    model = catalog.load("lung-nodule", "cpu")
    needs = replace(model.card.requirements, spacing_mm=(0.25, 10.0))  # the loader refuses its steps of 7 mm
    volume = read_series(files, needs).volume
    with pytest.raises(InputDeclined):
        model.predict(volume)


def test_codes_are_those_that_the_scores_know() -> None:
    assert {spec.type for spec in SEGMENTS} == {Code("27925004", "SCT", "Nodule")}
