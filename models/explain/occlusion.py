"""Occlusion maps: how much an answer falls where a part of the picture is covered.

Needs nothing of the network but its answer. Source: Zeiler MD, Fergus R. Visualizing and understanding convolutional
networks. ECCV 2014, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor


def occlusion(
    answer: Callable[[Tensor], Tensor], picture: Tensor, *, window: int = 7, step: int = 3, cover: float = 0.0,
    batch: int = 64,
) -> Tensor:  # fmt: skip
    """Cover each part of a picture in turn and see how far the answer falls.

    Parameters
    ----------
    answer
        ``[batch, channel, row, column]`` to ``[batch]``, such as a log-odds.
    picture
        ``[channel, row, column]``.
    window
        Side of the square that is covered, in pixels.
    step
        Pixels from one place of the square to the next; the last ones touch the edge.
    cover
        Value that is put in place of the picture.
    batch
        Covered pictures that are answered at once.

    Returns
    -------
    torch.Tensor
        ``[row, column]``: mean fall of the answer over the squares that cover the pixel; negative where covering raises
        it.
    """
    rows, columns = picture.shape[1:]
    places = [(top, left) for top in _starts(rows, window, step) for left in _starts(columns, window, step)]
    total, count = torch.zeros(rows, columns), torch.zeros(rows, columns)
    with torch.inference_mode():
        whole = float(answer(picture[None])[0])
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            answers = answer(torch.stack([_covered(picture, place, window, cover) for place in some]))
            for (top, left), found in zip(some, answers.tolist(), strict=True):
                total[top : top + window, left : left + window] += whole - found
                count[top : top + window, left : left + window] += 1
    return total / count


def _starts(length: int, window: int, step: int) -> list[int]:
    """Give where the window begins along one axis, so that every pixel is covered at least once."""
    last = max(length - window, 0)
    return sorted({*range(0, last, min(step, window)), last})


def _covered(picture: Tensor, place: tuple[int, int], window: int, cover: float) -> Tensor:
    top, left = place
    covered = picture.clone()
    covered[:, top : top + window, left : left + window] = cover
    return covered
