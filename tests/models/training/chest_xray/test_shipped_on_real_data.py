"""The shipped weights on the real data: the card's figures come out again, and other pictures are declined."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from models import catalog
from models.contracts import FloatArray, InputDeclined, Radiograph, Record
from models.training.chest_xray_pneumonia import scoping
from models.training.chest_xray_pneumonia import trainer as pneumonia_trainer
from models.training.chest_xray_pneumonia.data import Parts, read_parts
from models.training.chest_xray_severity import trainer as severity_trainer
from models.training.chest_xray_severity.data import divided, read_cases, read_picture
from models.training.registry import evaluate

pytestmark = pytest.mark.data

PNEUMONIA, SEVERITY = "chest-xray-pneumonia", "chest-xray-severity"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """The figures are looked at here, not their intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pneumonia_trainer, "DRAWN", 2)
        patch.setattr(severity_trainer, "DRAWN", 2)
        patch.setattr(scoping, "TRIED", 10)
        yield


@pytest.fixture(scope="module")
def parts(real_data: Callable[[str], Path]) -> Parts:
    return read_parts(real_data("cxr-pneumoniamnist"))


@pytest.fixture(scope="module")
def figures(real_data: Callable[[str], Path]) -> dict[str, Any]:
    return evaluate(PNEUMONIA, real_data("cxr-pneumoniamnist"), device="cpu")


def test_the_card_of_the_pneumonia_model_has_the_figures_that_come_out(figures: dict[str, Any]) -> None:
    card = catalog.card(PNEUMONIA)

    assert figures["weights_sha256"] == card.weights_sha256
    for name in ("auc", "ece", "accuracy", "recall", "specificity"):
        measured, stated = figures["held_out"][name]["value"], card.metrics["held_out"][name]["value"]
        assert measured == pytest.approx(stated, abs=0.005), name


def test_the_pneumonia_model_reaches_what_was_asked(figures: dict[str, Any]) -> None:
    assert figures["held_out"]["auc"]["value"] >= 0.97
    assert figures["held_out"]["ece"]["value"] < 0.05


def test_the_recorded_division_is_the_one_that_the_code_makes(
    parts: Parts, real_data: Callable[[str], Path]
) -> None:  # fmt: skip
    for name, split in (
        (PNEUMONIA, parts.split),
        (SEVERITY, divided(read_cases(real_data("cxr-covid-hannover")))),
    ):
        recorded = json.loads((catalog.weights_folder(name) / "split.json").read_text(encoding="utf-8"))
        assert split.as_dict() == recorded


def test_the_card_of_the_severity_model_has_the_figures_that_come_out(real_data: Callable[[str], Path]) -> None:
    found = evaluate(SEVERITY, real_data("cxr-covid-hannover"), device="cpu")
    stated = catalog.card(SEVERITY).metrics["held_out"]

    assert found["weights_sha256"] == catalog.card(SEVERITY).weights_sha256
    for name in ("image", "labs", "both"):
        assert found["held_out"]["auc"][name]["value"] == pytest.approx(stated["auc"][name]["value"], abs=0.05), name


def as_frontal(array: FloatArray) -> Radiograph:
    """What comes under the name of a child's frontal chest radiograph."""
    low, high = float(array.min()), float(array.max())
    return Radiograph((array - low) / (high - low), "CR", view="AP", record=Record(age_years=3))


@pytest.fixture(scope="module")
def declined() -> Callable[[FloatArray], bool]:
    """Give a function that says whether the pneumonia model declines a picture."""
    model = catalog.load(PNEUMONIA, "cpu")

    def asked(array: FloatArray) -> bool:
        try:
            model.check(as_frontal(array))
        except InputDeclined:
            return True
        return False

    return asked


def test_held_out_radiographs_are_answered_and_turned_or_inverted_ones_declined(
    parts: Parts, declined: Callable[[FloatArray], bool]
) -> None:
    some = parts.held_out.pixels[:60]

    assert np.mean([declined(picture) for picture in some]) < 0.1
    assert np.mean([declined(np.rot90(picture, 2).copy()) for picture in some]) > 0.8
    assert np.mean([declined(1 - picture) for picture in some]) > 0.8


def test_other_images_are_declined(real_data: Callable[[str], Path], declined: Callable[[FloatArray], bool]) -> None:
    """Heads, livers, hearts and text, sent as a chest radiograph."""
    files = [
        *(real_data("dicom-pydicom") / "test_files" / name for name in ("CT_small.dcm", "MR_small.dcm")),
        *(
            real_data("dicom-pydicom-data") / name
            for name in ("US1_UNCR.dcm", "liver.dcm", "emri_small.dcm", "OBXXXX1A.dcm")
        ),
    ]
    arrays = []
    for path in files:
        if path.is_file():
            array = np.asarray(pydicom.dcmread(path).pixel_array, dtype=np.float32)
            arrays.append(array if array.ndim == 2 else array.mean(-1) if array.shape[-1] == 3 else array[0])

    assert len(arrays) >= 5
    assert np.mean([declined(array) for array in arrays]) >= 0.8


def test_the_severity_model_answers_for_a_held_out_patient_with_labs(real_data: Callable[[str], Path]) -> None:
    folder = real_data("cxr-covid-hannover")
    cases = read_cases(folder)
    names = set(divided(cases).held_out)
    model = catalog.load(SEVERITY, "cpu")

    answered = 0
    for case in (case for case in cases if case.picture in names):
        source = Radiograph(read_picture(folder / "png" / f"{case.picture}.png"), "CR", view=case.view)
        try:
            [finding] = model.predict(source).findings
        except InputDeclined:
            continue
        answered += 1
        assert 0 < float(finding.confidence or 0) < 1
    assert answered >= 0.6 * len(names)
