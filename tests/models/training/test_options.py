"""The command that measures the options of training, on generated stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.labs import networks
from models.labs.networks import RiskShape
from models.training import options
from models.training.framework.generative import GanSettings
from models.training.options import Rows, equal_sites, unequal_sites
from tests.models.labs.generated import write_data_set


def rows(count: int, every: int) -> Rows:
    died = (torch.arange(count) % every == 0).float()
    return Rows(torch.arange(count, dtype=torch.float32)[:, None], died)


def cases(sites: list[Rows]) -> list[float]:
    return sorted(value for site in sites for value in site.features[:, 0].tolist())


def test_sites_of_equal_mix_have_as_many_stays_and_deaths_each() -> None:
    some = rows(80, 4)

    sites = equal_sites(some, 4, seed=0)

    assert [len(site) for site in sites] == [20] * 4
    assert [sum(site.labels) for site in sites] == [5] * 4
    assert cases(sites) == some.features[:, 0].tolist()


def test_sites_of_unequal_mix_have_the_shares_that_are_asked_for_and_share_no_stay() -> None:
    some = rows(80, 4)

    sites = unequal_sites(some, (0.0, 0.0, 0.1), seed=0)

    assert [len(site) for site in sites] == [20] * 4
    assert [sum(site.labels) for site in sites] == [0, 0, 2, 18]
    assert cases(sites) == some.features[:, 0].tolist()


def test_every_option_has_a_figure_and_the_same_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("opacus")
    pytest.importorskip("sklearn")
    monkeypatch.setattr(networks, "SHAPE", RiskShape(code=16, state=8, members=2))
    monkeypatch.setattr(options, "SETTINGS", replace(options.SETTINGS, epochs=1))
    monkeypatch.setattr(options, "GanSettings", lambda seed: GanSettings(steps=5, seed=seed))
    write_data_set(tmp_path, 240)
    printed = []

    for _ in range(2):
        assert options.main(["--data", str(tmp_path), "--json"]) == 0
        printed.append(json.loads(capsys.readouterr().out))

    found, again = printed
    assert found == again
    assert found["train"] == {"n": 96, "deaths": 24}
    figures = {name: value for name, value in found.items() if name not in {"train", "judged", "seed"}}
    assert len(figures) == 14
    for value in figures.values():
        assert value["auc"]["ci_low"] <= value["auc"]["value"] <= value["auc"]["ci_high"]
    assert found["private_epsilon_1"]["epsilon_spent"] <= 1


def test_missing_data_is_one_line_and_an_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert options.main(["--data", str(tmp_path)]) == 1

    assert "stays.tar.gz" in capsys.readouterr().err
