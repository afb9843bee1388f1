"""A network over a volume larger than what it sees at once: overlapping tiles, smaller ones where memory is short.

MONAI's sliding window does the work; the tiles' answers are blended with a Gaussian, so that the middle of a tile
counts more than its border (Isensee et al., Nature Methods 2021, use the same).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from models.running.answers import OutOfMemory
from models.running.memory import is_out_of_memory, release

Tensor = torch.Tensor
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TileShape:
    """How a volume is cut.

    Parameters
    ----------
    window
        Lengths of a tile along the last axes, as the network was trained; a volume that is smaller is padded.
    overlap
        Part of a tile that it shares with the next, 0 to less than 1.
    batch
        Tiles at once.
    multiple
        Smaller tiles have lengths that are multiples of this.
    smallest
        Tiles are not made smaller than this.
    blend
        How tiles that overlap are weighed: ``"gaussian"`` or ``"constant"``.
    padding
        How what is smaller than a tile is padded: ``"replicate"``, ``"constant"`` or ``"reflect"``.
    """

    window: tuple[int, ...]
    overlap: float = 0.5
    batch: int = 1
    multiple: int = 16
    smallest: int = 32
    blend: str = "gaussian"
    padding: str = "replicate"

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` for what cannot be cut."""
        if not 0 <= self.overlap < 1 or self.batch < 1 or min(self.window, default=0) < 1:
            raise ValueError("tiles need lengths and a batch of at least 1, and an overlap from 0 to less than 1")


@dataclass(frozen=True, eq=False)
class Tiled:
    """The network's answer on the whole volume.

    Parameters
    ----------
    values
        ``[batch, class, ...]`` on the grid of the input, float32, on the processor where memory was short.
    window
        The tiles that it was made of.
    warning
        A sentence where the tiles had to be smaller than those of training, else "".
    """

    values: Tensor
    window: tuple[int, ...]
    warning: str = ""


def over_tiles(network: Network, image: Tensor, shape: TileShape) -> Tiled:
    """Run a network over a volume in tiles; what does not fit memory is tried with less at once.

    Tried in turn: the tiles as asked for; one at a time, put together on the processor; then tiles of half the lengths,
    down to ``shape.smallest``.

    Parameters
    ----------
    network
        ``[batch, channel, ...]`` to ``[batch, class, ...]`` of the same lengths.
    image
        ``[1, channel, ...]`` on the device of the network.

    Raises
    ------
    OutOfMemory
        If the smallest tiles do not fit either.
    """
    for attempt in attempts(shape):
        try:
            return _run(network, image, attempt, thrifty=attempt is not shape, asked=shape)
        except Exception as exc:
            if not is_out_of_memory(exc):
                raise
        release(image.device)
    raise OutOfMemory(f"not even tiles of {shape.smallest} fit the memory of {image.device}")


def attempts(shape: TileShape) -> Iterator[TileShape]:
    """Give the tiles that are tried, each needing less memory than the one before."""
    yield shape
    window = shape.window
    while True:
        yield replace(shape, window=window, batch=1)
        smaller = tuple(_halved(length, shape) for length in window)
        if smaller == window:
            return
        window = smaller


def _halved(length: int, shape: TileShape) -> int:
    half = length // 2 // shape.multiple * shape.multiple
    return half if half >= shape.smallest else length


def _run(network: Network, image: Tensor, shape: TileShape, *, thrifty: bool, asked: TileShape) -> Tiled:
    from monai.inferers.utils import sliding_window_inference  # takes seconds: only where there are tiles

    found = sliding_window_inference(
        image,
        shape.window,
        shape.batch,
        network,
        overlap=shape.overlap,
        mode=shape.blend,
        padding_mode=shape.padding,
        sw_device=image.device,
        device=torch.device("cpu") if thrifty else image.device,
    )
    if not isinstance(found, Tensor):
        raise TypeError("the network gives several outputs; over_tiles takes one")
    return Tiled(found.float(), shape.window, _warning(shape.window, asked.window))


def _warning(window: tuple[int, ...], asked: tuple[int, ...]) -> str:
    if window == asked:
        return ""
    small, trained = (" x ".join(map(str, lengths)) for lengths in (window, asked))
    return f"Memory was short: the image was looked at in tiles of {small}, where the model was trained with {trained}."
