"""Saliency over time: how much the answer of a model rests on each stretch of a signal, by occlusion.

A stretch is blanked, the model is asked again, and what the answer loses is what the stretch was worth (Zeiler MD,
Fergus R, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2, for images). Unlike a gradient
it includes what is computed of the signal before the network sees it, such as the intervals between beats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Span = tuple[int, int]

Blanked = Callable[[Sequence[Span]], Array]
"""Gives the answer (a log-odds) with each of these stretches blanked, ``[span]``; a span is its first sample and the
first one after it."""

#: A loss of less than this many log-odds is nothing: without it, noise of a strip that rests on nothing would be shown
#: as if it were much.
LEAST_LOSS = 0.2


def spans_over(length: int, width: int, step: int) -> list[Span]:
    """Stretches of ``width`` samples every ``step`` over ``length``; the last one ends with the signal."""
    if width < 1 or step < 1:
        raise ValueError("width and step of an occlusion are at least one sample")
    if length <= width:
        return [(0, length)]
    starts = [*range(0, length - width, step), length - width]
    return [(start, start + width) for start in starts]


def losses(answer: float, blanked: Blanked, length: int, width: int, step: int) -> Array:
    """What the answer loses by each stretch, spread over time.

    Parameters
    ----------
    answer
        Log-odds without blanking.
    length, width, step
        In samples.

    Returns
    -------
    array
        ``[ceil(length / step)]``: at each step the mean loss of all stretches that cover its middle; negative where the
        answer rises without it.
    """
    spans = spans_over(length, width, step)
    lost = answer - np.asarray(blanked(spans), dtype=np.float64)
    middles = np.minimum((np.arange(-(-length // step)) + 0.5) * step, length - 0.5)
    first = np.array([span[0] for span in spans])[None]
    last = np.array([span[1] for span in spans])[None]
    covers = (first <= middles[:, None]) & (middles[:, None] < last)
    return np.asarray((covers * lost[None]).sum(axis=1) / np.maximum(covers.sum(axis=1), 1))


def as_importance(lost: Array, *, smooth: int = 3) -> npt.NDArray[np.float32]:
    """Turn losses into importance from 0 to 1: smoothed, without what speaks against, the most important is 1.

    Parameters
    ----------
    smooth
        Steps over which the mean is taken.
    """
    kernel = np.ones(smooth)
    mean = np.convolve(lost, kernel, "same") / np.convolve(np.ones_like(lost), kernel, "same")
    positive = np.maximum(mean, 0.0)
    return np.asarray(positive / max(float(positive.max(initial=0.0)), LEAST_LOSS), dtype=np.float32)
