"""`overread rules`: what the rules would do with files, without a node running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from node.commands.common import ConfigOption, JsonOption, dump, load, table, told
from node.decide.conditions import Facts
from node.decide.rules import decide
from node.dicom.files import collect
from node.dicom.headers import RULE_TAGS
from node.errors import OverreadError
from node.settings import Settings

Wrong = Callable[[Settings], Sequence[str]]
"""Says which models and versions rules ask for that are not there."""


def commands(wrong: Wrong) -> typer.Typer:
    """Return the commands, with what knows the models."""
    app = typer.Typer(no_args_is_help=True, help="Rules: try them on files.")

    @app.command("test")
    @told
    def test_rules(
        path: Annotated[Path, typer.Argument(exists=True, help="A DICOM file or a folder of them.")],
        order_priority: Annotated[str, typer.Option(help="Priority of the order: STAT, ASAP or ROUTINE.")] = "",
        calling_ae_title: Annotated[str, typer.Option(help="Who sends.")] = "",
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        """Show, for each series below PATH, which rule wants it, for which model, and where results would go."""
        settings = load(config)
        if found := wrong(settings):
            raise OverreadError(f"rules: {'; '.join(found)}")
        _test(settings, path, order_priority, calling_ae_title, json=json)

    return app


def _test(settings: Settings, path: Path, order_priority: str, calling_ae_title: str, *, json: bool) -> None:
    rows = [
        row
        for dataset in _one_per_series(path)
        for row in _decisions(settings, dataset, order_priority=order_priority, calling_ae_title=calling_ae_title)
    ]
    if json:
        dump(rows)
    else:
        columns = ["series", "modality", "description", "rule", "model", "priority", "destinations"]
        table(columns, [[row[column] for column in columns] for row in rows])


def _one_per_series(path: Path) -> list[Dataset]:
    found: dict[str, Dataset] = {}
    for file in collect([path]).files:
        try:
            dataset = dcmread(file, stop_before_pixels=True, force=True)
        except (InvalidDicomError, OSError, ValueError):
            continue
        found.setdefault(str(dataset.get("SeriesInstanceUID", file)), dataset)
    if not found:
        raise OverreadError(f"no DICOM object below {path}")
    return list(found.values())


def _tags(dataset: Dataset) -> dict[str, str]:
    found = {keyword: dataset.get(keyword) for keyword in RULE_TAGS.values()}
    return {
        keyword: "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
        for keyword, value in found.items()
        if value is not None
    }


def _decisions(settings: Settings, dataset: Dataset, **known: str) -> list[dict[str, Any]]:
    facts = Facts(
        modality=str(dataset.get("Modality", "")),
        body_part=str(dataset.get("BodyPartExamined", "")),
        study_description=str(dataset.get("StudyDescription", "")),
        series_description=str(dataset.get("SeriesDescription", "")),
        called_ae_title=settings.dicom.ae_title,
        tags=_tags(dataset),
        **known,
    )
    series = {
        "series": str(dataset.get("SeriesInstanceUID", "")),
        "modality": facts.modality,
        "description": facts.series_description,
    }
    everywhere = ", ".join(item.name for item in settings.destinations) or "(no destination configured)"
    wanted = decide(settings.effective_rules, facts)
    if not wanted:
        return [{**series, "rule": "(none)", "model": "", "priority": "", "destinations": ""}]
    return [
        {
            **series,
            "rule": item.rule,
            "model": item.model,
            "priority": item.priority,
            "destinations": "(shadow: published nowhere)"
            if item.shadow
            else ", ".join(item.destinations) or everywhere,
        }
        for item in wanted
    ]
