"""A hospital's traffic twice through a whole node: in order and undisturbed, and with everything that goes wrong.

``python -m tests.campaigns.traffic --patients 100 --studies 60``. The patients are those of the MIMIC-IV demo, which is
looked for in ``OVERREAD_TEST_DATA``. What both nodes know in the end has to be equal, and each of their messages has to
be accepted by the RIS once. See docs/traffic.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from node.hl7.message import peek
from node.simulator.traffic import traffic
from node.simulator.traffic_plan import Faults, plan
from tests.campaigns import console
from tests.campaigns.console import Outcome
from tests.campaigns.traffic_run import Ended, run
from tests.campaigns.traffic_state import differences
from tests.conftest import data_root

SET = "ehr-mimic-iv-demo"
RIS_CUTS = 0.05
WAITING = 1
"""Studies without a report while the disturbed traffic goes on; the ordered one waits for each."""
DISTURBED = Faults(shuffle=True, connections=8, duplicates=0.05, cuts=0.02)


def campaign(
    folder: Path,
    data: Path,
    outcome: Outcome,
    *,
    patients: int,
    studies: int,
    seed: int,
    specimens: int = 0,
    seconds: float = 1800.0,
    step: Callable[[str, int], Callable[[], object]] = lambda name, total: lambda: None,
) -> None:
    """Run both and compare; ``step`` begins a progress bar and returns what moves it on."""
    events = traffic(data, patients=patients, studies=studies, seed=seed, specimens=specimens)
    for event in events:
        outcome.add(f"events: {peek(event.raw).type if event.raw else 'study'}")
    ended = []
    for name, faults, cuts, waiting in (("ordered", Faults(), 0.0, 0), ("disturbed", DISTURBED, RIS_CUTS, WAITING)):
        steps = plan(events, faults, seed)
        images = sum(event.study is not None for event in events)
        advance = step(name, steps.messages + images)
        one = run(
            folder / name,
            steps,
            studies=images,
            waiting=waiting,
            seed=seed,
            ris_cuts=cuts,
            seconds=seconds,
            advance=advance,
        )
        _tell(name, one, outcome)
        ended.append(one)
    compare(ended[0], ended[1], outcome, folder / "differences.txt")


def compare(ordered: Ended, disturbed: Ended, outcome: Outcome, target: Path) -> None:
    """Note each place in which the final states differ; all of them are written to a file."""
    found = [*_without_report(ordered, "ordered"), *_without_report(disturbed, "disturbed")]
    found += differences(ordered.state, disturbed.state)
    for text in found:
        outcome.violation(text)
    if found:
        target.write_text("\n".join(found), encoding="utf-8")
    for name in ("persons", "visits", "observations", "orders", "notes", "studies"):
        outcome.figures[f"compared: {name}"] = len(ordered.state[name])
    outcome.figures["differences"] = len(found)


def _without_report(ended: Ended, name: str) -> Iterator[str]:
    """Name the studies that have nothing to compare."""
    for uid, study in ended.state["studies"].items():
        reports = [job["last"] for job in study["jobs"].values()]
        if not reports or not all(last["sr"] and last["oru"] for last in reports):
            yield f"{name}: study {uid} has no report"


def _tell(name: str, ended: Ended, outcome: Outcome) -> None:
    for key, value in ended.figures.items():
        outcome.figures[f"{name}: {key}"] = value
    sent = ended.sent
    figures = {"messages": sent.messages, "repetitions": sent.repetitions, "sent again": sent.again}
    figures |= {f"cut {where}": count for where, count in sorted(sent.cuts.items())}
    figures |= {f"answered {code}": count for code, count in sorted(sent.answers.items())}
    for key, count in figures.items():
        outcome.figures[f"{name}: {key}"] = count
    for control_id, code in sent.refused:
        outcome.violation(f"{name}: message {control_id} was answered {code}")
    for text in ended.problems:
        outcome.violation(f"{name}: {text}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns 1 if a promise was broken."""
    parser = console.parser("traffic", __doc__)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--specimens", type=int, default=0, help="most specimens of a patient; 0: all")
    options = parser.parse_args(arguments)
    outcome, seed = Outcome(), console.seed_of(options)
    outcome.figures["seed"] = seed
    with console.workplace(options, "traffic", outcome) as folder, console.progress(0) as (bar, task):

        def step(name: str, total: int) -> Callable[[], object]:
            bar.reset(task, total=total, description=name)
            return lambda: bar.advance(task)

        campaign(
            folder,
            data_root() / SET,
            outcome,
            patients=options.patients,
            studies=options.studies,
            specimens=options.specimens,
            seed=seed,
            seconds=options.seconds,
            step=step,
        )
    return console.finish(outcome, options.json)


if __name__ == "__main__":
    sys.exit(main())
