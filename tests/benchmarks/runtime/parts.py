"""The three measurements: a worker against a bare loop, batches against one at a time, and what tuning brings."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import catalog, gpu, machine, runtime
from models.contracts import Model, Prediction, Radiograph, Volume
from models.running import child
from models.running.host import Host, set_up
from models.running.options import RunOptions
from models.running.process import ModelProcess
from models.running.tuning import channels_last, compile_network, networks_of
from models.training.framework.agreement import dice
from node.simulator import studies
from tests.benchmarks.runtime.batching import Images, Shelf
from tests.benchmarks.runtime.crew import MODEL, Crew, crew
from workers.reading.volume.load import read_series

LIMIT = 1.15
"""Wall time of the worker over that of the bare loop; the issue's figure."""


def pipeline(pairs: int, count: int) -> dict[str, Any]:
    """Time ``count`` studies queued at once against a bare loop of load and predict over them, in turns."""
    runtime.set_threads(machine.threads_for(0, 1))
    model = catalog.load(MODEL)
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder, crew(Path(folder)) as found:
        warm = found.add(1)
        found.run([warm])
        _bare(model, found, [warm])
        runs = [_pair(model, found, pair, count) for pair in range(pairs)]
    ratios = [run["inferred"] / run["bare"] for run in runs]
    built = [run["built"] / run["bare"] for run in runs]
    return {
        "studies": count,
        "pairs": runs,
        "ratio_inferred": _spread(ratios),
        "ratio_built": _spread(built),
        "must_be_at_most": LIMIT,
    }


def _pair(model: Model, found: Crew, pair: int, count: int) -> dict[str, float]:
    jobs = [found.add(100 + pair * count + number) for number in range(count)]
    if pair % 2:
        bare, (inferred, built) = _bare(model, found, jobs), found.run(jobs)
    else:
        (inferred, built), bare = found.run(jobs), _bare(model, found, jobs)
    return {"bare": round(bare, 3), "inferred": round(inferred, 3), "built": round(built, 3)}


def _bare(model: Model, found: Crew, jobs: Sequence[str]) -> float:
    """Seconds of load and predict alone, in this process."""
    series = [found.series(job) for job in jobs]
    began = time.perf_counter()
    for paths in series:
        source = read_series(paths, model.card.requirements).source
        model.check(source)
        model.predict(source)
    return time.perf_counter() - began


def _image_host(connection: Connection, options: RunOptions, parent: int) -> None:
    """The process for models, with the benchmark's own."""
    child.belong_to(parent)
    set_up(options)
    child.serve(connection, Host(options, Shelf()).answer, parent)


def batches(runs: int, count: int) -> dict[str, Any]:
    """Time small radiographs one at a time and in batches through the process for models, in turns."""
    process = ModelProcess(RunOptions(reserve_bytes=0), 600.0, _image_host)
    rng = np.random.default_rng(1)
    images = [Radiograph(rng.random((224, 224), dtype=np.float32), "DX", "PA") for _ in range(count)]
    sizes = (1, Images.batch)
    found: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    try:
        device = process.ask("images", images[: Images.batch]).device
        for run in range(runs):
            for size in sizes if run % 2 else reversed(sizes):
                found[size].append(_through(process, images, size))
    finally:
        process.close()
    return {
        "device": device,
        "images": count,
        "of": {str(size): _rates(count, found[size]) for size in sizes},
        "gain": _spread([one[0] / many[0] for one, many in zip(found[1], found[Images.batch], strict=True)]),
    }


def _through(process: ModelProcess, images: Sequence[Radiograph], size: int) -> tuple[float, float]:
    """Wall and busy seconds."""
    began, busy = time.perf_counter(), 0.0
    for at in range(0, len(images), size):
        busy += process.ask("images", images[at : at + size]).busy_seconds
    return time.perf_counter() - began, busy


def _rates(count: int, runs: Sequence[tuple[float, float]]) -> dict[str, float]:
    wall = statistics.median(wall for wall, _ in runs)
    share = statistics.median(busy / wall for wall, busy in runs)
    return {"per_minute": round(60 * count / wall, 1), "busy_share": round(share, 3)}


def tuning(runs: int) -> dict[str, Any]:
    """Time the hippocampus model plainly, channels last, in bfloat16 and compiled, in turns; and what changes."""
    set_up(RunOptions())
    device = gpu.pick("auto")
    volume = _volume()
    variants = {name: (_varied(name), _context(name, device)) for name in VARIANTS}
    first = {name: _timed(model, volume, around)[0] for name, (model, around) in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    said: dict[str, Prediction] = {}
    for number in range(runs):
        for name, (model, around) in variants.items():
            if number and seconds[name][0] > HOPELESS * seconds["plain"][0]:
                continue  # bfloat16 where the processor has no instructions for it
            took, said[name] = _timed(model, volume, around)
            seconds[name].append(took)
    return {
        "device": str(device),
        "variants": {
            name: {
                "first_s": round(first[name], 3),
                "median_s": round(statistics.median(seconds[name]), 3),
                "runs": len(seconds[name]),
                "of_plain": _spread([own / plain for own, plain in zip(seconds[name], seconds["plain"], strict=False)]),
                "dice_with_plain": round(_agreement(said[name], said["plain"]), 5),
            }
            for name in VARIANTS
        },
    }


VARIANTS = ("plain", "channels_last", "bfloat16", "compiled")

HOPELESS = 10
"""A variant that takes so many times as long as the plain model is run once."""


def _varied(name: str) -> Model:
    model = catalog.load(MODEL)
    for network in networks_of(model):
        if name == "channels_last":
            channels_last(network)
        elif name == "compiled":
            compile_network(network)
    return model


def _context(name: str, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    if name == "bfloat16":
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return nullcontext


def _timed(
    model: Model, volume: Volume, around: Callable[[], AbstractContextManager[object]]
) -> tuple[float, Prediction]:
    began = time.perf_counter()
    with around():
        found = model.predict(volume)
    return time.perf_counter() - began, found


def _volume() -> Volume:
    with tempfile.TemporaryDirectory() as folder:
        paths = studies.write(studies.generate(3), Path(folder))
        return read_series(paths, catalog.card(MODEL).requirements).volume


def _agreement(one: Prediction, other: Prediction) -> float:
    """Least Dice of any label."""
    assert one.labels is not None
    assert other.labels is not None
    return min(float(dice(one.labels == label, other.labels == label)) for label in (1, 2))


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }
