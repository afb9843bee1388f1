from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from node.broker import BUILD, INFER, Broker, Task, broker_url, celery_app, embedded_command, embedded_socket
from node.errors import BrokerUnavailable
from node.settings import BrokerSection, NodeSection, Settings
from tests.peers import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(node=NodeSection(root=tmp_path))


@pytest.fixture
def broker(settings: Settings) -> Iterator[Broker]:
    process = subprocess.Popen(embedded_command(settings.node.root), stdout=subprocess.DEVNULL)
    found = Broker(broker_url(settings))
    eventually("it answers", found.ready)
    yield found
    found.close()
    process.kill()
    process.wait()


def test_what_waits_is_pending_under_its_task_id(broker: Broker) -> None:
    tasks = [Task(INFER, "a", 0), Task(INFER, "b", 1, "STAT"), Task(BUILD, "a", 1, "ASAP")]
    for task in tasks:
        broker.send(task)
    assert broker.pending(60) == {task.id for task in tasks}


def test_an_emptied_broker_has_nothing_pending_and_takes_tasks_again(broker: Broker, settings: Settings) -> None:
    broker.send(Task(INFER, "a", 0))
    with redis.Redis(unix_socket_path=str(embedded_socket(settings.node.root))) as client:
        client.flushall()
    assert broker.pending(60) == set()
    broker.send(Task(INFER, "a", 0))
    assert broker.pending(60) == {Task(INFER, "a", 0).id}


def test_what_a_worker_took_long_ago_is_no_longer_pending_since_the_worker_may_be_lost(
    broker: Broker, settings: Settings
) -> None:
    task = Task(BUILD, "a", 1)
    broker.send(task)
    with celery_app(broker_url(settings)).connection_for_read() as connection, connection.channel() as channel:
        eventually("a worker has taken it", lambda: channel.basic_get("cpu"))
        assert broker.pending(60) == {task.id}
        time.sleep(0.05)
        assert broker.pending(0.04) == set()


def test_a_message_that_is_not_ours_does_no_harm(broker: Broker, settings: Settings) -> None:
    with redis.Redis(unix_socket_path=str(embedded_socket(settings.node.root))) as client:
        client.lpush("gpu", b"not json", b"[]", b'{"headers": 3}')
    assert broker.pending(60) == set()


def test_the_embedded_broker_listens_on_no_network_port_and_keeps_its_file(settings: Settings) -> None:
    command = embedded_command(settings.node.root)
    assert command[command.index("--port") + 1] == "0"
    assert command[command.index("--appendonly") + 1] == "yes"
    assert embedded_socket(settings.node.root).parent.stat().st_mode & 0o077 == 0


def test_a_root_with_a_long_path_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    assert len(str(embedded_socket(deep))) <= 100
    assert embedded_socket(deep) != embedded_socket(tmp_path / ("x" * 60) / ("z" * 60))


def test_a_broker_that_is_away_is_an_error_that_says_so(settings: Settings) -> None:
    away = Broker(broker_url(Settings(broker=BrokerSection(url="redis://127.0.0.1:1/0"))))
    assert not away.ready()
    with pytest.raises(BrokerUnavailable):
        away.send(Task(INFER, "a", 0))
    with pytest.raises(BrokerUnavailable):
        away.pending(60)
