from __future__ import annotations

import pytest
import torch

from models.running.answers import OutOfMemory
from models.running.tiles import TileShape, attempts, over_tiles


class Doubling(torch.nn.Module):
    """Doubles its input, with a limit on the tiles that it takes."""

    def __init__(self, most: int = 10**9, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.seen: list[tuple[int, ...]] = []

    def forward(self, tile: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(tile.shape))
        if tile.shape[0] * tile.shape[-1] > self.most:
            raise self.error("no")
        return torch.cat([tile * 2, tile], dim=1)


IMAGE = torch.rand(1, 1, 40, 70, 64, generator=torch.Generator().manual_seed(1))
SHAPE = TileShape((32, 64, 64), overlap=0.25, batch=2, smallest=16)


def test_tiles_are_put_together_to_the_whole() -> None:
    network = Doubling()
    tiled = over_tiles(network, IMAGE, SHAPE)
    assert set(network.seen) == {(2, 1, 32, 64, 64)}
    assert tiled.values.shape == (1, 2, 40, 70, 64)
    torch.testing.assert_close(tiled.values, torch.cat([IMAGE * 2, IMAGE], dim=1), rtol=1e-5, atol=1e-5)
    assert (tiled.window, tiled.warning) == ((32, 64, 64), "")


def test_a_volume_smaller_than_a_tile_is_padded_and_comes_back_in_its_shape() -> None:
    small = IMAGE[..., :9, :20, :30]
    torch.testing.assert_close(over_tiles(Doubling(), small, SHAPE).values[:, 1:], small, rtol=1e-5, atol=1e-5)


def test_a_model_that_eats_memory_gets_smaller_tiles_and_says_so() -> None:
    network = Doubling(most=32)
    tiled = over_tiles(network, IMAGE, SHAPE)
    torch.testing.assert_close(tiled.values[:, 1:], IMAGE, rtol=1e-5, atol=1e-5)
    assert tiled.window == (16, 32, 32)
    assert tiled.warning == (
        "Memory was short: the image was looked at in tiles of 16 x 32 x 32, "
        "where the model was trained with 32 x 64 x 64."
    )
    tried = list(dict.fromkeys(network.seen))
    assert tried == [(2, 1, 32, 64, 64), (1, 1, 32, 64, 64), (1, 1, 16, 32, 32)]


def test_fewer_at_once_are_tried_before_smaller_ones() -> None:
    tiled = over_tiles(Doubling(most=64), IMAGE, SHAPE)
    assert (tiled.window, tiled.warning) == ((32, 64, 64), "")


def test_memory_for_not_even_the_smallest_tile_is_an_error() -> None:
    with pytest.raises(OutOfMemory, match="not even tiles of 16"):
        over_tiles(Doubling(most=1), IMAGE, SHAPE)


def test_another_error_is_not_taken_for_want_of_memory() -> None:
    network = Doubling(most=1, error=ValueError)
    with pytest.raises(ValueError, match="no"):
        over_tiles(network, IMAGE, SHAPE)
    assert len(network.seen) == 1


def test_smaller_tiles_keep_the_multiple_and_end() -> None:
    tried = [shape.window for shape in attempts(TileShape((96, 96, 40), multiple=16, smallest=32))]
    assert tried == [(96, 96, 40), (96, 96, 40), (48, 48, 40)]


@pytest.mark.parametrize("wrong", [{"overlap": 1.0}, {"batch": 0}, {"window": (0, 3)}, {"window": ()}])
def test_what_cannot_be_cut_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tiles need"):
        TileShape(**{"window": (8, 8), **wrong})  # type: ignore[arg-type]
