"""From the last C-STORE answer to the SEG in the PACS, split by stage: `python -m tests.benchmarks.pipeline`.

The quiet time that completeness waits for is configured to zero, so that what remains is the node's own. The PACS is
Orthanc where it is installed, else the simulator.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.progress import track
from sqlalchemy import select

from node.records.schema import Delivery, Event, Result
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator
from node.simulator.studies import generate
from tests.nodes import RunningNode, running
from tests.peers import Orthanc, eventually

STAGES = ("complete", "queue", "infer", "build", "deliver", "total")
MEANING = {
    "complete": "last answer to the study judged complete and its job queued",
    "queue": "job queued to a worker at work",
    "infer": "load, check, predict, prediction on disk",
    "build": "SEG, SR and ORU built and on disk",
    "deliver": "SEG accepted by the PACS (status 0000)",
    "total": "last C-STORE answer to SEG accepted",
}


@contextmanager
def pacs(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Run a PACS; gives its name, port and AE title."""
    program = shutil.which("Orthanc")
    if program is None:
        with PacsSimulator(folder / "pacs") as simulator:
            yield "simulator", simulator.port, "SIM_PACS"
        return
    orthanc = Orthanc(program, folder / "orthanc")
    try:
        yield "Orthanc", orthanc.dicom_port, "ORTHANC"
    finally:
        orthanc.stop()


def one(node: RunningNode, seed: int) -> dict[str, float]:
    """Send one study; returns the seconds of each stage."""
    study = generate(seed, at=dt.datetime(2026, 1, 1) + dt.timedelta(seconds=seed))
    folder = node.folder / "modality"
    for outcome in send_study(study, folder, "127.0.0.1", node.dicom_port, called_ae="OVERREAD"):
        outcome.raise_for_status()
        answered = dt.datetime.now(dt.UTC)
    eventually("the study is delivered", lambda: node.settled(seed), 120, 0.05)
    with node.records.read() as session:
        row = next(item for item in node.studies() if item.uid == study.study_uid)
        at = {event.kind: event.at for event in session.scalars(select(Event).where(Event.study_fk == row.id))}
        query = select(Delivery).join(Result).where(Result.kind == "seg").order_by(Delivery.id.desc())
        delivered = session.scalars(query).first()
        assert delivered is not None
        assert delivered.accepted_at is not None
    events = ("job.queued", "job.running", "job.inferred", "result.built")
    marks = [answered, *(at[kind] for kind in events), delivered.accepted_at]
    seconds = [(after - before).total_seconds() for before, after in pairwise(marks)]
    return dict(zip(STAGES, [*seconds, (marks[-1] - marks[0]).total_seconds()], strict=True))


def measure(runs: int) -> dict[str, object]:
    """Run the benchmark; returns medians and spreads."""
    folder = Path(tempfile.mkdtemp(prefix="overread-bench-"))
    try:
        with pacs(folder) as (name, port, title):
            extra = (
                '[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\n'
                f'port = {port}\nae_title = "{title}"\n'
            )
            quiet = {"quiet_seconds": 30.0, "release_quiet_seconds": 0.0}
            with running(folder / "node", extra, completeness=quiet) as node:
                found = [
                    one(node, seed) for seed in track(range(1, runs + 2), "studies", console=Console(stderr=True))
                ][1:]  # the first warms up
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "pacs": name,
        "runs": runs,
        "stages": {
            stage: {
                "median_s": round(statistics.median(run[stage] for run in found), 3),
                "min_s": round(min(run[stage] for run in found), 3),
                "max_s": round(max(run[stage] for run in found), 3),
                "meaning": MEANING[stage],
            }
            for stage in STAGES
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    print(json.dumps(measure(parser.parse_args().runs), indent=2))  # noqa: T201
