"""The benchmark of the receiver counts right; how fast anything is, is no test's business."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from pydicom import dcmread

from tests.benchmarks.receive import corpora, receivers, report, stored
from tests.benchmarks.receive.__main__ import main
from tests.benchmarks.receive.benchmark import Plan, Size, tasks
from tests.benchmarks.receive.benchmark import run as benchmark
from tests.benchmarks.receive.figures import CASES, FIGURES, Figure, outcomes, ratios
from tests.benchmarks.receive.measure import Run, Task, environment, failures, measure
from tests.benchmarks.receive.processes import Peak, cpu_seconds, listeners, memory
from tests.benchmarks.receive.receivers import RECEIVERS, our_processes, ours
from tests.peers import eventually

TINY = Size(slices=16, small=8, frames=1, width=32)
FIGURE = Figure("speed", "ct1", "ours", "storescp", 1.0)


def made(receiver: str, number: int, seconds: float, *, case: str = "ct1", kept: int = 10, cpu: float = 1.0) -> Run:
    used = {"receiver": cpu, "indexer": 3.0} if receiver == "ours" else {receiver: cpu}
    return Run(
        case, receiver, number, 1, 10, 10**9, seconds=seconds, cpu=used, stored=kept, same_bytes=True, indexed_after=0.0
    )


@pytest.mark.peer
def test_a_tiny_run_stores_everything_in_each_receiver(tmp_path: Path, peer: Callable[[str], str]) -> None:
    peer("storescu")
    plan = Plan(cases=("ct4",), rounds=1, size=TINY, pause=0.0, receivers=("ours", "storescp --fork"))
    runs = benchmark(plan, tmp_path)
    assert [run.receiver for run in runs] == ["storescp --fork", "ours"]
    assert failures(runs) == []
    assert [(run.objects, run.stored, run.same_bytes) for run in runs] == [(16, 16, True)] * 2
    assert set(runs[1].cpu) == {"receiver", "indexer"}
    assert runs[1].indexed_after is not None
    left = [path for path in tmp_path.glob("run-*/**/*") if path.is_file()]
    assert len(left) >= 32
    assert {path.stat().st_size for path in left} == {0}


def test_a_receiver_that_dies_is_told_with_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = receivers.Command("broken", (sys.executable, "-c", "raise SystemExit('no disk')"))

    def plan(folder: Path, port: int) -> receivers.Plan:
        return receivers.Plan((broken,), folder)

    monkeypatch.setitem(cast("dict[str, object]", RECEIVERS), "ours", plan)
    task = Task("ct1", "ours", corpora.ct(tmp_path / "sent", 8, 16), 1)
    run = measure(task, 0, tmp_path / "run", pause=0.0)
    assert run.error.strip() == "broken ended: no disk"
    assert not run.ok
    assert {path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()} == {0}


@pytest.mark.peer
def test_the_command_writes_json_with_machine_figures_and_runs(
    tmp_path: Path, peer: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    peer("storescu")
    peer("storescp")
    target = tmp_path / "found.json"
    options = ["--quick", "--cases", "mr1", "--small", "8", "--pause", "0", "--folder", str(tmp_path)]
    assert main([*options, "--receivers", "storescp --fork+storescp", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert set(found) == {"machine", "settings", "figures", "memory", "failures", "runs"}
    assert found["machine"]["cores"] >= 1
    assert found["settings"]["cases"] == ["mr1"]
    assert [run["stored"] for run in found["runs"]] == [8, 8]
    assert all(run["ok"] and run["mb_s"] > 0 for run in found["runs"])
    assert "| MR 34 kB, 1 association | DCMTK storescp --fork |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_only_runs_of_the_same_round_are_compared() -> None:
    runs = [made("ours", 0, 1.0), made("storescp", 0, 2.0), made("ours", 1, 1.0), made("storescp", 2, 8.0)]
    assert ratios(FIGURE, runs) == [2.0]


def test_a_run_that_lost_an_object_does_not_count_and_is_told() -> None:
    runs = [made("ours", 0, 1.0, kept=9), made("storescp", 0, 2.0), made("ours", 1, 1.0), made("storescp", 1, 3.0)]
    assert ratios(FIGURE, runs) == [3.0]
    assert failures(runs) == ["ct1, ours, round 0: 9 of 10 objects stored, bytes equal"]


def test_the_median_of_the_pairs_decides_whether_a_figure_is_met() -> None:
    runs = [made("ours", number, 1.0) for number in range(3)]
    runs += [made("storescp", number, seconds) for number, seconds in enumerate((0.5, 1.25, 9.0))]
    (outcome,) = outcomes(runs, [FIGURE])
    assert (outcome.median, outcome.lowest, outcome.highest, outcome.pairs) == (1.25, 0.5, 9.0, 3)
    assert outcome.met is True
    assert outcomes(runs, [Figure("speed", "ct1", "ours", "storescp", 1.3)])[0].met is False


def test_cpu_time_must_be_low_and_is_given_with_and_without_the_indexer() -> None:
    runs = [made("ours", 0, 1.0, cpu=2.4), made("storescp", 0, 1.0, cpu=2.0)]
    without, with_it = (
        Figure("cpu", "ct1", "ours", "storescp", 1.2, quantity) for quantity in ("cpu without index", "cpu")
    )
    assert [item.median for item in outcomes(runs, [without, with_it])] == [1.2, 2.7]
    assert [item.met for item in outcomes(runs, [without, with_it])] == [True, False]


def test_overlapping_associations_are_compared_with_one_of_the_same_receiver() -> None:
    overlap = next(figure for figure in FIGURES if figure.peer_case and figure.receiver == "ours")
    assert ratios(overlap, [made("ours", 0, 2.0), made("ours", 0, 1.0, case="ct8")]) == [2.0]


def test_every_figure_compares_receivers_that_its_cases_run() -> None:
    for figure in FIGURES:
        assert figure.receiver in CASES[figure.case].receivers
        assert figure.peer in CASES[figure.peer_case or figure.case].receivers
    assert {name for case in CASES.values() for name in case.receivers} == set(RECEIVERS)


def test_every_second_round_runs_in_the_opposite_order(tmp_path: Path) -> None:
    sent = {"ct": corpora.ct(tmp_path, 8, 16)}
    found = tasks(Plan(cases=("ct1",), rounds=2, receivers=("ours", "ours, none", "pynetdicom")), sent)
    order = [(number, task.receiver) for number, task in found]
    assert [name for number, name in order if number == 0] == [name for number, name in order if number == 1][::-1]


def test_shares_of_a_corpus_hold_every_file_once(tmp_path: Path) -> None:
    corpus = corpora.small(tmp_path, 20, 16)
    for count in (1, 4, 8):
        shares = [folder for number in range(count) for folder in corpus.share(number, count)]
        assert sorted(shares) == sorted(corpus.folders)
    headers = [dcmread(path, stop_before_pixels=True) for path in corpus.files]
    assert len({ds.SOPInstanceUID for ds in headers}) == len(corpus.files) == 24
    assert len({ds.StudyInstanceUID for ds in headers}) == 8


def test_a_huge_object_is_a_whole_object_that_takes_no_room(tmp_path: Path) -> None:
    (path, *_) = corpora.huge(tmp_path, frames=64, count=1).files
    assert path.stat().st_blocks * 512 < 1 << 20
    ds = dcmread(path)
    assert len(ds.PixelData) == ds.NumberOfFrames * ds.Rows * ds.Columns * 2 == 64 * corpora.FRAME


def test_a_stored_file_with_another_byte_is_found(tmp_path: Path) -> None:
    sent = corpora.small(tmp_path / "sent", 8, 16).files
    kept = tmp_path / "kept"
    kept.mkdir()
    for number, path in enumerate(sent):
        (kept / str(number)).write_bytes(path.read_bytes())
    assert stored.same_bytes(sent, stored.instances(kept))
    whole = (kept / "0").read_bytes()
    (kept / "0").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not stored.same_bytes(sent, stored.instances(kept))


def test_what_is_being_written_is_not_counted_as_stored(tmp_path: Path) -> None:
    path = corpora.small(tmp_path / "sent", 8, 16).files[0]
    for folder in ("incoming", "instances"):
        (tmp_path / "spool" / folder).mkdir(parents=True)
        (tmp_path / "spool" / folder / "1.dcm").write_bytes(path.read_bytes())
    (found,) = stored.instances(tmp_path / "spool").values()
    assert found.parent.name == "instances"


def test_tcp_nodelay_is_set_for_everybody_or_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCP_NODELAY", "1")
    monkeypatch.setenv("OVERREAD_DICOM__DURABILITY", "none")
    assert environment(nodelay=True)["TCP_NODELAY"] == "1"
    assert "TCP_NODELAY" not in environment(nodelay=False)
    assert "OVERREAD_DICOM__DURABILITY" not in environment(nodelay=True)


def test_our_receiver_runs_without_gateway_and_workers_under_the_policy_asked_for(tmp_path: Path) -> None:
    plan = ours("none", processes=3)(tmp_path, 11112)
    assert [command.name for command in plan.commands] == ["receiver", "indexer"]
    assert plan.sockets == 3
    assert 'durability = "none"' in (tmp_path / "overread.toml").read_text()
    assert all(
        command.arguments[1:3] == ("-m", "node.service") for command in our_processes(tmp_path / "overread.toml")
    )


def group(program: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


BURN = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def test_the_cpu_time_of_children_that_have_ended_is_counted() -> None:
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])"
    with group(f"{child}\nprint('done', flush=True)\ninput()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert cpu_seconds(process.pid) > 0.35
        process.kill()


def test_the_highest_memory_of_each_process_is_kept() -> None:
    held, gone = (f"print({word!r}, flush=True)\ninput()\n" for word in ("held", "gone"))
    with group(f"held = b'x' * (64 << 20)\n{held}del held\n{gone}") as one:
        assert one.stdin is not None
        assert one.stdout is not None
        assert one.stdout.readline() == "held\n"
        with Peak({"one": one.pid}, 0.01) as peak:
            eventually("its memory was looked at", lambda: peak.samples)
            one.stdin.write("\n")
            one.stdin.flush()
            assert one.stdout.readline() == "gone\n"
        assert memory([one.pid]).anonymous < 64 << 20 < peak.highest.anonymous
        assert peak.each == {"one": peak.highest.pss}
        one.kill()


def test_sockets_that_listen_are_counted_each() -> None:
    with socket.socket() as one, socket.socket() as other:
        for server in (one, other):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        other.bind(("127.0.0.1", port))
        assert listeners(port) == 0
        one.listen()
        assert listeners(port) == 1
        other.listen()
        assert listeners(port) == 2


def test_the_table_says_what_must_be_reached_and_whether_it_is() -> None:
    runs = [made("ours", 0, 1.0), made("storescp --fork", 0, 2.0), made("Orthanc", 0, 2.0)]
    lines = report.as_markdown(runs).splitlines()
    title, reached = "| CT 512x512, 1 association, durable |", "| 2.00x | 2.00 to 2.00 | 1 |"
    assert f"{title} DCMTK storescp --fork | at least 1x {reached} yes |" in lines
    assert f"{title} Orthanc | at least 2.5x {reached} **no** |" in lines
