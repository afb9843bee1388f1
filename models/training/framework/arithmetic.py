"""How a step computes: in bfloat16 where the device is made for it, and on tensors that are laid out channels last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Tensor = torch.Tensor

#: Layout of images by their number of axes, batch and channel included.
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def bfloat16_pays(device: torch.device) -> bool:
    """Whether a device computes bfloat16 faster than float32.

    GPUs with units for it do, and processors with AVX-512 BF16 or AMX; the others only imitate it.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older versions of torch do not tell.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def in_float(output: Any) -> Any:
    """Give the network's output in float32, so that losses are computed in it."""
    if isinstance(output, Tensor):
        return output.float() if output.is_floating_point() else output
    if isinstance(output, Mapping):
        return {name: in_float(value) for name, value in output.items()}
    if isinstance(output, tuple | list):
        return type(output)(in_float(value) for value in output)
    return output


def laid_out(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Lay the images and volumes of a batch out channels last; other tensors stay as they are."""
    return {
        name: value.contiguous(memory_format=_LAYOUTS[value.ndim])
        if value.is_floating_point() and value.ndim in _LAYOUTS
        else value
        for name, value in batch.items()
    }
