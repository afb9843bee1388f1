"""How long each shipped model takes for one generated input: `python -m tests.benchmarks.answering`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from models import catalog
from models.contracts import Source
from models.training.lung_nodule.thorax import thorax
from tests.models.imaging.chest_xray.chests import chest, radiograph
from tests.models.labs.generated import record
from tests.models.phantoms import blob
from tests.models.signals.generated import TWELVE, ecg, heart_sound, lead_two, sound, twelve_leads


def _single_lead(seconds: float) -> Source:
    return ecg(lead_two(seconds, 300, 0)[0][None], 300)


def _twelve_leads(seconds: float) -> Source:
    return ecg(twelve_leads(lead_two(seconds, 500, 0)[0], np.random.default_rng(0)), 500, TWELVE)


#: What is asked: the model, and how its input is made.
ASKED: Mapping[str, tuple[str, Callable[[], Source]]] = MappingProxyType(
    {
        "hippocampus, 36 x 50 x 34 voxels of 1 mm": ("hippocampus", blob),
        "chest-xray-pneumonia, 2000 x 2000 pixels": ("chest-xray-pneumonia", lambda: radiograph(chest(2000))),
        "chest-xray-severity, 2000 x 2000 pixels": ("chest-xray-severity", lambda: radiograph(chest(2000), age=60.0)),
        "ecg-af, one lead, 30 s": ("ecg-af", lambda: _single_lead(30)),
        "ecg-af, one lead, 30 min": ("ecg-af", lambda: _single_lead(1800)),
        "ecg-af, twelve leads, 10 s": ("ecg-af", lambda: _twelve_leads(10)),
        "heart-sound, 5 s": ("heart-sound", lambda: sound(heart_sound(5, 2000, 0)[0], 2000)),
        "labs-risk, 48 h": ("labs-risk", record),
        "lung-nodule, 512 x 512 x 300 voxels": (
            "lung-nodule",
            lambda: thorax(0, (300, 512, 512), (1.0, 0.7, 0.7), 3)[0],
        ),
    }
)


def seconds_of(name: str, make: Callable[[], Source], runs: int) -> dict[str, object]:
    """Seconds of each run after one that warms up."""
    model, source = catalog.load(name, "cpu"), make()
    model.predict(source)
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        model.predict(source)
        taken.append(round(time.perf_counter() - started, 3))
    return {"median": statistics.median(taken), "runs": taken}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="answers that are timed, after one that is not")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--model", default="", help="only what is asked of this model")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found: dict[str, object] = {"threads": given.threads, "load_average": os.getloadavg()}
    chosen = {said: asked for said, asked in ASKED.items() if given.model in ("", asked[0])}
    for said, (name, make) in track(chosen.items(), "models", total=len(chosen), console=Console(stderr=True)):
        found[said] = seconds_of(name, make, given.runs)
    print(json.dumps(found, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
