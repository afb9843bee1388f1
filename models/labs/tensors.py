"""Windows as the tensors that the networks read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from models.labs.window import Window, grid, statics, summaries

CPU = torch.device("cpu")


def tensors_of(windows: Sequence[Window], device: torch.device = CPU) -> dict[str, torch.Tensor]:
    """Stack windows.

    Returns
    -------
    dict
        ``mean`` and ``mask`` ``[n, step, variable]``, ``statics`` ``[n, 3]`` and ``summaries``
        ``[n, summary, variable]``, float32.
    """
    grids = [grid(window) for window in windows]
    arrays = {
        "mean": np.stack([mean for mean, _ in grids]),
        "mask": np.stack([mask for _, mask in grids]),
        "statics": np.stack([statics(window) for window in windows]),
        "summaries": np.stack([summaries(window) for window in windows]),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
