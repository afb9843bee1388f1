from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.contracts import FloatArray, InputDeclined, Prediction, Radiograph, Record, RecordValue, WeightsError
from models.imaging.chest_xray.labs import LABS
from models.imaging.chest_xray.severity import SeverityModel, SeverityNetwork
from models.training.chest_xray_severity.card import make_card
from tests.models.imaging.chest_xray.chests import chest, radiograph
from tests.models.imaging.chest_xray.test_pneumonia import WIDE


def adult(array: FloatArray | None = None) -> Radiograph:
    return radiograph(array, age=60)


METRICS = {"threshold": 0.4, "patients": 46, "proven": False, "scope_limits": WIDE}
SIZES = dict.fromkeys(("cases", "patients", "train", "held_out", "severe"), 1)


def model(**changes: Any) -> SeverityModel:
    """Untrained trunks; heads that weigh each value by 1, and both parts alike, less surely in each resample."""
    torch.manual_seed(0)
    network = SeverityNetwork(members=2, resamples=20)
    heads = network.heads
    with torch.no_grad():
        heads.image.normal_(0, 0.2)
        heads.labs[:, :-1] = 1
        heads.both[:, :2] = torch.linspace(1, 2, 21)[:, None]
        heads.alone[:, 0] = 1
        heads.alone[:, 1] = 0.3
        heads.usual.fill_(1.0)
    return SeverityModel(network, make_card(SIZES, {**METRICS, **changes}), torch.device("cpu"))


def with_labs(*values: tuple[str, float, str, float], source: Radiograph | None = None) -> Radiograph:
    record = Record(tuple(RecordValue(*value) for value in values))
    return replace(source or adult(), record=record)


HIGH_CRP = ("1988-5", 200.0, "mg/L", -2.0)
FEW_LYMPHOCYTES = ("731-0", 0.4, "10*9/L", -2.0)


def odds(found: Prediction) -> float:
    return float(torch.logit(torch.tensor(found.scores["probability"], dtype=torch.float64)))


def test_contributions_are_what_the_values_add_to_the_log_odds() -> None:
    one = model()

    usual = one.predict(with_labs(("1988-5", 2.718281828 - 1, "mg/L", -1.0)))
    high = one.predict(with_labs(HIGH_CRP, FEW_LYMPHOCYTES))

    by_code = {given.name.value: given for given in high.contributions}
    assert by_code["1988-5"].value == 200
    assert odds(high) - odds(usual) == pytest.approx(sum(given.weight for given in high.contributions), abs=1e-4)
    assert by_code["1988-5"].weight > 0 > by_code["731-0"].weight
    assert [given.name.value for given in high.contributions][:2] == ["1988-5", "731-0"]


def test_a_missing_value_is_listed_as_missing_and_moves_nothing() -> None:
    found = model().predict(with_labs(HIGH_CRP))

    missing = [given for given in found.contributions if given.value is None]
    assert len(found.contributions) == len(LABS)
    assert len(missing) == len(LABS) - 1
    assert all(given.weight == 0 and "not known" in given.text for given in missing)


def test_without_any_value_the_image_answers_alone() -> None:
    one = model()
    old = ("1988-5", 200.0, "mg/L", -60.0)
    later = ("1988-5", 200.0, "mg/L", 3.0)

    for source in (adult(), with_labs(old, later)):
        found = one.predict(source)
        assert odds(found) == pytest.approx(found.scores["image"] + 0.3, abs=1e-4)
        assert any("image alone" in warning for warning in found.warnings)
        assert found.scores["labs_known"] == 0


def test_the_answer_says_for_whom_it_is_and_what_it_rests_on() -> None:
    [finding] = model().predict(with_labs(HIGH_CRP)).findings
    [measured] = finding.measurements

    assert "1 of 5 laboratory values" in finding.text
    assert "not shown to be better than chance" in finding.text
    assert "46 patients" in finding.text
    assert measured.confidence == 0.9
    assert measured.lower is not None
    assert measured.upper is not None
    assert 0 < measured.lower <= measured.value <= measured.upper < 1
    assert measured.lower < measured.upper
    assert "chance" not in model(proven=True).predict(adult()).findings[0].text
    assert any("COVID-19 only" in warning for warning in model().predict(adult()).warnings)


def test_the_map_is_on_the_radiograph_s_grid() -> None:
    [shown] = model().predict(adult(chest(260)[:, :240].copy())).maps

    assert shown.array.shape == (1, 260, 240)
    assert 0 <= shown.array.min() < shown.array.max() <= 1


def test_several_at_once_get_the_answers_of_one_at_a_time() -> None:
    one = model()
    sources = [
        with_labs(HIGH_CRP),
        adult(chest(seed=3)),
        with_labs(FEW_LYMPHOCYTES, source=adult(chest(seed=4))),
    ]

    for a, b in zip(one.predict_many(sources), [one.predict(source) for source in sources], strict=True):
        assert a.scores == pytest.approx(b.scores, rel=1e-4, abs=1e-5)
        assert [given.name for given in a.contributions] == [given.name for given in b.contributions]


def test_children_are_declined_where_the_age_is_known() -> None:
    with pytest.raises(InputDeclined, match="not an adult"):
        model().check(radiograph(age=17))
    model().check(radiograph(age=None))


def test_what_is_out_of_scope_is_declined_and_a_card_without_figures_refused() -> None:
    with pytest.raises(InputDeclined, match="turned"):
        model(scope_limits={**WIDE, "arrangement": 1e-9}).check(adult())
    card = make_card(SIZES, dict(METRICS))
    with pytest.raises(WeightsError, match="proven"):
        SeverityModel(SeverityNetwork(2), replace(card, metrics={"scope_limits": WIDE}), torch.device("cpu"))
