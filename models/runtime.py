"""Device, threads, repeatability and verified weights: what every torch model needs before it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from models.contracts import ModelError, WeightsError


class DeviceError(ModelError):
    """The device that was asked for is not on this machine."""

    retryable = True


def choose_device(wanted: str = "auto") -> torch.device:
    """Pick a device.

    Parameters
    ----------
    wanted
        ``"auto"`` takes the first GPU that CUDA offers, else the processor; ``"cpu"``, ``"cuda"`` and ``"cuda:1"`` are
        taken at their word.

    Raises
    ------
    DeviceError
        If a GPU is wanted and none (or no such one) is there, or the name is unknown.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {wanted!r}; use auto, cpu, cuda or cuda:<number>") from error
    if device.type not in {"cpu", "cuda"}:
        raise DeviceError(f"unsupported device {wanted!r}; use auto, cpu, cuda or cuda:<number>")
    if device.type == "cuda" and not 0 <= (device.index or 0) < torch.cuda.device_count():
        raise DeviceError(f"device {wanted!r} was asked for, but CUDA offers {torch.cuda.device_count()} GPUs")
    return device


def set_threads(count: int) -> None:
    """Limit torch to ``count`` threads within an operation in this process; at least one."""
    torch.set_num_threads(max(1, count))


@contextmanager
def deterministic(seed: int = 0) -> Iterator[None]:
    """Seed torch and allow only repeatable algorithms within the block; the former state returns after it."""
    strict = torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_rng_state(state)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def named_tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, each once.

    Networks that hold a block under several names (as MONAI's DynUNet does) have every tensor several times in their
    ``state_dict``; here the first name stands for all.
    """
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def save_weights(network: torch.nn.Module, path: Path) -> str:
    """Write the weights in half precision as safetensors and give the file's SHA-256.

    Half precision halves the file; normal numbers keep eleven significant bits.
    """
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in named_tensors(network).items()}
    data = save_tensors(tensors, metadata={"format": "pt"})
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Read safetensors after checking their digest; the same bytes are checked and read.

    Parameters
    ----------
    path
        The file.
    sha256
        Digest that the model's card names.

    Returns
    -------
    dict
        Tensors by name, float32.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"no weights at {path}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256.lower():
        raise WeightsError(f"{path.name} has the SHA-256 {digest}, its card names {sha256}")
    return {name: value.float() for name, value in load_tensors(data).items()}


def load_into(network: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put weights into a network; :class:`WeightsError` where they do not fit it exactly."""
    wanted = named_tensors(network)
    odd = sorted(wanted.keys() ^ tensors.keys())
    odd = odd or sorted(name for name, value in wanted.items() if value.shape != tensors[name].shape)
    if odd:
        raise WeightsError(f"the weights do not fit the network: {len(odd)} tensors differ, the first is {odd[0]}")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])
