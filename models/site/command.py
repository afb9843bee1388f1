"""A model that is a command, such as a container: it gets a folder with an image and leaves a folder with its answer.

docs/bring_your_own.md has the contract. The command runs in a process group of its own, with an environment of its own.
What it prints is kept for the dry run and goes nowhere else: it may hold patient data.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.codes import LONG_AXIS, MILLIMETRE, NO_UNITS, PROBABILITY
from models.contracts import (
    Finding,
    Measurement,
    ModelCard,
    Prediction,
    Radiograph,
    Region,
    RegionKind,
    Source,
    UnusableOutput,
    Volume,
)
from models.site import answers, drawing
from models.site.base import SiteModel
from models.site.card import SiteCard
from models.site.checks import check
from models.site.coding import Meaning
from models.site.command_files import RESULT, Result, read_labels, read_result, write_input
from models.site.command_run import filled, run, workplace
from models.site.working import Working, of_radiograph, of_volume

#: What a command gets of the environment of the node; never its settings, which hold passwords.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
               "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST")  # fmt: skip

#: The model's folder stays as it was imported: Python leaves no compiled files there.
OWN = {"PYTHONDONTWRITEBYTECODE": "1"}


class CommandModel(SiteModel):
    """The model of the catalogue; ``folder`` holds the files that came with the card."""

    def __init__(self, card: SiteCard, registered: ModelCard, folder: Path, device: str) -> None:
        super().__init__(card, registered)
        self._folder = folder.resolve()
        self._device = device

    def predict(self, source: Source) -> Prediction:
        """Write the input, run the command, read its answer.

        Raises
        ------
        CommandFailed
            If it ends with another status than 0, takes too long, or writes too much.
        UnusableOutput
            If its answer is not what the contract says.
        """
        found = check(source, self._site, self._card.requirements)
        with workplace() as base:
            place, answer = base / "in", base / "out"
            place.mkdir(mode=0o700)
            answer.mkdir(mode=0o700)
            write_input(found, place, self._site.engine.format)
            self._run(place, base, answer)
            return self._read(found, answer)

    def _run(self, place: Path, base: Path, answer: Path) -> None:
        engine = self._site.engine
        values = {"input": str(place), "output": str(answer), "folder": str(self._folder), "device": self._device,
                  "python": sys.executable}  # fmt: skip
        argv = [filled(part, values) for part in engine.argv]
        environment = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ} | OWN | {"HOME": str(base)}
        run(argv, base, environment, engine.timeout_seconds, engine.max_output_mb << 20)

    def _read(self, source: Volume | Radiograph, answer: Path) -> Prediction:
        said = read_result(answer)
        image = of_volume(source) if isinstance(source, Volume) else of_radiograph(source, columns_first=False)
        task = self._site.engine.task
        if task == "segmentation":
            drawn = drawing.described(read_labels(answer, image), image, self._site, self._known)
            return _with(drawn, said.warnings)
        if task == "detection":
            return _with(placed(said, image, self._known), said.warnings)
        numbers = _ordered(said.values, self._known)
        if task == "regression":
            return _with(answers.measured(numbers, self._known), said.warnings)
        return _with(answers.classified(numbers, self._site, self._known), said.warnings)


def _ordered(values: dict[str, float], known: tuple[Meaning, ...]) -> npt.NDArray[np.float32]:
    """Values by label as values by channel; every output of the card must be there, and no other."""
    labels = {item.output.label: item.channel for item in known}
    if missing := sorted(labels.keys() - values.keys()):
        raise UnusableOutput(f"{RESULT} must give one value for each output of the card; {missing[0]!r} is missing")
    if values.keys() != labels.keys():  # what it says in its place may be about the patient
        raise UnusableOutput(f"{RESULT} gives values for outputs that the card does not have")
    numbers = np.zeros(1 + max(labels.values()), dtype=np.float32)
    for label, value in values.items():
        numbers[labels[label]] = value
    return numbers


def placed(said: Result, image: Working, known: tuple[Meaning, ...]) -> Prediction:
    """Findings of places, which must lie in the image."""
    by_label = {item.output.label: item for item in known}
    findings: list[Finding] = []
    for number, place in enumerate(sorted(said.places, key=lambda one: -one.score), start=1):
        if (item := by_label.get(place.label)) is None:
            raise UnusableOutput(f"{RESULT} names an output that the card does not have")
        if not image.holds(np.array(place.lps)):
            raise UnusableOutput(f"{RESULT} names a place outside the image: places are LPS millimetres")
        size = () if place.diameter_mm is None else (Measurement(LONG_AXIS, place.diameter_mm, MILLIMETRE),)
        x, y, z = place.lps
        told = "" if place.diameter_mm is None else f"{place.diameter_mm:.0f} mm, "
        findings.append(
            Finding(
                place.label,
                item.code,
                (*size, Measurement(PROBABILITY, place.score, NO_UNITS)),
                confidence=place.score,
                text=f"{item.name} {number}: {told}probability {100 * place.score:.0f} %.",
                regions=(Region(RegionKind.POINT, (place.lps,)),),
                lesion=f"{x:.0f},{y:.0f},{z:.0f}",
            )
        )
    silent = [item for item in known if not any(one.label == item.output.label for one in findings)]
    absent = [Finding(item.output.label, item.code, text=f"{item.name}: none found.", present=False) for item in silent]
    return Prediction((*findings, *absent), scores={label: _highest(findings, label) for label in by_label})


def _highest(findings: list[Finding], label: str) -> float:
    return max((one.confidence or 0.0 for one in findings if one.label == label), default=0.0)


def _with(prediction: Prediction, warnings: tuple[str, ...]) -> Prediction:
    return dataclasses.replace(prediction, warnings=(*prediction.warnings, *warnings))
