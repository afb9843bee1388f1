"""A dry run: the model sees a generated study of the kind that its card names, in a process of its own.

The process is killed when it takes too long; what it needed of time and memory, what it gave, and what it printed is
shown to the operator. The study is not a patient: findings of a dry run say that the model runs, not that it is right.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contracts import Geometry, InputDeclined, InputKind, Model, ModelError, Prediction, Radiograph, Volume
from models.site.card import SiteCard
from models.site.errors import ModelRefused
from models.site.plan import ENGINES, Plan
from models.site.step_grids import Spacing
from models.site.steps import Step

#: A study that takes longer is not tried out on import; a bundle may say so with --seconds.
DEFAULT_SECONDS = 300.0

#: The process starts where this code lies: Python looks for modules where it starts, and an operator may start the
#: import within the folder of the model that is to be looked at.
HERE = Path(__file__).resolve().parents[2]

LOOK_SECONDS = 0.1
MAX_LOG_BYTES = 64 << 20
SHOWN_BYTES = 2000

#: Side of the generated stack in voxels, where the card does not ask for more.
SIDE = 64
PIXELS = 1024

#: Voxels of the largest stack that is generated.
MAX_STUDY_VOXELS = 100_000_000

#: The tilt of the generated stack about its row axis, in degrees: labels must come back through it.
OBLIQUE_DEG = 8.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dry run showed.

    Parameters
    ----------
    load_seconds, predict_seconds
        Wall time of loading and of one prediction.
    peak_mb
        Most memory of the process while it loaded and predicted, beyond what it had before, in MB.
    """

    study: str
    load_seconds: float
    predict_seconds: float
    peak_mb: float
    device: str
    outputs: tuple[str, ...]
    findings: tuple[str, ...]
    warnings: tuple[str, ...]


def study(card: SiteCard, steps: tuple[Step, ...] = ()) -> Volume | Radiograph:
    """A generated study of the card's kind: a body with an organ and a spot in it, tilted; or a chest of two lungs."""
    rng = np.random.default_rng(0)
    if card.input.kind is InputKind.RADIOGRAPH:
        side = max(PIXELS, card.input.min_pixels)
        view = card.input.views[0] if card.input.views else "PA"
        attributes = {"BodyPartExamined": card.input.body_parts[0]} if card.input.body_parts else {}
        return Radiograph(_chest(rng, side), card.input.modality[0], view, (0.3, 0.3), attributes)
    modality = card.input.modality[0]
    spacing = _spacing(card, steps)
    count = [max(SIDE, card.input.min_slices), SIDE, SIDE]
    low, high = card.input.accept_extent_mm
    lengths = [
        int(np.clip(n, np.ceil(low / step), max(1, np.floor(high / step))))
        for n, step in zip(count, spacing, strict=True)
    ]
    shape = (lengths[0], lengths[1], lengths[2])
    if math.prod(shape) > MAX_STUDY_VOXELS:
        raise ModelRefused(
            f"the study that the card asks for has {' x '.join(map(str, shape))} voxels, too many to generate: widen "
            "accept_extent_mm, accept_spacing_mm or min_slices"
        )
    attributes = {"SeriesDescription": " ".join(card.input.phases[:1])}
    if card.input.body_parts:
        attributes["BodyPartExamined"] = card.input.body_parts[0]
    return Volume(_body(rng, shape, modality), Geometry(_affine(spacing, shape), shape), modality, attributes)


def _spacing(card: SiteCard, steps: tuple[Step, ...]) -> tuple[float, float, float]:
    """What the network wants, within what the card accepts; slices a little thicker than pixels where that is open."""
    low, high = card.input.accept_spacing_mm
    wanted = next((step.mm for step in steps if isinstance(step, Spacing)), (1.5, 1.5, 2.0))
    a, b, c = (float(np.clip(step, max(low, 0.1), high)) for step in (max(wanted), min(wanted), min(wanted)))
    return a, b, c


def _affine(spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> Any:
    turn = np.radians(OBLIQUE_DEG)
    directions = np.array([[0, 0, 1], [-np.sin(turn), np.cos(turn), 0], [np.cos(turn), np.sin(turn), 0]])
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def _body(rng: np.random.Generator, shape: tuple[int, int, int], modality: str) -> Any:
    """Air, a body, an organ, a spot: Hounsfield units for CT, else positive numbers."""
    axes = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    spot = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(axes, (0.1, 0.2, -0.25), strict=True)))
    values = (-1000.0, 30.0, 110.0, 1000.0) if modality == "CT" else (5.0, 300.0, 500.0, 800.0)
    array = np.full(shape, values[0])
    for inside, value in zip((radius < 0.9, radius < 0.45, spot < 0.12), values[1:], strict=True):
        array[inside] = value
    return (array + rng.normal(0, 12, shape)).clip(-1024 if modality == "CT" else 0, None).astype(np.float32)


def _chest(rng: np.random.Generator, side: int) -> Any:
    """Bright body, two dark lungs, noise; 0 to 1, of a height that differs from the width."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, side + side // 8), np.linspace(-1, 1, side), indexing="ij")
    array = 0.75 - 0.1 * rows**2
    for centre in (-0.42, 0.42):
        lung = ((columns - centre) / 0.3) ** 2 + (rows / 0.62) ** 2 < 1
        array[lung] -= 0.45
    return (array + rng.normal(0, 0.02, array.shape)).clip(0, 1).astype(np.float32)


def try_out(model: Model, source: Volume | Radiograph) -> tuple[Prediction, float]:
    """One prediction on the generated study, checked as a worker checks it, and its seconds."""
    from models.outputs import check_output

    began = time.perf_counter()
    prediction = model.predict(source)
    seconds = time.perf_counter() - began
    check_output(prediction)
    shape = source.array.shape if isinstance(source, Volume) else (1, *source.array.shape)
    if prediction.labels is not None and prediction.labels.shape != shape:
        raise ModelError(f"the labels are of {prediction.labels.shape} voxels; the study of {shape}")
    return prediction, seconds


def in_process(folder: Path, plan: Plan, registered: Any, device: str) -> Outcome:
    """Load and try out here."""
    before = _memory_mb("VmRSS")
    began = time.perf_counter()
    model = ENGINES[plan.card.engine.kind].load(folder, plan, registered, device)
    loaded = time.perf_counter() - began
    source = study(plan.card, plan.steps)
    prediction, seconds = try_out(model, source)
    grid = " x ".join(str(length) for length in source.array.shape)
    return Outcome(
        study=f"{source.modality}, {grid}",
        load_seconds=round(loaded, 3),
        predict_seconds=round(seconds, 3),
        peak_mb=round(max(0.0, _memory_mb("VmHWM") - before), 1),
        device=device,
        outputs=tuple(_outputs(prediction)),
        findings=tuple(one.text for one in prediction.findings),
        warnings=prediction.warnings,
    )


def in_child(folder: Path, plan: Plan, registered: Any, device: str, seconds: float = DEFAULT_SECONDS) -> Outcome:
    """Load and try out in a process of its own, which is killed with all its children in the end.

    Raises
    ------
    ModelRefused
        If it fails, dies or takes longer than ``seconds``; with the reason, and the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="overread-dry-run-") as base:
        task, answer, log = Path(base, "task.json"), Path(base, "answer.json"), Path(base, "log")
        from models import cards

        said = {"plan": json.loads(plan.text()), "card": cards.card_to_dict(registered)}
        task.write_text(json.dumps(said), encoding="utf-8")
        argv = [sys.executable, "-m", "models.site.dry_run", str(folder.resolve()), str(task), str(answer), device]
        # The settings of the node may come by the environment, passwords among them.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OVERREAD_")}
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, cwd=HERE, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        try:
            _waited(process, log, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return _answered(process.returncode, answer, log)


def _waited(process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait within the time, and while what is printed is no more than a disk should hold."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
        if time.monotonic() > deadline:
            raise ModelRefused(f"the dry run took longer than {seconds:g} s (--seconds)")
        if log.stat().st_size > MAX_LOG_BYTES:
            raise ModelRefused(f"the dry run printed more than {MAX_LOG_BYTES >> 20} MB")


def _answered(status: int, answer: Path, log: Path) -> Outcome:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - SHOWN_BYTES))
        printed = plain(file.read().decode("utf-8", "replace"))
    if status < 0:
        raise ModelRefused(f"the dry run was ended by signal {-status} (memory?). {printed}".strip())
    try:
        said = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelRefused(f"the dry run ended with the status {status}. {printed}".strip()) from None
    if "refused" in said:
        raise ModelRefused(f"the dry run failed: {plain(said['refused'])}")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    return Outcome(**given)


def plain(text: str) -> str:
    """Text without what a terminal would act on."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text).strip()


def _outputs(prediction: Prediction) -> list[str]:
    shown = []
    if prediction.labels is not None:
        values = ", ".join(str(value) for value in np.unique(prediction.labels)[:12])
        shown.append(f"labels {' x '.join(map(str, prediction.labels.shape))}: {values}")
    shown += [f"map {item.label} {' x '.join(map(str, item.array.shape))}" for item in prediction.maps]
    return [*shown, f"{len(prediction.findings)} findings"]


def _memory_mb(key: str) -> float:
    """Memory of this process now (``VmRSS``) or at most (``VmHWM``), in MB; proc(5). 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    found = next((line.split()[1] for line in lines if line.startswith(f"{key}:")), "0")
    return int(found) / 1024.0


def main(folder: str, task: str, answer: str, device: str) -> None:
    """Run as a process; the outcome, or the reason why there is none, goes into ``answer``."""
    from models import cards
    from models.site.command_run import CommandFailed

    given = json.loads(Path(task).read_text(encoding="utf-8"))
    _die_first()
    try:
        plan, registered = Plan.model_validate(given["plan"]), cards.card_from_dict(given["card"])
        said = asdict(in_process(Path(folder), plan, registered, device))
    except CommandFailed as error:
        said = {"refused": f"{error}. {error.printed}".strip()}
    except InputDeclined as error:
        said = {"refused": f"the card's [input] declines what it asks for: {error}"}
    except ModelError as error:
        said = {"refused": str(error)}
    except MemoryError:
        said = {"refused": "there is not enough memory for it, or for the study that its card asks for"}
    Path(answer).write_text(json.dumps(said), encoding="utf-8")


def _die_first() -> None:
    """Where memory ends, the kernel is to end this process and not the node's (proc(5), oom_score_adj)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
