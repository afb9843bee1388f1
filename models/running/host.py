"""Runs models on a device: resident, in batches, with less memory where there is less, alone what spoils a batch.

What the child process of a worker holds (:mod:`models.running.child`); with a small catalogue it runs in tests as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch

from models import gpu, machine
from models.contracts import BatchModel, InputDeclined, Model, Prediction, Source
from models.running.answers import Answers, Failure, Outcome, OutOfMemory, failed, reason_of
from models.running.memory import is_out_of_memory, release
from models.running.opening import Loads
from models.running.options import RunOptions
from models.running.residency import Residents
from models.running.tuning import autocast, chosen_precision, settle

CPU = torch.device("cpu")
ON_PROCESSOR = "The GPU's memory did not suffice: this was computed on the processor."


class Host:
    """The models of one process.

    Parameters
    ----------
    options
        Device, precision and the like; threads are the process's own matter (:func:`set_up`).
    catalogue
        Where models are loaded from.
    estimate
        Bytes that a model will take, asked before it is loaded.
    free
        Free bytes of a device.
    """

    def __init__(
        self,
        options: RunOptions,
        catalogue: Loads,
        *,
        estimate: Callable[[str], int] = lambda _: 0,
        free: Callable[[torch.device], int] = gpu.free_bytes,
    ) -> None:
        self._options = options
        self._device = gpu.pick(options.device, options.ordinal)
        self._residents = Residents(
            catalogue,
            settle=lambda model, device: settle(model, device, compiled=options.compiled),
            estimate=estimate,
            free=free,
            reserve=options.reserve_bytes,
        )

    def answer(self, name: str, sources: Sequence[Source]) -> Answers:
        """Run a model on each source; never raises for what a model, its weights or an input does."""
        began = time.perf_counter()
        try:
            model, device = self._loaded(name)
        except Exception as exc:
            return failed(reason_of(exc), sources)
        outcomes = self._outcomes(name, model, device, sources)
        batch = max(1, model.batch) if isinstance(model, BatchModel) else 1
        return Answers(tuple(outcomes), model.card, batch, time.perf_counter() - began, str(device))

    def _loaded(self, name: str) -> tuple[Model, torch.device]:
        """Load a model on the device, or on the processor where the device has no room for it."""
        for device in self._ladder():
            try:
                return self._residents.get(name, device), device
            except OutOfMemory:
                if device == CPU:
                    raise
        raise OutOfMemory(f"no device has room for the model {name}")

    def _ladder(self) -> Iterator[torch.device]:
        yield self._device
        if self._device != CPU:
            yield CPU

    def _outcomes(self, name: str, model: Model, device: torch.device, sources: Sequence[Source]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        for index, source in enumerate(sources):
            if (refused := _checked(model, source)) is not None:
                outcomes[index] = refused
        rest = [index for index in range(len(sources)) if index not in outcomes]
        found = self._together(model, device, [sources[index] for index in rest])
        if found is None:
            found = [self._alone(name, sources[index]) for index in rest]
        outcomes.update(zip(rest, found, strict=True))
        return [outcomes[index] for index in range(len(sources))]

    def _together(self, model: Model, device: torch.device, sources: Sequence[Source]) -> list[Outcome] | None:
        """Run several inputs at once; None where that is not possible, or one of them spoils it."""
        if len(sources) < 2 or not isinstance(model, BatchModel):
            return None
        try:
            with self._prepared(model, device):
                found = model.predict_many(sources)
        except Exception as exc:
            release(device)
            if not is_out_of_memory(exc):
                return None  # told of the input that is to blame, when each is run alone
            half = len(sources) // 2
            parts = [self._together(model, device, part) for part in (sources[:half], sources[half:])]
            return [outcome for part in parts for outcome in part or ()] if all(parts) else None
        return list(found) if len(found) == len(sources) else None

    def _alone(self, name: str, source: Source) -> Outcome:
        """Run one input; on the processor where the device's memory does not suffice even for it alone."""
        for device in self._ladder():
            for attempt in range(2):
                try:
                    return self._once(name, device, source)
                except InputDeclined as exc:
                    return Failure(str(exc), declined=True)
                except Exception as exc:
                    if not is_out_of_memory(exc) and not isinstance(exc, OutOfMemory):
                        return Failure(reason_of(exc))
                if attempt or not self._residents.give_up_others(name, device):
                    break
            release(device)
        return Failure(
            f"the model {name} ran out of memory on {' and '.join(map(str, self._ladder()))}; give this machine more "
            "memory, run fewer workers, or send it smaller series"
        )

    def _once(self, name: str, device: torch.device, source: Source) -> Prediction:
        model = self._residents.get(name, device)
        with self._prepared(model, device):
            prediction = model.predict(source)
        if device == self._device:
            return prediction
        return replace(prediction, warnings=(*prediction.warnings, ON_PROCESSOR))

    def _prepared(self, model: Model, device: torch.device) -> AbstractContextManager[object]:
        torch.manual_seed(0)  # the same input gives the same answer, of models that sample as well
        return autocast(device, chosen_precision(self._options.precision, device, model.card))


def _checked(model: Model, source: Source) -> Failure | None:
    try:
        model.check(source)
    except InputDeclined as exc:
        return Failure(str(exc), declined=True)
    except Exception as exc:
        return Failure(reason_of(exc))
    return None


def set_up(options: RunOptions) -> None:
    """Set threads and repeatability of this process; for a process that does nothing but run models."""
    torch.set_num_threads(machine.threads_for(options.threads, options.processes))
    if options.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
