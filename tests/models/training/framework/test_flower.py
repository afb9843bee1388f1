"""What Flower carries between server and sites gives what federated averaging in one process gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.runtime import named_tensors
from models.training.framework.fit import TrainingError
from models.training.framework.flower_quiet import QUIET
from tests.models.training.framework.toys import Points, network

pytest.importorskip("flwr", reason="Flower is not installed, it wants an environment of its own: see docs/training.md")

from flwr.app import ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from models.training.framework.flower import Averaging, client_app, server_app
from tests.models.training.framework.flower_app.app import COUNTS, RECIPE, cases, client, in_one_process, validate


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a task, as Flower's processes are: messages say which task has sent them."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


def context(**settings: Any) -> Context:
    return Context(run_id=1, node_id=1, node_config=settings, state=RecordDict(), run_config=settings)


class Sites:
    """The network between server and sites, in this process: a message goes to its site and comes back as by Flower."""

    def __init__(
        self, clients: Sequence[Callable[[Message, Context], Message]], places: Iterable[int] = (1, 0)
    ) -> None:
        self.clients = clients
        self.contexts = [context(site=place, count=COUNTS[place]) for place in places]

    def get_node_ids(self) -> list[int]:
        return [10, 20]

    def send_and_receive(self, messages: Iterable[Message], timeout: float) -> list[Message]:
        return [self._answer(message) for message in messages]

    def _answer(self, message: Message) -> Message:
        at = self.get_node_ids().index(message.metadata.dst_node_id)
        try:
            return self.clients[at](message, self.contexts[at])
        except Exception as error:
            return Message(Error(code=3, reason=f"{type(error)}:<'{error}'>"), reply_to=message)


@pytest.mark.usefixtures("quiet")
def test_messages_between_server_and_sites_give_the_weights_of_one_process(tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def watch(common: torch.nn.Module) -> Mapping[str, float]:
        seen.append({name: value.clone() for name, value in named_tensors(common).items()})
        return validate(common)

    server = server_app(RECIPE, network, 2, validate=watch)
    grid: Any = Sites([client, client])
    server(grid, context(out=str(tmp_path)))

    alone, history = in_one_process()
    assert json.loads((tmp_path / "history.json").read_text()) == history
    for name, value in named_tensors(alone).items():
        torch.testing.assert_close(seen[-1][name], value)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("places", [(0, 0), (1, 1)])
def test_two_sites_in_the_same_place_are_an_error(places: tuple[int, int], tmp_path: Path) -> None:
    grid: Any = Sites([client, client], places)
    with pytest.raises(TrainingError, match="not of each of 2 once"):
        server_app(RECIPE, network, 2)(grid, context(out=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quiet")
def test_a_site_that_fails_ends_the_round_and_says_nothing_of_its_data(tmp_path: Path) -> None:
    def unreadable(_: Context) -> Points:
        raise OSError("/data/MUELLER^ANNA/ct.nii cannot be read")

    grid: Any = Sites([client, client_app(RECIPE, network, unreadable)])
    with pytest.raises(TrainingError, match="a site cannot train \\(OSError\\)") as caught:
        server_app(RECIPE, network, 2)(grid, context(out=str(tmp_path)))
    assert "MUELLER" not in str(caught.value)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("settings", [{"count": 60}, {"count": 60, "site": "first"}])
def test_a_site_that_does_not_say_which_it_is_does_not_train(settings: dict[str, Any], tmp_path: Path) -> None:
    grid: Any = Sites([client, client])
    grid.contexts[0] = context(**settings)
    with pytest.raises(TrainingError, match="a site cannot train \\(TrainingError\\)"):
        server_app(RECIPE, network, 2)(grid, context(out=str(tmp_path)))


@pytest.mark.usefixtures("quiet")
def test_what_was_reached_before_a_site_failed_is_kept(tmp_path: Path) -> None:
    def once(place: Context) -> Points:
        if (tmp_path / "history.json").exists():
            raise OSError("gone")
        return cases(place)

    longer = replace(RECIPE, federation=replace(RECIPE.federation, rounds=5))
    grid: Any = Sites([client, client_app(longer, network, once, device="cpu")])
    with pytest.raises(TrainingError, match="round 2"):
        server_app(longer, network, 2)(grid, context(out=str(tmp_path)))
    assert len(json.loads((tmp_path / "history.json").read_text())) == 1
    assert load_file(tmp_path / "model.safetensors").keys() == named_tensors(network()).keys()


def test_apps_do_nothing_where_flower_would_phone_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    grid: Any = Sites([client, client])
    with pytest.raises(TrainingError, match="FLWR_TELEMETRY_ENABLED"):
        server_app(RECIPE, network, 2)(grid, context(out=str(tmp_path)))
    message = Message(RecordDict(), dst_node_id=1, message_type="train")
    with pytest.raises(TrainingError, match="FLWR_TELEMETRY_ENABLED"):
        client(message, context(site=0, count=5))


def test_the_mean_weighs_sites_by_their_cases_in_whatever_order_they_answer() -> None:
    def answer(place: int, value: float, count: int) -> Message:
        arrays = ArrayRecord({"weight": torch.tensor([value])})
        metrics = MetricRecord({"num-examples": count, "site": place})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), dst_node_id=0, message_type="train")

    arrays, metrics = Averaging(2).aggregate_train(1, [answer(1, 5.0, 1), answer(0, 1.0, 3)])

    assert arrays is not None
    assert metrics is not None
    assert arrays.to_torch_state_dict()["weight"].tolist() == [2.0]
    assert dict(metrics) == {"num-examples": 4}
