"""`overread models import`: look at what was brought, try it out, keep it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.contracts import ModelCard
from models.site import archive, dry_run, store, units
from models.site.card import CARD_NAME, read_toml
from models.site.coding import meanings, model_card
from models.site.dry_run import Outcome
from models.site.errors import ModelRefused
from models.site.plan import ENGINES, Plan, draft

Trial = Callable[[Path, Plan, ModelCard, str], Outcome]


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of an import.

    Parameters
    ----------
    new
        False where the same model was kept already.
    outcome
        Of the dry run; None where nothing was new.
    uncoded
        Outputs that have no code of a public scheme.
    rule
        Lines for ``overread.toml``; they pin the version.
    warnings
        What is odd in the card and does not keep the model from running.
    """

    card: ModelCard
    folder: Path
    new: bool
    files: int
    outcome: Outcome | None
    uncoded: tuple[str, ...]
    rule: str
    warnings: tuple[str, ...] = ()


def bring(
    path: Path,
    root: Path,
    *,
    name: str = "",
    reserved: Collection[str] = (),
    device: str = "auto",
    trial: Trial = dry_run.in_child,
) -> Brought:
    """Import a model.

    Parameters
    ----------
    path
        A folder or a zip with the model and, unless it is a bundle that says enough, its ``model.toml``.
    root
        Folder of the site's models (``<node.root>/models``).
    name
        Name in place of the card's.
    reserved
        Names that are taken: those of the models that ship with the node.
    trial
        How it is tried out.

    Raises
    ------
    ModelRefused
        With the reason; nothing is kept then.
    """
    try:
        with store.staging(root) as staged:
            files = staged / store.FILES
            inner = archive.stage(path, staged / "unpacked")
            inner.rename(files)
            store.discard(staged / "unpacked")
            plan = planned(files, name or path_name(path), renamed=bool(name))
            if plan.card.model.name in reserved:
                raise ModelRefused(
                    f"{plan.card.model.name} is a model that ships with the node: choose another name (--name)"
                )
            return _kept(plan, root, staged, device, trial)
    except OSError as error:
        raise ModelRefused(f"the model cannot be kept below {root}: {error.strerror or error}") from error


def planned(files: Path, name: str, *, renamed: bool) -> Plan:
    """Read and look at everything, loading nothing."""
    given: dict[str, Any] = read_toml(files / CARD_NAME) if (files / CARD_NAME).is_file() or not _bundle(files) else {}
    if renamed and isinstance(given.get("model"), dict):
        given["model"]["name"] = name
    card, steps, columns_first = draft(files, name, given)
    ENGINES[card.engine.kind].inspect(files, card)
    meanings(card)
    return Plan(card=card, steps=steps, columns_first=columns_first, files=archive.digests(files))


def path_name(path: Path) -> str:
    """A name for what has none: that of its folder or zip, in the form that names have."""
    text = path.resolve().name.removesuffix(".zip").lower()
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)
    return plain.strip("-")[:48].strip("-") or "model"


def _bundle(files: Path) -> bool:
    from models.site.bundle import is_bundle

    return is_bundle(files)


def _kept(plan: Plan, root: Path, staged: Path, device: str, trial: Trial) -> Brought:
    registered = model_card(plan.card, archive.digest_of(plan.files))
    said = plan.card.model
    outcome = None
    if store.known(root, plan):
        folder, new = store.folder_of(root, said.name, said.version), False
    else:
        outcome = trial(staged / store.FILES, plan, registered, device)
        if odd := store.changed(staged / store.FILES, plan):
            raise ModelRefused(
                f"the model changed {odd!r} among its own files while it ran: it must write elsewhere, "
                "for its files are compared with what was imported"
            )
        folder, new = store.keep(root, plan, staged)
    uncoded = tuple(item.output.label for item in meanings(plan.card) if item.code.scheme == "99OVERREAD")
    return Brought(registered, folder, new, len(plan.files), outcome, uncoded, rule(plan), units.warnings(plan.card))


def rule(plan: Plan) -> str:
    """A rule that runs the model, in the words of its card."""
    card = plan.card
    when = [f"modality = {_listed(card.input.modality)}"]
    if card.input.body_parts:
        when.append(f"body_part = {_listed(card.input.body_parts)}")
    return (
        f'[[rules]]\nname = "{card.model.name}"\nwhen = {{ {", ".join(when)} }}\n'
        f'run = ["{card.model.name}@{card.model.version}"]\npriority = "{card.model.priority}"\n'
    )


def _listed(values: tuple[str, ...]) -> str:
    shown = ", ".join(f'"{value}"' for value in values)
    return shown if len(values) == 1 else f"[{shown}]"


def timed(seconds: float) -> Trial:
    """A dry run in a process of its own that is killed after ``seconds``."""

    def trial(folder: Path, plan: Plan, card: ModelCard, device: str) -> Outcome:
        return dry_run.in_child(folder, plan, card, device, seconds)

    return trial
