from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from node.dicom.sender import SendOutcome, echo, send
from node.errors import DeliveryError
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator
from node.simulator.studies import generate
from tests.peers import free_port


def test_a_study_of_the_modality_arrives_whole(tmp_path: Path) -> None:
    study = generate(1, accession_number="A1")
    with PacsSimulator(tmp_path / "pacs") as pacs:
        seen: list[SendOutcome] = []
        outcomes = list(
            send_study(study, tmp_path / "out", "127.0.0.1", pacs.port, called_ae="SIM_PACS", progress=seen.append)
        )
        assert all(outcome.ok for outcome in outcomes)
        assert seen == outcomes
        assert pacs.wait_for(len(study.datasets), 5.0)
        assert {item.calling_ae_title for item in pacs.received} == {"SIM_MODALITY"}
    kept = sorted((tmp_path / "pacs" / study.study_uid).iterdir())
    assert len(kept) == len(study.datasets)
    by_uid = {str(ds.SOPInstanceUID): ds for ds in study.datasets}
    for path in kept:
        assert dcmread(path).PixelData == by_uid[path.stem].PixelData


def test_it_can_be_told_to_misbehave_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    study = generate(1)
    pacs = PacsSimulator(tmp_path / "pacs", answers=[0xA700], delay=0.01).start()
    try:
        (first, *rest) = send_study(study, tmp_path / "out", "127.0.0.1", pacs.port, called_ae="SIM_PACS")
        assert first.status == 0xA700
        assert all(outcome.ok for outcome in rest)
        port = pacs.port
        pacs.stop()
        with pytest.raises(DeliveryError):
            echo("127.0.0.1", port, "SIM_PACS", "ME", timeout=2.0)
        pacs.start()
        assert pacs.port == port
        echo("127.0.0.1", port, "SIM_PACS", "ME")
    finally:
        pacs.stop()


def test_wait_for_gives_up(tmp_path: Path) -> None:
    with PacsSimulator(tmp_path) as pacs:
        assert not pacs.wait_for(1, 0.05)


@pytest.mark.peer
def test_storescu_and_echoscu_of_dcmtk_are_served(
    tmp_path: Path, peer: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCP_NODELAY", "1")
    study = generate(1)
    with PacsSimulator(tmp_path / "pacs") as pacs:
        list(send_study(study, tmp_path / "out", "127.0.0.1", pacs.port, called_ae="SIM_PACS"))
        subprocess.run([peer("echoscu"), "127.0.0.1", str(pacs.port)], check=True, timeout=20)
        subprocess.run(
            [peer("storescu"), "+sd", "127.0.0.1", str(pacs.port), str(tmp_path / "out" / study.study_uid)],
            check=True,
            timeout=30,
        )
        assert len(pacs.received) == 2 * len(study.datasets)


def test_it_runs_as_a_process_and_stops_when_asked(tmp_path: Path) -> None:
    port = free_port()
    program = "import sys; from pathlib import Path; from node.simulator.pacs import run_pacs; "
    program += f"run_pacs(Path(sys.argv[1]), 'SIM_PACS', '127.0.0.1', {port})"
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                echo("127.0.0.1", port, "SIM_PACS", "ME", timeout=2.0)
                break
            except DeliveryError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
    assert list(send([], "127.0.0.1", port, "A", "B")) == []
