"""What the options of training cost, measured on the linear part of labs-risk: ``python -m models.training.options``.

One of the five folds of its training part is judged, the other four are trained on; the held-out part is not looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.contracts import ModelError
from models.labs import networks
from models.labs.networks import Summarist
from models.labs.tensors import tensors_of
from models.training.framework.comparing import each
from models.training.framework.division import folds
from models.training.framework.federated import Federation, Recipe, fit_federated
from models.training.framework.fit import Batch, FitSettings, fit, seeded
from models.training.framework.generative import GanSettings, enlarge
from models.training.framework.metrics import auc, bootstrap
from models.training.framework.private import Privacy, fit_private
from models.training.labs_risk.data import Stay, in_folds, read_stays, split_stays
from models.training.labs_risk.members import LINEAR_C, logistic_regression
from models.training.labs_risk.stays import standardise_summaries

Tensor = torch.Tensor
CPU = torch.device("cpu")

SETTINGS = FitSettings(epochs=10, learning_rate=5e-3, ema_decay=0.0)
SITES = 4

#: Deaths among a site's stays where sites differ; the last one has what is left.
UNEQUAL_SHARES = (0.0, 0.0, 0.1)
EPSILONS = (8.0, 3.0, 1.0)

#: Deaths that the generator makes, about as many as lack to a half.
MADE = 1400


@dataclass(frozen=True, eq=False)
class Rows:
    """Stays as features ``[n, LINEAR_INPUTS]`` of the linear part, and who died; a training set of the framework."""

    features: Tensor
    died: Tensor

    @property
    def labels(self) -> Sequence[int]:
        """1 for a death."""
        return [int(value) for value in self.died]

    def __len__(self) -> int:
        """Give the number of stays."""
        return len(self.died)

    def item(self, index: int, generator: torch.Generator) -> Batch:
        """One stay; nothing is changed at random."""
        return {"input": self.features[index], "target": self.died[index]}

    def picked(self, places: Sequence[int]) -> Rows:
        """Those at some places."""
        where = torch.as_tensor(places, dtype=torch.long)
        return Rows(self.features[where], self.died[where])


def rows_of(train: Sequence[Stay], judged: Sequence[Stay]) -> tuple[Rows, Rows]:
    """Give features of stays, standardised by those to train on."""
    parts = [tensors_of([stay.window for stay in stays]) for stays in (train, judged)]
    summarist = Summarist()
    standardise_summaries(summarist, parts[0]["summaries"])
    features = [summarist.features(part["summaries"], part["statics"]) for part in parts]
    died = [torch.tensor([float(stay.died) for stay in stays]) for stays in (train, judged)]
    return Rows(features[0], died[0]), Rows(features[1], died[1])


def equal_sites(rows: Rows, count: int, seed: int) -> list[Rows]:
    """Deal stays to sites that have as many of them, and as many deaths, each."""
    label = {f"{place:05d}": str(label) for place, label in enumerate(rows.labels)}
    dealt = folds(label, str, seed, count, label.__getitem__)
    return [rows.picked([int(name) for name in site]) for _, site in dealt]


def unequal_sites(rows: Rows, shares: Sequence[float], seed: int) -> list[Rows]:
    """Deal stays to sites of one size, whose shares of deaths are given; one more site has what is left."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    labels = rows.labels
    died = [place for place in order if labels[place]]
    lived = [place for place in order if not labels[place]]
    size, sites = len(rows) // (len(shares) + 1), []
    for share in shares:
        deaths = round(share * size)
        sites.append(rows.picked(died[:deaths] + lived[: size - deaths]))
        died, lived = died[deaths:], lived[size - deaths :]
    return [*sites, rows.picked(died + lived)]


def line(rows: Rows, seed: int) -> torch.nn.Module:
    """Make the network: one logit of the features."""
    seeded(seed)
    return torch.nn.Sequential(torch.nn.Linear(rows.features.shape[1], 1), torch.nn.Flatten(0))


def loss(logits: Tensor, batch: Batch) -> Tensor:
    """Binary cross-entropy, a mean over cases."""
    return functional.binary_cross_entropy_with_logits(logits, batch["target"])


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures on the stays of one fold."""

    rows: Rows

    def of_scores(self, scores: npt.NDArray[Any]) -> dict[str, Any]:
        """AUC with its interval."""
        truth = np.array(self.rows.labels)
        found = bootstrap(lambda index: auc(truth[index], scores[index]), np.arange(truth.size))
        return {"auc": found}

    def of(self, network: torch.nn.Module) -> dict[str, Any]:
        """AUC of a network."""
        with torch.no_grad():
            return self.of_scores(network.eval()(self.rows.features).numpy())


def together(train: Rows, judge: Judge, seed: int) -> dict[str, Any]:
    """All stays in one place; the last epoch is measured, none is selected."""
    with TemporaryDirectory() as logs:
        fitted = fit(
            line(train, seed), train, loss, None, replace(SETTINGS, seed=seed), Path(logs), CPU, progress=False
        )
    return judge.of(fitted.network)


def federated(sites: Sequence[Rows], judge: Judge, rounds: int, seed: int) -> dict[str, Any]:
    """Average the weights of sites after each of their epochs."""
    network = line(sites[0], seed)
    fit_federated(network, sites, Recipe(loss, replace(SETTINGS, seed=seed), Federation(rounds)), CPU)
    deaths = [round(sum(site.labels) / len(site), 3) for site in sites]
    return {"sites": [len(site) for site in sites], "share_of_deaths": deaths, **judge.of(network)}


def private(train: Rows, judge: Judge, epsilon: float, seed: int) -> dict[str, Any]:
    """Train within a privacy budget; the noise is seeded, so that the figure can be had again."""
    network = line(train, seed)
    spent = fit_private(network, train, loss, replace(SETTINGS, seed=seed), Privacy(epsilon, repeatable=True))
    return {"epsilon_spent": round(spent.epsilon, 3), **judge.of(network)}


def regression(train: Rows, judge: Judge, class_weight: str | None = None) -> dict[str, Any]:
    """Logistic regression with the penalty of the linear part."""
    method = logistic_regression(train.features.numpy(), train.labels, LINEAR_C, class_weight)
    return judge.of_scores(method.decision_function(judge.rows.features.numpy()))


def with_made_cases(train: Rows, judge: Judge, seed: int) -> dict[str, Any]:
    """Logistic regression, with deaths that a generator made."""
    features, labels = enlarge(train.features, train.died, 1, MADE, GanSettings(seed=seed))
    return {"made": MADE, **regression(Rows(features, labels), judge)}


def ways(train: Rows, judge: Judge, seed: int) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """Give what is measured, by its name."""
    equal = equal_sites(train, SITES, seed)
    alone = {
        f"site_{number}_alone_30_epochs": partial(federated, [site], judge, 30, seed)
        for number, site in enumerate(equal, 1)
    }
    return {
        "together_10_epochs": partial(together, train, judge, seed),
        "equal_sites_10_rounds": partial(federated, equal, judge, 10, seed),
        "equal_sites_30_rounds": partial(federated, equal, judge, 30, seed),
        **alone,
        "unequal_sites_30_rounds": partial(federated, unequal_sites(train, UNEQUAL_SHARES, seed), judge, 30, seed),
        **{f"private_epsilon_{epsilon:g}": partial(private, train, judge, epsilon, seed) for epsilon in EPSILONS},
        "regression": partial(regression, train, judge),
        "regression_class_weights": partial(regression, train, judge, "balanced"),
        "regression_made_cases": partial(with_made_cases, train, judge, seed),
    }


def measure(data: Path, seed: int = 0, *, progress: bool = True) -> dict[str, Any]:
    """Measure all options.

    Parameters
    ----------
    data
        Folder of the training set of labs-risk.
    seed
        Of initial weights, order, sites, noise and generator; the folds are always the same.
    """
    stays = read_stays(data)
    fit_on, judge_on = in_folds(stays, split_stays(stays).train, networks.SHAPE.members)[0]
    train, judged = rows_of(fit_on, judge_on)
    return {
        "train": {"n": len(train), "deaths": sum(train.labels)},
        "judged": {"n": len(judged), "deaths": sum(judged.labels)},
        "seed": seed,
        **each(ways(train, Judge(judged), seed), progress=progress),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 where the data or a package is missing."""
    parser = argparse.ArgumentParser(prog="python -m models.training.options", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with stays.tar.gz and outcomes.csv")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything that is random but the folds")
    parser.add_argument("--json", action="store_true", help="no progress bar")
    given = parser.parse_args(arguments)
    try:
        found = measure(given.data, given.seed, progress=not given.json)
    except ModelError as error:
        sys.stderr.write(f"not measured: {error}\n")
        return 1
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
