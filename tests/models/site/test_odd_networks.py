"""Networks that give something else than their cards say: refused, not reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.contracts import ModelError
from tests.models.site.makers import (
    Mean,
    Threshold,
    classification_card,
    imported,
    script,
    segmentation_card,
)

SEGMENTATION = segmentation_card("torchscript")
CLASSIFICATION = classification_card("torchscript")
DETECTION = SEGMENTATION.replace('task = "segmentation"', 'task = "detection"')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


class Odd(torch.nn.Module):
    """What networks give by mistake."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """One of them."""
        if self.kind == "no number":
            return torch.cat([image, image], 1) * float("nan")
        if self.kind == "half":
            return torch.cat([image, image], 1)[:, :, ::2]
        if self.kind == "flat":
            return torch.zeros([1])
        if self.kind == "sparse":
            return torch.zeros([1, 2, 3, 4]).to_sparse()
        if self.kind == "complex":
            return torch.complex(torch.cat([image, image], 1), torch.cat([image, image], 1))
        if self.kind == "raises":
            raise ValueError("Doe^Jane")
        return torch.zeros([0])


KINDS = ("no number", "half", "flat", "sparse", "complex", "raises", "none")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", [SEGMENTATION, CLASSIFICATION, DETECTION], ids=["draws", "classifies", "detects"])
def test_an_answer_that_is_not_what_the_card_says_is_refused(tmp_path: Path, root: Path, card: str, kind: str) -> None:
    with pytest.raises(ModelError) as refused:
        imported(script(tmp_path / "m", Odd(kind), card), root)
    assert "Doe" not in str(refused.value)


def test_a_drawing_is_no_classification(tmp_path: Path, root: Path) -> None:
    """Its first numbers, one corner of the image, would have been reported as probabilities."""
    with pytest.raises(ModelError, match="task"):
        imported(script(tmp_path / "m", Threshold(), CLASSIFICATION), root)


def test_a_classification_is_no_drawing(tmp_path: Path, root: Path) -> None:
    card = CLASSIFICATION.replace('task = "classification"', 'task = "segmentation"')
    with pytest.raises(ModelError, match="drew on"):
        imported(script(tmp_path / "m", Mean(), card), root)


def test_logits_without_an_activation_are_not_taken_for_probabilities(tmp_path: Path, root: Path) -> None:
    card = SEGMENTATION.replace('activation = "softmax"', 'activation = "none"')
    with pytest.raises(ModelError, match="activation"):
        imported(script(tmp_path / "m", Threshold(), card), root)


class Found(torch.nn.Module):
    """Always the same boxes."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        super().__init__()
        self.boxes = torch.nn.Parameter(torch.tensor(boxes), requires_grad=False)
        self.scores = torch.nn.Parameter(torch.tensor(scores), requires_grad=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes, classes, scores."""
        return self.boxes, torch.zeros_like(self.scores), self.scores


@pytest.mark.parametrize(
    ("boxes", "scores", "said"),
    [
        ([[1.0, 2, 3, 4]] * 3, [0.9] * 3, "6"),
        ([[1.0, 2, 3, 4, 5]], [0.9], "6"),
        ([[1.0, 2, 3, 4, 5, 6]], [3.5], "probabilities"),
        ([[1.0, 2, 3, 4, 5, 6]], [-3.5], "probabilities"),
        ([[-500.0, -500, -500, -490, -490, -490]], [0.9], "outside"),
        ([[1.0, 2, 3, 1, 5, 6]], [0.9], "extent"),
        ([[1.0, 2, 3, 4, float("nan"), 6]], [0.9], "none"),
    ],
)
def test_boxes_that_cannot_be_are_refused(
    tmp_path: Path, root: Path, boxes: list[list[float]], scores: list[float], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        imported(script(tmp_path / "m", Found(boxes, scores), DETECTION), root)


def test_a_box_that_can_be_is_reported(tmp_path: Path, root: Path) -> None:
    outcome = imported(script(tmp_path / "m", Found([[1.0, 2, 3, 5, 6, 5]], [0.9]), DETECTION), root).outcome

    assert outcome is not None
    assert outcome.findings == ("Spleen 1: 4 mm, probability 90 %.",)
