"""Where models of the site are kept: ``<root>/models/<name>/<version>/`` with ``card.json``, ``site.json``, ``files/``.

A version is written whole or not at all, and never changed. Every file's SHA-256 is in ``site.json``; the card's
``weights_sha256`` is the digest of these digests, and is looked at again whenever the model is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from models import cards
from models.contracts import Model, ModelCard, WeightsError
from models.site.archive import digest_of, digests
from models.site.coding import model_card
from models.site.errors import ModelRefused
from models.site.plan import ENGINES, Plan

PLAN_FILE = "site.json"
FILES = "files"

#: Folders that are being written; what a crash left of them is removed at the next import.
STAGING = ".incoming"


def versions(root: Path, name: str) -> tuple[str, ...]:
    """Versions of a model that are kept, the newest last."""
    folder = root / name
    if not folder.is_dir():
        return ()
    found = [path.name for path in folder.iterdir() if (path / cards.CARD_FILE).is_file()]
    return tuple(sorted(found, key=version_key))


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order of versions: numbers by their value, so that ``1.10`` is newer than ``1.9``.

    Letters come before the end: ``1.0-rc1`` leads to ``1.0`` (semver.org, clause 11).
    """
    parts = [
        (1, int(part), "") if part.isdigit() else (-1 if part[0].isalpha() else 0, 0, part)
        for part in re.findall(r"\d{1,9}|[A-Za-z]+", version)
    ]
    return (*parts, (0, 0, ""))


def names(root: Path) -> tuple[str, ...]:
    """Names of the models that are kept."""
    if not root.is_dir():
        return ()
    return tuple(
        sorted(path.name for path in root.iterdir() if not path.name.startswith(".") and versions(root, path.name))
    )


def folder_of(root: Path, name: str, version: str) -> Path:
    """Folder of a version."""
    return root / name / version


def read_plan(folder: Path) -> Plan:
    """Read what is kept; :class:`WeightsError` where it was changed by hand or is of another release."""
    try:
        return Plan.model_validate_json((folder / PLAN_FILE).read_bytes())
    except OSError as error:
        raise WeightsError(f"there is no {PLAN_FILE} in {folder}") from error
    except ValidationError as error:
        raise WeightsError(
            f"{folder / PLAN_FILE} does not read ({error.errors()[0]['msg']}): import the model again"
        ) from error


def verified(root: Path, name: str, version: str) -> tuple[Plan, ModelCard]:
    """Compare all files of a version with their digests, and give what is kept of it.

    Raises
    ------
    WeightsError
        If a file is missing, changed, or more.
    """
    folder = folder_of(root, name, version)
    plan = read_plan(folder)
    found = digests(folder / FILES)
    if odd := sorted(path for path in found.keys() | plan.files.keys() if found.get(path) != plan.files.get(path)):
        raise WeightsError(f"{name} {version}: {odd[0]} is not the file that was imported: import the model again")
    known = cards.read_card(folder)
    if cards.card_to_dict(known) != cards.card_to_dict(model_card(plan.card, digest_of(plan.files))):
        raise WeightsError(f"{name} {version}: {cards.CARD_FILE} is not the card that was imported: import it again")
    return plan, known


def load(root: Path, name: str, version: str, device: str) -> Model:
    """Load a version after :func:`verified`.

    Raises
    ------
    WeightsError
        If a file is missing, changed, or more.
    ModelRefused
        If it does not load on this machine.
    """
    plan, known = verified(root, name, version)
    return ENGINES[plan.card.engine.kind].load(folder_of(root, name, version) / FILES, plan, known, device)


def keep(root: Path, plan: Plan, staged: Path) -> tuple[Path, bool]:
    """Keep a model, once its files lie in ``staged`` (on the same disk); whole or not at all.

    Returns
    -------
    tuple
        Its folder, and whether it is new there: the same again is not kept twice.

    Raises
    ------
    ModelRefused
        If another model is kept under this name and version.
    """
    said = plan.card.model
    target = folder_of(root, said.name, said.version)
    if target.exists():
        if read_plan(target).text() == plan.text():
            return target, False
        raise ModelRefused(
            f"{said.name} {said.version} is kept already, with other files or another card: "
            "give the new one a version of its own in model.toml"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    (staged / PLAN_FILE).write_text(plan.text(), encoding="utf-8")
    cards.write_card(model_card(plan.card, digest_of(plan.files)), staged)
    for path in staged.rglob("*"):
        _flush(path)
    _flush(staged)
    staged.rename(target)
    _flush(target.parent)
    return target, True


def workplace(root: Path) -> Callable[[], Path]:
    """Give a function that makes a new folder to write in, on the disk of the root."""
    base = root / STAGING
    base.mkdir(parents=True, exist_ok=True)

    def fresh() -> Path:
        import tempfile

        return Path(tempfile.mkdtemp(dir=base))

    return fresh


def discard(folder: Path) -> None:
    """Remove a folder that was written in."""
    shutil.rmtree(folder, ignore_errors=True)


def registered(root: Path, name: str, version: str) -> ModelCard:
    """Card of a version, read without torch."""
    return cards.read_card(folder_of(root, name, version))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
