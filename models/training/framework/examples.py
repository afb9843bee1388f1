"""A page of held-out cases: what the model saw, what it said, and what moved it.

Such a page shows people's images: it belongs into the folder of a training, never into the repository or a release.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

from models.contracts import InputDeclined, LabelArray, Model, Prediction, Source
from models.training.framework.panels import SHAPES, draw
from models.training.framework.plots import figure

T = TypeVar("T")
FILE = "examples.png"

#: Cases on a page.
COUNT = 8

#: Held-out cases that a page is chosen of, where asking the model takes long.
LOOKED_AT = 120


@dataclass(frozen=True, eq=False)
class Example:
    """One held-out case with the model's answer.

    Parameters
    ----------
    truth, said
        What the label says, and what the model said.
    right
        Whether they agree.
    reference
        ``[slice, row, column]`` of a volume: what should have been drawn; None where nothing is known of it.
    probability
        That the model gave to what it was asked.
    """

    case: str
    truth: str
    said: str
    right: bool
    source: Source
    prediction: Prediction
    reference: LabelArray | None = None
    probability: float = 0.5

    @property
    def title(self) -> str:
        """What stands above it."""
        return f"{self.case}: {'right' if self.right else 'WRONG'}\n{self.truth}; said: {self.said}"


def ask(model: Model, items: Iterable[tuple[str, Source, bool]], names: tuple[str, str]) -> list[Example]:
    """Ask a model of which the first finding says whether something is present; what it declines is left out.

    Parameters
    ----------
    items
        Name, source and truth of each case.
    names
        Of its absence and of its presence.
    """
    found = []
    for case, source, truth in items:
        try:
            prediction = model.predict(source)
        except InputDeclined:
            continue
        present, probability = prediction.findings[0].present, prediction.scores["probability"]
        said = f"{names[present]}, p = {probability:.2f}"
        found.append(Example(case, names[truth], said, present == truth, source, prediction, probability=probability))
    return found


def choose(examples: Iterable[Example], count: int = COUNT) -> list[Example]:
    """Choose for a page: wrong ones for at most half of it, then right ones; the surest first, each truth in turn."""
    ordered = sorted(examples, key=lambda one: (-abs(one.probability - 0.5), one.case))
    wrong = _in_turn([one for one in ordered if not one.right])[: count // 2]
    return [*wrong, *_in_turn([one for one in ordered if one.right])[: count - len(wrong)]]


def _in_turn(ordered: Sequence[Example]) -> list[Example]:
    """Deal examples out so that each truth has its turn."""
    truths = dict.fromkeys(one.truth for one in ordered)
    rounds = zip_longest(*([one for one in ordered if one.truth == truth] for truth in truths))
    return [one for one in chain.from_iterable(rounds) if one is not None]


def some(cases: Sequence[T]) -> Sequence[T]:
    """Every so-manyth of many cases, :data:`LOOKED_AT` at most."""
    return cases[:: -(-len(cases) // LOOKED_AT) or 1]


def page(path: Path, examples: Sequence[Example]) -> None:
    """Draw examples of one kind of source; of none, nothing is written.

    Volumes show the slice with most of the reference (white, dashed) with the model's drawing; radiographs the heat map
    beside them; waveforms the importance over time behind them; records what moved the answer.
    """
    if not examples:
        return
    shape = SHAPES[type(examples[0].source)]
    rows = -(-len(examples) // shape.columns)
    with figure(path, (shape.columns * shape.width_inches, rows * shape.height_inches)) as drawn:
        cells = drawn.subfigures(rows, shape.columns, squeeze=False)
        for cell, example in zip(cells.flat, examples, strict=False):
            cell.suptitle(example.title, fontsize=8, color="black" if example.right else "firebrick")
            draw(cell, example.source, example.prediction, example.reference)
