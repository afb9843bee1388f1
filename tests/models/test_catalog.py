from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models import cards, catalog
from models.contracts import WeightsError
from models.training.registry import NotTrainable, train, trainable


def test_every_name_has_a_card_that_bears_it() -> None:
    for name in catalog.names():
        assert catalog.card(name).name == name


def test_an_unknown_model_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(catalog.UnknownModel, match="hippocampus"):
        catalog.card("nothing-of-the-kind")


def test_names_and_cards_are_read_without_torch() -> None:
    script = (
        "import sys; from models import catalog; [catalog.card(name) for name in catalog.names()]; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'monai', 'pydicom')))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_card_survives_its_file(tmp_path: Path) -> None:
    card = catalog.card("hippocampus")

    cards.write_card(card, tmp_path)

    assert cards.card_to_dict(cards.read_card(tmp_path)) == cards.card_to_dict(card)
    assert cards.read_card(tmp_path).outputs == card.outputs


def test_a_card_that_lacks_a_field_is_refused_with_its_name(tmp_path: Path) -> None:
    value = cards.card_to_dict(catalog.card("hippocampus"))
    del value["licence"]
    (tmp_path / cards.CARD_FILE).write_text(json.dumps(value), encoding="utf-8")

    with pytest.raises(WeightsError, match="licence"):
        cards.read_card(tmp_path)


@pytest.mark.parametrize("text", ["", "not json", "[]"])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / cards.CARD_FILE).write_text(text, encoding="utf-8")

    with pytest.raises(WeightsError):
        cards.read_card(tmp_path)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no model card"):
        cards.read_card(tmp_path)


def test_the_card_of_the_hippocampus_says_what_a_reader_must_know() -> None:
    card = catalog.card("hippocampus")

    assert "CC BY-SA 4.0" in card.licence
    assert "Not a medical device" in card.intended_use
    assert card.limits
    assert {"held_out", "validation", "interval_factor", "training"} <= card.metrics.keys()


def test_only_models_with_a_trainer_can_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hippocampus" in trainable()
    monkeypatch.setattr(catalog, "ENTRIES", {"given": catalog.Entry("models.given:load")})

    with pytest.raises(NotTrainable):
        train("given", tmp_path, tmp_path)
