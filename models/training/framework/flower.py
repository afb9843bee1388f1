"""Federated averaging over a network, with Flower: each site has a ClientApp, the one who averages a ServerApp.

Both do what :func:`models.training.framework.federated.fit_federated` does in one process, in the same order and from
the same random numbers, so the weights are the same. What leaves a site: its weights, how many cases they were trained
on, and which site it is. An error leaves it as one sentence without what the error says, which may quote a patient.

Flower does not encrypt by itself and sends the app's code to the sites: see docs/training.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from models.cards import WEIGHTS_FILE
from models.runtime import choose_device, load_into, named_tensors, save_weights
from models.training.framework.federated import Recipe, averaged, judged, train_site
from models.training.framework.fit import TrainingError, TrainingSet
from models.training.framework.flower_quiet import loud
from models.training.framework.records import write_json

try:
    from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
except ImportError as error:
    raise ImportError(
        "a federation over a network needs Flower, in an environment of its own: see docs/training.md"
    ) from error

HISTORY_FILE = "history.json"
_ARRAYS, _CONFIG, _METRICS = "arrays", "config", "metrics"
_CASES, _SITE, _SITES, _ROUND = "num-examples", "site", "sites", "server-round"


class Averaging(FedAvg):
    """Mean of the weights of all sites, each weighing as many cases as it has.

    Flower's own goes on without the sites that did not answer; here a round that lacks one is an error, since the mean
    of those who are left is another training.

    Parameters
    ----------
    sites
        How many there are. The training starts when that many are connected.
    """

    def __init__(self, sites: int) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=sites, min_available_nodes=sites)
        self.sites = sites

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Give the mean of a round's weights, and of how many cases it is.

        Raises
        ------
        TrainingError
            If not every site has answered once.
        """
        answers, faults = [], []
        for reply in replies:
            if reply.has_error():
                faults.append(str(reply.error.reason))
            else:
                answers.append(reply.content)
        answers.sort(key=_site_of)
        places = [_site_of(answer) for answer in answers]
        if places != list(range(self.sites)):
            raise TrainingError(
                f"round {server_round} has the weights of the sites {places}, not of each of {self.sites} once"
                + "".join(f"; {fault}" for fault in faults)
            )
        sizes = [_whole(answer.metric_records[_METRICS], _CASES) for answer in answers]
        mean = averaged([answer.array_records[_ARRAYS].to_torch_state_dict() for answer in answers], sizes)
        return ArrayRecord(mean), MetricRecord({_CASES: sum(sizes)})


def client_app(
    recipe: Recipe,
    network: Callable[[], torch.nn.Module],
    cases: Callable[[Context], TrainingSet],
    *,
    device: str = "auto",
) -> ClientApp:
    """Make the app of a site.

    Parameters
    ----------
    network
        Makes the network; its weights come from the one who averages.
    cases
        Gives the site's own cases. ``context.node_config`` is what the site gave its SuperNode with ``--node-config``,
        where ``site`` says which site it is, from 0.
    device
        As for :func:`models.runtime.choose_device`.
    """

    def train(message: Message, context: Context) -> Message:
        _must_be_quiet()
        try:
            content = _trained(message.content, context, recipe, network, cases, choose_device(device))
        except Exception as error:
            raise TrainingError(f"a site cannot train ({type(error).__name__}); its own log says why") from error
        return Message(content, reply_to=message)

    app = ClientApp()
    app.train()(train)
    return app


def server_app(
    recipe: Recipe,
    network: Callable[[], torch.nn.Module],
    sites: int,
    *,
    validate: Callable[[torch.nn.Module], Mapping[str, float]] | None = None,
    timeout: float = 3600.0,
) -> ServerApp:
    """Make the app of the one who averages, which has no cases to train on.

    After each round it writes ``model.safetensors`` (half precision) and ``history.json`` (the number of each round and
    what ``validate`` gives) to the folder that the run's setting ``out`` names.

    Parameters
    ----------
    network
        Makes the network with the weights that all start from.
    sites
        How many there are.
    validate
        Figures of the common network, on the processor, on cases of those who average.
    timeout
        Seconds that a round may take.
    """

    def main(grid: Grid, context: Context) -> None:
        _must_be_quiet()
        common, keep = network(), _Keeper(Path(str(context.run_config["out"])), validate)

        def after(number: int, arrays: ArrayRecord) -> None:
            if number:  # Flower asks for the weights before the first round, too
                load_into(common, arrays.to_torch_state_dict())
                keep(common, number)

        Averaging(sites).start(
            grid,
            ArrayRecord(named_tensors(common)),
            num_rounds=recipe.federation.rounds,
            timeout=timeout,
            train_config=ConfigRecord({_SITES: sites}),
            evaluate_fn=after,
        )

    app = ServerApp()
    app.main()(main)
    return app


class _Keeper:
    """Writes what was reached after each round."""

    def __init__(self, out: Path, validate: Callable[[torch.nn.Module], Mapping[str, float]] | None) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._validate, self._history = out, validate, list[dict[str, float]]()

    def __call__(self, network: torch.nn.Module, number: int) -> None:
        save_weights(network, self._out / WEIGHTS_FILE)
        self._history.append(judged(network, number, self._validate))
        write_json(self._out / HISTORY_FILE, self._history)


def _trained(
    content: RecordDict,
    context: Context,
    recipe: Recipe,
    network: Callable[[], torch.nn.Module],
    cases: Callable[[Context], TrainingSet],
    device: torch.device,
) -> RecordDict:
    """Train a round at a site, and give what it answers."""
    config, place = content.config_records[_CONFIG], _whole(context.node_config, _SITE)
    own, data = network(), cases(context)
    load_into(own, content.array_records[_ARRAYS].to_torch_state_dict())
    train_site(own.to(device), data, recipe, (place, _whole(config, _SITES)), _whole(config, _ROUND), device)
    metrics = MetricRecord({_CASES: len(data), _SITE: place})
    return RecordDict({_ARRAYS: ArrayRecord(named_tensors(own)), _METRICS: metrics})


def _site_of(answer: RecordDict) -> int:
    return _whole(answer.metric_records[_METRICS], _SITE)


def _whole(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int):
        raise TrainingError(f"{name!r} has to be a whole number")
    return value


def _must_be_quiet() -> None:
    if names := loud(os.environ):
        raise TrainingError(
            f"Flower would connect elsewhere: {', '.join(names)}; start it with models.training.framework.flower_quiet"
        )
