"""Where a worker has its models run: in a process of their own that can be killed, or in its own (tests)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from models.contracts import Source
from models.running.answers import Answers, InferenceLost, failed
from models.running.opening import Loads
from models.running.options import RunOptions
from models.running.process import ModelProcess
from node.settings import Settings

if TYPE_CHECKING:
    from models.running.host import Host

SITE_MODELS = "models"
"""Folder of the site's own models below the root."""


class Inferrer(Protocol):
    """Runs models; what a model, its weights or an input does is in the answers and never raised."""

    def start(self) -> None:
        """Get ready, without waiting for it."""
        ...

    def batch(self, model: str) -> int:
        """Return how many inputs of a model are best given at once, as far as that is known yet."""
        ...

    def infer(self, model: str, sources: Sequence[Source]) -> Answers:
        """Run a model on some inputs."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class Isolated:
    """Runs models in a process of its own, which is killed when it takes too long and started anew when it ended."""

    def __init__(self, process: ModelProcess, log: Any) -> None:
        self._process, self._log = process, log
        self._batches: dict[str, int] = {}

    def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        self._process.start()

    def batch(self, model: str) -> int:
        """Return how many inputs of a model are best given at once: one, until the model has run."""
        return self._batches.get(model, 1)

    def infer(self, model: str, sources: Sequence[Source]) -> Answers:
        """Run a model on some inputs; where the process is lost over several, each is tried alone."""
        try:
            answers = self._process.ask(model, sources)
        except InferenceLost as exc:
            self._log.error("inference.lost", model=model, count=len(sources), reason=str(exc))
            self._process.start()
            return self._one_by_one(model, sources) if len(sources) > 1 else failed(str(exc), sources)
        self._batches[model] = answers.batch
        return answers

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _one_by_one(self, model: str, sources: Sequence[Source]) -> Answers:
        found = [self.infer(model, [source]) for source in sources]
        card = next((answers.card for answers in found if answers.card is not None), None)
        outcomes = tuple(outcome for answers in found for outcome in answers.outcomes)
        return Answers(outcomes, card, max(a.batch for a in found), sum(a.busy_seconds for a in found))


class Direct:
    """Runs models in this process; its host is made at the first question, so that torch is imported only then."""

    def __init__(self, catalogue: Loads, options: RunOptions) -> None:
        self._catalogue, self._options = catalogue, options
        self._host: Host | None = None

    def start(self) -> None:
        """Nothing has to be started."""

    def batch(self, model: str) -> int:
        """One at a time."""
        return 1

    def infer(self, model: str, sources: Sequence[Source]) -> Answers:
        """Run a model on some inputs."""
        if self._host is None:
            from models.running.host import Host

            self._host = Host(self._options, self._catalogue)
        return self._host.answer(model, sources)

    def close(self) -> None:
        """Nothing has to be ended."""


def options_of(settings: Settings, worker: str = "") -> RunOptions:
    """Return the options of the process that runs a worker's models.

    GPUs are shared out by the number that the worker's name ends in: ``worker-2`` takes the second.
    """
    section = settings.workers
    return RunOptions(
        device=section.device,
        ordinal=max(0, ordinal(worker) - 1),
        threads=section.threads,
        processes=section.processes,
        precision=section.precision,
        compiled=section.compile,
        deterministic=section.deterministic,
        reserve_bytes=section.reserve_mb << 20,
        site=Path(settings.node.root) / SITE_MODELS,
    )


def ordinal(worker: str) -> int:
    """Return the number that a name ends in, 1 where there is none."""
    digits = worker.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 1
