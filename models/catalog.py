"""The models by name: those that the project ships, and those of a site; nothing is imported before it is asked for.

A new shipped model is one file under ``models`` and one line in :data:`ENTRIES`. The functions of this module know the
shipped models only; :class:`Catalogue` knows those of a folder too (:mod:`models.site`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from models import cards
from models.contracts import Model, ModelCard, ModelError


class UnknownModel(ModelError):
    """No model of this name is in the catalogue."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model's code lies.

    Parameters
    ----------
    factory
        ``"module:function"``; the function takes the folder of weights and the device, and gives a
        :class:`~models.contracts.Model`.
    trainer
        Module with the functions ``train`` and ``evaluate`` (see :mod:`models.training.registry`), or ``""``.
    """

    factory: str
    trainer: str = ""


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "chest-xray-pneumonia": Entry(
            "models.imaging.chest_xray.pneumonia:load", trainer="models.training.chest_xray_pneumonia"
        ),
        "chest-xray-severity": Entry(
            "models.imaging.chest_xray.severity:load", trainer="models.training.chest_xray_severity"
        ),
        "ecg-af": Entry("models.signals.ecg.model:load", trainer="models.training.ecg_af"),
        "heart-sound": Entry("models.signals.heart_sound.model:load", trainer="models.training.heart_sound"),
        "hippocampus": Entry("models.imaging.hippocampus:load", trainer="models.training.hippocampus"),
        "labs-risk": Entry("models.labs.risk:load", trainer="models.training.labs_risk"),
        "lung-nodule": Entry("models.imaging.lung.nodules:load", trainer="models.training.lung_nodule"),
    }
)


def names() -> tuple[str, ...]:
    """Names of the shipped models, sorted."""
    return tuple(sorted(ENTRIES))


def entry(name: str) -> Entry:
    """Entry of a model; :class:`UnknownModel` names those that there are."""
    try:
        return ENTRIES[name]
    except KeyError:
        raise UnknownModel(f"no model is called {name!r}; there are: {', '.join(names())}") from None


def weights_folder(name: str) -> Path:
    """Folder of a model's shipped weights and card."""
    entry(name)
    return cards.SHIPPED / name


def card(name: str) -> ModelCard:
    """Card of a model, read from its file without importing torch."""
    return cards.read_card(weights_folder(name))


def load(name: str, device: str = "auto", folder: Path | None = None) -> Model:
    """Load a model with its weights.

    Parameters
    ----------
    name
        One of :func:`names`.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"`` (``"cuda:1"``...); see :func:`models.runtime.choose_device`.
    folder
        Weights and card to use in place of the shipped ones.

    Raises
    ------
    UnknownModel
        If there is no such model.
    WeightsError
        If weights are missing or do not have the digest that the card names.
    """
    module, _, function = entry(name).factory.partition(":")
    factory: Any = getattr(import_module(module), function)
    return cast(Model, factory(folder or weights_folder(name), device))


#: Between a model's name and its version, where a version is pinned.
PIN = "@"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The shipped models and those of a site.

    Parameters
    ----------
    folder
        Where models of the site were imported to (``<node.root>/models``); None: shipped models only.

    Notes
    -----
    A model is asked for as ``"name"``, its newest version, or as ``"name@version"``. Nothing is kept in memory: a model
    that is imported meanwhile is there at the next question.
    """

    folder: Path | None = None

    def names(self) -> tuple[str, ...]:
        """Names of all models, sorted."""
        return tuple(sorted({*names(), *self.site_names()}))

    def site_names(self) -> tuple[str, ...]:
        """Names of the site's models, sorted; one that bears a shipped model's name is not among them."""
        if self.folder is None:
            return ()
        from models.site import store

        return tuple(name for name in store.names(self.folder) if name not in ENTRIES)

    def versions(self, name: str) -> tuple[str, ...]:
        """Versions of a model that can be asked for, the newest last."""
        plain, _ = pinned(name)
        if plain in ENTRIES:
            return (card(plain).version,)
        if self.folder is None or plain not in self.site_names():
            raise UnknownModel(f"no model is called {plain!r}; there are: {', '.join(self.names())}")
        from models.site import store

        return store.versions(self.folder, plain)

    def version(self, name: str) -> str:
        """The version that a name stands for: the pinned one, else the newest.

        Raises
        ------
        UnknownModel
            If there is no such model, or not this version of it; those that there are are named.
        """
        plain, wanted = pinned(name)
        found = self.versions(plain)
        if PIN in name and not wanted:
            raise UnknownModel(f"{name!r} names no version; there are: {', '.join(found)}")
        if wanted and wanted not in found:
            raise UnknownModel(f"{plain} has no version {wanted!r}; there are: {', '.join(found)}")
        return wanted or found[-1]

    def knows(self, name: str) -> bool:
        """Whether a name, with or without a version, can be asked for."""
        try:
            self.version(name)
        except ModelError:
            return False
        return True

    def card(self, name: str) -> ModelCard:
        """Card of a model, read from its file without importing torch."""
        version, plain = self.version(name), pinned(name)[0]
        if plain in ENTRIES:
            return card(plain)
        from models.site import store

        return store.registered(self._site, plain, version)

    def weights(self, name: str) -> Path:
        """Folder of a model's card and weights."""
        version, plain = self.version(name), pinned(name)[0]
        return weights_folder(plain) if plain in ENTRIES else self._site / plain / version

    def unusable(self, name: str) -> str:
        """Say why a model cannot run, from its files alone; "" where they are as its card says."""
        version, plain = self.version(name), pinned(name)[0]
        if plain in ENTRIES:
            return _unusable(weights_folder(plain), card(plain))
        from models.site import store

        try:
            store.verified(self._site, plain, version)
        except ModelError as error:
            return str(error)
        return ""

    def load(self, name: str, device: str = "auto") -> Model:
        """Load a model with its weights.

        Raises
        ------
        UnknownModel
            If there is no such model or version.
        WeightsError
            If files are missing, or do not have the digests that they had when they were imported.
        """
        version, plain = self.version(name), pinned(name)[0]
        if plain in ENTRIES:
            return load(plain, device)
        from models.site import store

        return store.load(self._site, plain, version, device)

    @property
    def _site(self) -> Path:
        if self.folder is None:
            raise UnknownModel("this catalogue has no models of a site")
        return self.folder


def pinned(name: str) -> tuple[str, str]:
    """Name and version of ``"name@version"``; the version is empty where none is pinned."""
    plain, _, version = name.partition(PIN)
    return plain, version


def _unusable(folder: Path, known: ModelCard) -> str:
    import hashlib

    path = folder / cards.WEIGHTS_FILE
    if not path.is_file():
        return f"no weights at {path.name}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return (
        "" if digest == known.weights_sha256.lower() else f"{path.name} does not have the SHA-256 that its card names"
    )
