from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import cards
from models.labs.networks import Member, RiskShape, since_last
from models.labs.window import Window
from models.training import labs_risk
from models.training.framework.data import DataError
from models.training.labs_risk.data import parse_stay, read_stays, split_stays
from models.training.labs_risk.evaluation import laboratory_only, thinned
from models.training.labs_risk.stays import StaySet, standardise
from tests.models.labs.generated import stay

Trained = tuple[Path, Path, dict[str, Any]]


def test_a_training_leaves_weights_card_report_division_and_plots(trained: Trained) -> None:
    _, out, report = trained

    assert {path.name for path in out.iterdir()} >= {
        "model.safetensors",
        "card.json",
        "report.json",
        "split.json",
        "LICENSE.txt",
        "roc.png",
        "calibration.png",
        "confusion.png",
        "curves.png",
    }
    card = cards.read_card(out)
    assert card.weights_sha256 == report["weights_sha256"]
    assert card.requirements.record is not None
    assert card.requirements.record.hours == (-48.0, 0.0)
    assert report["held_out"]["auc"]["value"] > 0.9
    assert report["baselines"].keys() == {"logistic_regression", "gradient_boosting"}
    json.dumps(report, allow_nan=False)


def test_an_evaluation_gives_the_figures_of_the_training(trained: Trained) -> None:
    data, out, report = trained

    again = labs_risk.evaluate(data, weights=out)

    assert again["held_out"] == report["held_out"]
    assert again["weights_sha256"] == report["weights_sha256"]


def test_a_fifth_is_held_out_with_its_share_of_deaths(trained: Trained) -> None:
    stays = read_stays(trained[0])

    split = split_stays(stays)

    assert len(split.held_out) == 16
    assert sum(stays[case].died for case in split.held_out) == 4
    assert not set(split.held_out) & set(split.train)


def test_a_stay_is_read_as_a_record_that_ends_after_two_days() -> None:
    record = parse_stay("Time,Parameter,Value\n00:00,Age,54\n00:00,Gender,0\n47:30,HR,80\n00:15,Weight,-1\nodd line\n")

    assert record.age_years == 54
    assert record.sex == "F"
    assert [(item.code, item.value, item.hours) for item in record.values] == [("8867-4", 80, -0.5)]


def test_what_a_stay_does_not_know_is_unknown() -> None:
    record = parse_stay("00:00,Age,-1\n00:00,Gender,-1\n")

    assert record.age_years is None
    assert record.sex == ""


def test_a_folder_without_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stays\.tar\.gz and no outcomes\.csv"):
        read_stays(tmp_path)


def test_hours_since_the_last_value_start_at_it_and_are_a_share_of_the_window() -> None:
    mask = torch.zeros(1, 24, 2)
    mask[0, 3, 0] = 1

    age = since_last(mask)[0]

    assert age[:3, 0].tolist() == [1, 1, 1]
    assert age[3:6, 0].tolist() == pytest.approx([0, 2 / 48, 4 / 48])
    assert (age[:, 1] == 1).all()


def test_hidden_values_are_sought_and_not_shown(trained: Trained) -> None:
    stays = StaySet(list(read_stays(trained[0]).values())[:8])

    item = stays.item(2, torch.Generator().manual_seed(0))

    full = stays.tensors["mask"][2]
    assert torch.equal(item["mask"] + item["sought"], full)
    assert 0 < float(item["sought"].sum()) < float(full.sum())
    assert not (item["mean"] * item["sought"]).any()
    again = stays.item(2, torch.Generator().manual_seed(0))
    assert torch.equal(item["mask"], again["mask"])


def test_standardised_values_have_no_centre(trained: Trained) -> None:
    stays = StaySet(list(read_stays(trained[0]).values()))
    member = Member(RiskShape(8, 8, 1))

    standardise(member, stays)
    values = member.encoder.standardised(stays.tensors["mean"], stays.tensors["mask"])

    known = values[stays.tensors["mask"] > 0]
    assert float(known.median()) == pytest.approx(0, abs=0.2)
    assert float(known.std()) == pytest.approx(1, abs=0.2)


def test_a_record_of_a_ward_has_the_last_values_and_those_of_the_laboratory() -> None:
    rows = [(number % 3, hour) for hour in range(30) for number in (0, 20)]
    window = Window(
        variable=np.array([row[0] for row in rows]),
        hour=np.array([float(row[1]) for row in rows]),
        value=np.ones(len(rows)),
        age_years=60.0,
        female=0.0,
    )

    few = thinned(window, 4)

    assert np.bincount(few.variable).max() == 4
    assert few.hour.min() == 26
    assert laboratory_only(window).value.size == 0


def test_generated_stays_are_read_whole(trained: Trained) -> None:
    stays = read_stays(trained[0])

    assert len(stays) == 80
    assert stays["0"].died
    assert stays["3"].window.value.size == len(stay(3, died=False).splitlines()) - 7
