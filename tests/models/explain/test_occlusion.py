from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.explain.occlusion import occlusion


def corner(pictures: torch.Tensor) -> torch.Tensor:
    """Answer by the upper left corner alone."""
    return pictures[:, 0, :4, :4].mean((1, 2))


def test_the_answer_falls_where_what_it_rests_on_is_covered() -> None:
    found = occlusion(corner, torch.ones(1, 20, 20), window=4, step=4)

    assert found[0, 0] == 1
    assert not found[4:, 4:].any()


def test_covering_what_speaks_against_the_answer_raises_it() -> None:
    assert occlusion(corner, -torch.ones(1, 20, 20), window=4, step=4)[0, 0] == -1


@given(
    rows=st.integers(1, 30), columns=st.integers(1, 30), window=st.integers(1, 12), step=st.integers(1, 15),
    batch=st.integers(1, 9),
)  # fmt: skip
def test_every_pixel_is_covered_whatever_the_sizes(rows: int, columns: int, window: int, step: int, batch: int) -> None:
    found = occlusion(lambda some: some.sum((1, 2, 3)), torch.ones(1, rows, columns), window=window, step=step,
                      batch=batch)  # fmt: skip

    assert found.shape == (rows, columns)
    assert bool((found > 0).all())
