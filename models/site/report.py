"""What `overread models import` and `overread models list` say, as plain data and as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.catalog import Catalogue
from models.contracts import ModelError
from models.site.bring import Brought

#: Findings and outputs shown before the rest is counted.
SHOWN = 12


def as_dict(brought: Brought, follows: Sequence[str] = ()) -> dict[str, Any]:
    """All of it; ``follows`` are the rules that name the model without a version."""
    return {
        "name": brought.card.name,
        "version": brought.card.version,
        "new": brought.new,
        "folder": str(brought.folder),
        "files": brought.files,
        "sha256": brought.card.weights_sha256,
        "dry_run": asdict(brought.outcome) if brought.outcome else None,
        "uncoded": list(brought.uncoded),
        "warnings": list(brought.warnings),
        "unpinned_rules": list(follows),
        "rule": brought.rule,
    }


def rows(brought: Brought, follows: Sequence[str] = ()) -> list[list[Any]]:
    """Rows of a table with two columns; ``follows`` are the rules that name the model without a version."""
    card = brought.card
    found: list[list[Any]] = [
        ["model", f"{card.name} {card.version}: {card.title}"],
        ["kept" if brought.new else "kept already", str(brought.folder)],
        ["files", f"{brought.files}, SHA-256 of all {card.weights_sha256}"],
    ]
    if (run := brought.outcome) is not None:
        found += [
            [
                "dry run",
                f"{run.study}, {run.device}: load {run.load_seconds:.1f} s, answer {run.predict_seconds:.1f} s",
            ],
            ["memory", f"{run.peak_mb:.0f} MB at most"],
            *(["output", text] for text in run.outputs),
            *(["finding", text] for text in _some(run.findings)),
            *(["warning", text] for text in _some(run.warnings)),
        ]
    if brought.uncoded:
        found.append(["not coded", f"{', '.join(_some(brought.uncoded))} (99OVERREAD; give [[outputs]] a code)"])
    found += [["card", text] for text in _some(brought.warnings)]
    if follows:
        text = f"name it without a version and run {card.version} at once, also on a node that is at work"
        found.append(["in use", f"rules {', '.join(follows)} {text}; pin {card.name}@VERSION to decide that yourself"])
    return [*found, *(["rule" if not place else "", line] for place, line in enumerate(brought.rule.splitlines()))]


def _some(texts: tuple[str, ...]) -> list[str]:
    return [*texts[:SHOWN], *([f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else [])]


def listed(root: Path) -> list[dict[str, Any]]:
    """Every version of every model, its card with where it comes from."""
    found = Catalogue(root)
    site = set(found.site_names())
    rows = []
    for name in found.names():
        for version in found.versions(name):
            origin = "site" if name in site else "shipped"
            try:
                card = asdict(found.card(f"{name}@{version}"))
            except ModelError as error:  # the models beside it are listed
                card = {"name": name, "version": version, "title": f"not usable: {error}", "licence": ""}
            asked = card.get("requirements", {}).get("modalities", ())
            rows.append({**card, "modality": asked, "origin": origin})
    return rows


def cell(value: Any) -> str:
    """A value for people."""
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)
