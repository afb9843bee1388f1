"""Models that stay loaded: taken in where memory admits them, the one longest unused given up for the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

from models import gpu
from models.contracts import Model
from models.running.answers import OutOfMemory
from models.running.memory import is_out_of_memory, release
from models.running.opening import Loads
from models.running.tuning import bytes_of

Key = tuple[str, str, str, str]
"""Name, version and digest of the weights, and the device: another version under a name is another model."""


@dataclass(frozen=True, eq=False)
class Resident:
    """A loaded model, where it is, and the memory that it takes there."""

    model: Model
    device: torch.device
    bytes: int


class Residents:
    """The loaded models of one process, longest unused first.

    Parameters
    ----------
    catalogue
        Where they are loaded from.
    settle
        What is done with a model once it is loaded.
    estimate
        Bytes that a model will take, asked before it is loaded.
    free
        Free bytes of a device.
    reserve
        Bytes that stay free when a model is taken in.
    """

    def __init__(
        self,
        catalogue: Loads,
        *,
        settle: Callable[[Model, torch.device], None],
        estimate: Callable[[str], int],
        free: Callable[[torch.device], int] = gpu.free_bytes,
        reserve: int = 0,
    ) -> None:
        self._catalogue, self._settle, self._estimate = catalogue, settle, estimate
        self._free, self._reserve = free, reserve
        self._held: OrderedDict[Key, Resident] = OrderedDict()

    def names(self) -> list[str]:
        """Names of the loaded models, longest unused first."""
        return [key[0] for key in self._held]

    def get(self, name: str, device: torch.device) -> Model:
        """Return a model, loaded if it is not yet.

        Raises
        ------
        OutOfMemory
            If it does not fit the device even with all others given up.
        models.contracts.ModelError
            If there is no such model, or its weights are broken.
        """
        card = self._catalogue.card(name)
        key = (name, card.version, card.weights_sha256, str(device))
        if key not in self._held:
            self._held[key] = self._take_in(name, device)
        self._held.move_to_end(key)
        return self._held[key].model

    def give_up_others(self, name: str, device: torch.device) -> bool:
        """Give up every model of a device but this one; whether there was any."""
        others = [key for key, held in self._held.items() if held.device == device and key[0] != name]
        for key in others:
            del self._held[key]
        release(device)
        return bool(others)

    def _take_in(self, name: str, device: torch.device) -> Resident:
        needed = self._estimate(name)
        self._make_room(name, needed, device)
        try:
            model = self._catalogue.load(name, str(device))
        except Exception as exc:
            if not is_out_of_memory(exc):
                raise
            if not self.give_up_others(name, device):
                raise _too_large(name, needed, device) from exc
            model = self._catalogue.load(name, str(device))
        self._settle(model, device)
        return Resident(model, device, bytes_of(model) or needed)

    def _make_room(self, name: str, needed: int, device: torch.device) -> None:
        """Give up models of the device, longest unused first, until ``needed`` fit."""
        free = self._free(device)
        for key in [key for key, held in self._held.items() if held.device == device]:
            if not gpu.lacking(needed, free, self._reserve):
                return
            freed = self._held.pop(key).bytes
            release(device)
            free = max(self._free(device), free + freed)  # the processor's allocator gives memory back late
        if gpu.lacking(needed, free, self._reserve):
            raise _too_large(name, needed, device)


def _too_large(name: str, needed: int, device: torch.device) -> OutOfMemory:
    return OutOfMemory(
        f"the model {name} needs about {needed >> 20} MiB on {device}, which has not that much free; "
        "run fewer workers, free the device, or lower workers.reserve_mb"
    )
