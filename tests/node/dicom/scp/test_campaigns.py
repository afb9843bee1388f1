"""Short versions of the campaigns: they show that these run and find nothing; the long ones are `make campaigns`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.storage import Spool, layout
from node.storage.journal import records
from tests.campaigns import codecs, kill, powercut, promises
from tests.campaigns.cases import Cases
from tests.campaigns.console import Outcome
from tests.campaigns.crowd import PLAIN, crowd
from tests.campaigns.objects import CLASS, SYNTAX, Maker
from tests.campaigns.processes import footprint, services
from tests.campaigns.senders import Sender, Told
from tests.campaigns.target import Target
from tests.campaigns.torture import others_are_served
from tests.node.dicom.conftest import Node
from tests.node.dicom.scp.raw import raw_association, store
from tests.peers import eventually

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, of hostile values

Start = Callable[..., Node]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    import structlog

    before = structlog.get_config()
    found = Target(tmp_path, "instance")
    yield found
    found.close()
    structlog.configure(**before)


@pytest.mark.parametrize("durability", ["instance", "none"])
def test_nothing_answered_is_lost_when_processes_are_killed_and_the_power_is_cut(
    tmp_path: Path, durability: str
) -> None:
    outcome = Outcome()
    kill.run(tmp_path, rounds=2, seconds=12, seed=20, outcome=outcome, durability=durability)
    assert outcome.violations == []
    assert outcome.figures["rounds"] >= 1
    assert outcome.figures["instances answered with Success"] > 20


def test_the_kill_campaign_notices_what_is_missing_torn_or_not_indexed(tmp_path: Path) -> None:
    maker, outcome = Maker(1), Outcome()
    samples = [maker.sample(number, 1000) for number in range(3)]
    answered = {sample.uid: {sample.digest} for sample in samples}
    for sample, data in zip(samples[1:], (b"short", samples[2].data), strict=True):
        path = tmp_path / layout.name_of(sample.uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    promises.kept(tmp_path, answered, outcome)
    assert [text.split(" ", 1)[1] for text in outcome.violations] == [
        "was answered with Success and is not there",
        "was answered with Success and is not whole",
        "was answered with Success and is not whole",
    ]


def test_the_watcher_notices_a_torn_file_and_one_that_nobody_sent(tmp_path: Path) -> None:
    for fan in layout.fans():
        (tmp_path / fan).mkdir(parents=True)
    sample = Maker(1).sample(1, 1000)
    spool = Spool(tmp_path, durability="none")
    from node.dicom.part10 import Command, file_meta

    spool.store(sample.uid, file_meta(Command(CLASS, sample.uid, SYNTAX)), sample.data)
    spool.close()
    (tmp_path / layout.name_of("1.2.3")).write_bytes(b"torn")
    watcher = promises.Watcher(tmp_path, Told())
    watcher.look()
    assert sorted(text.split(" ", 1)[1] for text in watcher.broken) == [
        "holds what nobody sent under this UID",
        "is visible and not whole",
    ]


def test_a_power_cut_takes_files_that_a_journal_answers_for_and_the_next_start_brings_them_back(
    start: Start, tmp_path: Path
) -> None:
    node, maker = start(), Maker(3)
    samples = [maker.sample(number, 3000) for number in range(40)]
    with raw_association(node) as raw:
        for number, sample in enumerate(samples, 1):
            raw.send(store(1, sample.uid, sample.data, number=number))
            assert raw.message().status == 0
        raw.release()
    node.settle()
    # The journal of a process that is killed stays as it is; the spool is copied to be cut and opened anew.
    copy = tmp_path / "copy"
    import shutil

    shutil.copytree(node.spool.root, copy)
    assert any(list(records(path)) for path in (copy / layout.JOURNAL).glob("*.journal"))
    loss = powercut.cut(copy, random.Random(5))
    assert loss.journaled > 0
    Spool(copy).open()
    outcome = Outcome()
    promises.kept(copy, {sample.uid: {sample.digest} for sample in samples}, outcome)
    assert outcome.violations == []


def test_mutated_associations_break_no_promise(target: Target) -> None:
    cases = Cases(11)
    broken = {number: problems for number in range(1000) if (problems := target.run(cases.case(number)))}
    assert broken == {}
    assert target.sweep() == []
    assert target.answers["stored"] > 20
    assert target.answers["PDU 7"] > 20


def test_a_case_follows_from_its_seed_and_number() -> None:
    assert [Cases(4).case(number) for number in range(20)] == [Cases(4).case(number) for number in range(20)]
    assert Cases(4).case(7) != Cases(5).case(7)


@pytest.mark.parametrize("name", codecs.CODECS)
def test_a_codec_gives_a_sound_result_or_says_no(name: str) -> None:
    count, failure = codecs.run(codecs.CODECS[name], 200, 1)
    assert failure is None
    assert count >= 50


def test_a_codec_that_breaks_its_promise_is_reported_with_the_input() -> None:
    def check(data: bytes) -> None:
        assert b"\xff" not in data

    _, failure = codecs.run(codecs.Codec(codecs.CODECS["command"].inputs, check), 500, 1)
    assert failure is not None
    assert b"\xff" in failure.data


@pytest.mark.peer
def test_a_sender_is_served_beside_silent_slow_and_lying_connections_which_leave_nothing(
    tmp_path: Path, peer: Callable[[str], str]
) -> None:
    from tests.campaigns import torture

    peer("storescu")
    outcome = Outcome()
    with services(tmp_path) as node:
        sender = torture.Sender(tmp_path / "sent", node.port, 20)
        others_are_served(node, sender, outcome, 60, PLAIN, "short")
        idle = footprint(node)
        with crowd(node.port, 60) as found:
            assert found.open() > 40
        eventually("threads end", lambda: footprint(node)["threads"] <= idle["threads"])
        assert footprint(node)["descriptors"] <= idle["descriptors"]
        assert node.complaints() == []
    assert outcome.figures["short: connections open meanwhile"] > 20


def test_below_the_watermark_an_association_is_answered_a700_and_goes_on_when_there_is_room(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 10 << 30
    monkeypatch.setattr("node.storage.room.Room.free", lambda _: free)
    monkeypatch.setattr("node.storage.room.REMEMBER_SECONDS", 0.0)
    node, maker, statuses = start(min_free_bytes=1 << 30), Maker(9), []
    told, numbers = Told(), itertools.count()
    with raw_association(node) as raw:
        for number, room in enumerate((10 << 30, 0, 0, 10 << 30), 1):
            free = room
            sample = maker.sample(next(numbers), 2000)
            raw.send(store(1, sample.uid, sample.data, number=number))
            status = raw.message().status
            statuses.append(status)
            if status == 0:
                told.answered(sample, status)
        raw.release()
    node.settle()
    assert statuses == [0, 0xA700, 0xA700, 0]
    outcome = Outcome()
    promises.kept(node.spool.root, told.answers(), outcome)
    assert outcome.violations == []
    assert len(list(node.spool.files())) == 2


def test_senders_of_the_campaign_count_what_is_answered(start: Start) -> None:
    node, told = start(), Told()
    sender = Sender(node.receiver.port, Maker(4), itertools.count(), told, "1")
    sender.start()
    eventually("something is answered", lambda: len(told.answers()) > 10)
    sender.over.set()
    sender.join(20)
    assert not sender.is_alive()
    node.settle()
    assert told.wrong == []
    assert {uid for uid, _ in node.spool.files()} >= set(told.answers())
