"""The page of held-out cases, of each kind of source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.cards import SHIPPED
from models.codes import NO_UNITS, PROBABILITY
from models.contracts import (
    Channel,
    Code,
    Contribution,
    Finding,
    InputDeclined,
    LabelArray,
    Model,
    ModelCard,
    Prediction,
    Radiograph,
    Record,
    ScalarMap,
    Source,
    Trace,
    Waveform,
)
from models.imaging.hippocampus_parts import SEGMENTS
from models.training.framework.arithmetic import bfloat16_pays
from models.training.framework.examples import COUNT, LOOKED_AT, Example, ask, choose, page, some
from tests.models.phantoms import blob

Shown = tuple[Source, Prediction, LabelArray | None]
CODE = Code("1", "99TEST", "a value")


class Brightness:
    """A model that takes bright pictures for ill ones and declines black ones."""

    card: ModelCard

    def check(self, source: Source) -> None:
        assert isinstance(source, Radiograph)
        if source.array.max() == 0:
            raise InputDeclined("nothing to see")

    def predict(self, source: Source) -> Prediction:
        self.check(source)
        assert isinstance(source, Radiograph)
        mean = float(source.array.mean())
        finding = Finding("ill", CODE, confidence=mean, present=mean >= 0.5)
        return Prediction((finding,), scores={"probability": mean})


def picture(value: float) -> Radiograph:
    return Radiograph(np.full((8, 8), value, dtype=np.float32), "CR")


def answered(case: str, truth: str, *, right: bool, probability: float) -> Example:
    return Example(case, truth, "", right, picture(0.5), Prediction(()), probability=probability)


def test_a_model_is_asked_and_what_it_declines_is_left_out() -> None:
    model: Model = Brightness()
    items = [("a", picture(0.9), True), ("b", picture(0.8), False), ("c", picture(0.0), True)]

    found = ask(model, items, ("well", "ill"))

    assert [(one.case, one.truth, one.said, one.right) for one in found] == [
        ("a", "ill", "ill, p = 0.90", True),
        ("b", "well", "ill, p = 0.80", False),
    ]
    assert [one.title for one in found] == ["a: right\nill; said: ill, p = 0.90", "b: WRONG\nwell; said: ill, p = 0.80"]


def test_wrong_cases_come_first_the_surest_before_others_and_every_truth_has_its_turn() -> None:
    wrong = [answered(f"w{n}", "well", right=False, probability=0.5 + n / 100) for n in range(10)]
    right = [answered(f"r{n}", ("well", "ill")[n > 7], right=True, probability=n / 100) for n in range(10)]

    chosen = choose([*right, *wrong])

    assert [one.case for one in chosen[: COUNT // 2]] == ["w9", "w8", "w7", "w6"]
    assert [one.case for one in chosen[COUNT // 2 :]] == ["r0", "r8", "r1", "r9"]
    assert len(choose(right)) == COUNT
    assert len(choose(wrong)) == COUNT // 2


def test_of_many_cases_some_over_all_of_them_are_looked_at() -> None:
    assert list(some([1, 2, 3])) == [1, 2, 3]
    assert list(some([])) == []
    chosen = some(range(1000))
    assert LOOKED_AT / 2 < len(chosen) <= LOOKED_AT
    assert chosen[-1] > 900


def radiograph() -> Shown:
    heat = ScalarMap("heat", "heat", PROBABILITY, NO_UNITS, np.random.default_rng(0).random((1, 8, 8), np.float32))
    return picture(0.5), Prediction((), maps=(heat,)), None


def waveform() -> Shown:
    samples = np.random.default_rng(0).normal(size=(4, 1000)).astype(np.float32)
    trace = Trace("importance", "importance", None, 0.25, 0.5, np.linspace(0, 1, 20, dtype=np.float32))
    channels = tuple(Channel(name) for name in "abcd")
    return Waveform(samples, 100.0, channels, "ECG"), Prediction((), traces=(trace,)), None


def record() -> Shown:
    moved = tuple(Contribution(CODE, weight, text=f"value {weight}: moves") for weight in (0.5, -0.25))
    return Record(age_years=70), Prediction((), contributions=moved), None


def volume(*, drawn: bool) -> Shown:
    source = blob((24, 30, 24))
    labels = np.zeros(source.array.shape, dtype=np.uint8)
    if drawn:
        labels[8:16, 8:15, 8:16] = 1
    return source, Prediction((), labels, SEGMENTS), labels.copy() if drawn else None


@pytest.mark.parametrize("kind", ["radiograph", "waveform", "record", "drawn", "empty"])
def test_a_page_is_drawn_of_every_kind_of_source(tmp_path: Path, kind: str) -> None:
    made: dict[str, Callable[[], Shown]] = {
        "radiograph": radiograph,
        "waveform": waveform,
        "record": record,
        "drawn": lambda: volume(drawn=True),
        "empty": lambda: volume(drawn=False),
    }
    source, prediction, reference = made[kind]()
    one = Example("case", "well", "ill", False, source, prediction, reference)

    page(tmp_path / "page.png", [one] * 5)

    with Image.open(tmp_path / "page.png") as drawn:
        assert drawn.width > 400
        assert np.asarray(drawn.convert("L")).std() > 5


def test_of_no_examples_there_is_no_page(tmp_path: Path) -> None:
    page(tmp_path / "page.png", [])

    assert not list(tmp_path.iterdir())


def test_no_page_of_peoples_images_ships() -> None:
    assert not list(SHIPPED.rglob("examples*.png"))


def test_bfloat16_pays_where_the_device_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for capabilities, pays in (({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert bfloat16_pays(cpu) is pays
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not bfloat16_pays(cpu)
