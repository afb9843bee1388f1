"""Where models of the site are kept: ``<root>/models/<name>/<version>/`` with ``card.json``, ``site.json``, ``files/``.

A version is written whole or not at all, and never changed; imports that run at once keep their models one after the
other. Every file's SHA-256 is in ``site.json``; the card's ``weights_sha256`` is the digest of these digests, and is
looked at again whenever the model is loaded.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
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
LOCK = ".lock"

#: What folders of models and versions are called, as in the card; others are not ours.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,31}")

MEND = "delete this folder and import the model again"


def versions(root: Path, name: str) -> tuple[str, ...]:
    """Versions of a model that are kept, the newest last."""
    found = [version for version in _entries(root / name, VERSION) if _kept(root / name / version)]
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
    return tuple(sorted(name for name in _entries(root, NAME) if versions(root, name)))


def _entries(folder: Path, pattern: re.Pattern[str]) -> list[str]:
    """Names in a folder that are such names; none where it cannot be read: the models beside it go on."""
    with contextlib.suppress(OSError):
        return [entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]  # noqa: PTH208  names are wanted
    return []


def _kept(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / cards.CARD_FILE).is_file()
    return False


def folder_of(root: Path, name: str, version: str) -> Path:
    """Folder of a version."""
    return root / name / version


def read_plan(folder: Path) -> Plan:
    """Read what is kept; :class:`WeightsError` where it was changed by hand or is of another release."""
    try:
        return Plan.model_validate_json((folder / PLAN_FILE).read_bytes())
    except OSError as error:
        raise WeightsError(f"{folder} has no {PLAN_FILE} that can be read: {MEND}") from error
    except ValidationError as error:
        raise WeightsError(f"{folder / PLAN_FILE} does not read ({error.errors()[0]['msg']}): {MEND}") from error


def verified(root: Path, name: str, version: str) -> tuple[Plan, ModelCard]:
    """Compare all files of a version with their digests, and give what is kept of it.

    Raises
    ------
    WeightsError
        If a file is missing, changed, or more.
    """
    folder = folder_of(root, name, version)
    known = registered(root, name, version)
    plan = read_plan(folder)
    if odd := changed(folder / FILES, plan):
        raise WeightsError(f"{odd!r} in {folder / FILES} is not the file that was imported: {MEND}")
    if _text(known) != _text(model_card(plan.card, digest_of(plan.files))):
        raise WeightsError(f"{folder / cards.CARD_FILE} is not the card that was imported: {MEND}")
    return plan, known


def changed(files: Path, plan: Plan) -> str:
    """Name a file that is missing, changed or more than the plan says; "" where there is none.

    Raises
    ------
    WeightsError
        If a file cannot be read.
    """
    try:
        found = digests(files)
    except OSError as error:
        raise WeightsError(f"{files} cannot be read: {error.strerror}") from error
    odd = (path for path in found.keys() | plan.files.keys() if found.get(path) != plan.files.get(path))
    return min(odd, default="")


def _text(card: ModelCard) -> str:
    return json.dumps(cards.card_to_dict(card), sort_keys=True)


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
    (staged / PLAN_FILE).write_text(plan.text(), encoding="utf-8")
    cards.write_card(model_card(plan.card, digest_of(plan.files)), staged)
    for path in staged.rglob("*"):
        _flush(path)
    _flush(staged)
    with _alone(root):
        if known(root, plan):
            return target, False
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        _flush(target.parent)
    return target, True


def known(root: Path, plan: Plan) -> bool:
    """Whether this very model is kept, whole.

    Raises
    ------
    ModelRefused
        If another model is kept under this name and version, or this one was damaged since.
    """
    said = plan.card.model
    folder = folder_of(root, said.name, said.version)
    if not os.path.lexists(folder):
        return False
    try:
        kept, _ = verified(root, said.name, said.version)
    except WeightsError as error:
        raise ModelRefused(f"{said.name} {said.version} is kept already, but is damaged: {error}") from error
    if kept.text() == plan.text():
        return True
    raise ModelRefused(
        f"{said.name} {said.version} is kept already, with other files or another card: "
        "give the new one a version of its own in model.toml"
    )


@contextlib.contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A new folder to write in, on the disk of the root; removed in the end, and so is what a crash left of others.

    Whoever writes holds a lock on a file beside the folder (flock(2)), which the kernel gives back when the process
    dies.
    """
    base = root / STAGING
    base.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        with _alone(root):
            _clear(base)
            folder = Path(tempfile.mkdtemp(dir=base))
            held.enter_context(_locked(_lock_of(folder)))
        try:
            yield folder
        finally:
            discard(folder)
            _lock_of(folder).unlink(missing_ok=True)


def _clear(base: Path) -> None:
    """Remove folders whose writers are gone."""
    for path in base.iterdir():
        if path.is_dir() and not _in_use(_lock_of(path)):
            discard(path)
            _lock_of(path).unlink(missing_ok=True)


def _in_use(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{LOCK}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _alone(root: Path) -> contextlib.AbstractContextManager[None]:
    """Be the only import for a moment; others wait."""
    return _locked(root / LOCK)


def discard(folder: Path) -> None:
    """Remove a folder that was written in."""
    shutil.rmtree(folder, ignore_errors=True)


def registered(root: Path, name: str, version: str) -> ModelCard:
    """Card of a version, read without torch.

    Raises
    ------
    WeightsError
        If it does not read, or is of another model than its folder says: results would bear a wrong name.
    """
    folder = folder_of(root, name, version)
    found = cards.read_card(folder)
    if (found.name, found.version) != (name, version):
        raise WeightsError(
            f"{folder} holds {found.name} {found.version}: folders are not renamed or copied, models are imported"
        )
    return found


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
