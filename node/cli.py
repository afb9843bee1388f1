"""The `overread` command: the composition root, the one place that may reach into every room, lazily.

Commands that need only the node are in :mod:`node.commands`; those that need models or workers are here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from node import __version__, service
from node.commands import (
    check,
    conformance,
    delivery,
    demo,
    graph,
    hl7,
    identity,
    notes,
    results,
    rules,
    send,
    simulate,
    study,
    watch,
)
from node.commands.common import ConfigOption, JsonOption, dump, load, table, told
from node.errors import OverreadError
from node.settings import Settings

SITE_MODELS = "models"
"""The folder of the site's models below the root (:mod:`models.site.store`)."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Overread: a DICOM/PACS integration node for AI in radiology. Not a medical device.",
)
models_app = typer.Typer(no_args_is_help=True, help="Models: list, import, train, evaluate, compare.")


def _knowledge(folder: Path | None) -> graph.Knowledge:
    from models.fusion.explain import Explainer
    from models.fusion.graph import load as load_graph

    with _model_errors():
        return Explainer(load_graph(folder))


def _note_rooms() -> notes.Rooms:
    from models.contracts import ModelError
    from models.notes import engines, engines_service
    from models.training import notes as training

    return notes.Rooms(engines, engines_service, training, ModelError)


def _trials(settings: Settings) -> dict[str, check.Trial]:
    """Return what workers load by the settings, to be tried before anything rests on it."""
    from models.contracts import ModelError
    from models.fusion import graph as knowledge
    from models.notes import engines

    def told(key: str, load_it: Callable[[], str]) -> check.Trial:
        def trial() -> str:
            try:
                return load_it()
            except ModelError as exc:
                raise OverreadError(f"{key}: {exc}") from exc

        return trial

    def engine() -> str:
        found = engines.load(settings.notes.engine, settings.notes.model)
        return f"{found.name} {found.version}"

    return {
        "notes": told("notes", engine),
        "knowledge": told("knowledge", lambda: f"graph {knowledge.load(settings.knowledge.path).version}"),
    }


for name, part in (
    ("study", study.app),
    ("delivery", delivery.app),
    ("hl7", hl7.app),
    ("rules", rules.commands(lambda settings: _wrong_models(settings))),
    ("simulate", simulate.app),
    ("results", results.app),
    ("models", models_app),
    ("graph", graph.commands(_knowledge)),
    ("notes", notes.commands(_note_rooms)),
):
    app.add_typer(part, name=name)
study.app.add_typer(identity.app, name="identity")
app.command("send")(send.send_files)
app.command("demo")(demo.demo)
app.command("conformance")(conformance.conformance)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"overread {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options of the command itself.

    What a command writes is its user's alone: root, records and logs hold patient data, whichever command makes them.
    """
    os.umask(0o077)


@app.command("check")
@told
def check_node(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check configuration, root, database, broker, ports and destinations. Exit status 1 if one is not well."""
    settings = load(config)
    check.report(settings, _wrong_models(settings), _trials(settings), json)


@app.command()
@told
def serve(config: ConfigOption = None) -> None:
    """Run the whole node on this machine: broker, receivers, listener, gateway, workers."""
    from node.supervisor import serve as run

    settings = load(config)
    if settings.workers.processes and (wrong := _wrong_models(settings)):
        raise OverreadError(f"rules: {'; '.join(wrong)}")
    for trial in _trials(settings).values():
        trial()
    raise typer.Exit(run(settings, config))


@app.command()
@told
def receiver(config: ConfigOption = None) -> None:
    """Run one receiver process (several may share the port)."""
    service.run("receiver", load(config))


@app.command()
@told
def indexer(config: ConfigOption = None) -> None:
    """Run the process that enters in the records what the receivers take in."""
    service.run("indexer", load(config))


@app.command()
@told
def listener(config: ConfigOption = None) -> None:
    """Run the HL7 port: messages are kept and answered; the gateway takes them over."""
    service.run("listener", load(config))


@app.command()
@told
def gateway(config: ConfigOption = None) -> None:
    """Run the gateway: HL7 processing, web, completeness timers, delivery loops."""
    from node.gateway import run_gateway

    run_gateway(load(config))


@app.command()
@told
def worker(
    config: ConfigOption = None,
    name: Annotated[str, typer.Option(help="Name among the workers of this host.")] = "worker",
    queues: Annotated[
        str, typer.Option(help="Queues to serve: gpu (inference), cpu (notes, merging, building).")
    ] = "gpu,cpu",
) -> None:
    """Run one Celery worker."""
    from workers.app import run_worker

    run_worker(load(config), name, tuple(queues.split(",")))


@models_app.command("list")
@told
def list_models(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the models that ship with this version and those of the site, every version, from their cards."""
    from models.site import report

    with _model_errors():
        rows = report.listed(load(config).node.root / SITE_MODELS)
    if json:
        dump(rows)
        return
    columns = ["name", "version", "title", "modality", "licence", "origin"]
    table(columns, [[report.cell(row[column]) for column in columns] for row in rows])


models_app.command("shadow")(watch.shadow)
models_app.command("drift")(watch.drift)


@models_app.command("import")
@told
def import_model(
    path: Annotated[Path, typer.Argument(exists=True, help="A folder or a zip with the model and its model.toml.")],
    config: ConfigOption = None,
    name: Annotated[str, typer.Option(help="Name in place of the card's.")] = "",
    seconds: Annotated[float, typer.Option(min=1, help="The dry run is killed after this time.")] = 300.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: JsonOption = False,
) -> None:
    """Import a model of your own: look at it, try it on a generated study, keep it; refused, nothing is kept."""
    from models import catalog
    from models.site import bring, report

    settings = load(config)
    root = settings.node.root / SITE_MODELS
    with _model_errors():
        trial = bring.timed(seconds)
        brought = bring.bring(path, root, name=name, reserved=catalog.names(), device=device, trial=trial)
        newest = catalog.Catalogue(root).version(brought.card.name) == brought.card.version
    follows = _rules_that_name(settings, brought.card.name) if newest else []
    if json:
        dump(report.as_dict(brought, follows))
        return
    table(["", ""], report.rows(brought, follows))


def _rules_that_name(settings: Settings, model: str) -> list[str]:
    """Return the rules that name a model without a version: they take its newest one at once."""
    return [rule.name for rule in settings.effective_rules if model in (*rule.run, *rule.shadow)]


def _wrong_models(settings: Settings) -> list[str]:
    """Say which models and versions rules ask for that are not there, and which there are."""
    from models.catalog import Catalogue
    from models.contracts import ModelError

    found, wrong = Catalogue(settings.node.root / SITE_MODELS), []
    for model in settings.asked_models:
        try:
            found.version(model)
        except ModelError as exc:
            wrong.append(str(exc))
    return wrong


DataOption = Annotated[Path, typer.Option("--data", exists=True, file_okay=False, help="Folder of the training set.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@models_app.command()
@told
def train(
    name: Annotated[str, typer.Argument(help="A model of `overread models list`.")],
    data: DataOption,
    out_folder: Annotated[Path, typer.Option("--out", help="Where weights, card and logs go.")] = Path("runs"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; default: the model's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Train a model as it was trained for this version, with a progress bar and a log (CSV, TensorBoard)."""
    from models.training import registry

    with _model_errors():
        report = registry.train(
            name, data, out_folder / name, seed=seed, epochs=epochs, device=device, progress=not json
        )
    _print_report(report, json)


@models_app.command()
@told
def evaluate(
    name: Annotated[str, typer.Argument(help="A model of `overread models list`.")],
    data: DataOption,
    weights: Annotated[Path | None, typer.Option(help="Folder of weights and card; default: the shipped ones.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for a page of held-out cases with the answers.")] = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure a model on the held-out part of its training set."""
    from models.training import registry

    with _model_errors():
        report = registry.evaluate(name, data, device=device, weights=weights, plots=plots, progress=not json)
    _print_report(report, json)


@models_app.command()
@told
def compare(
    name: Annotated[str, typer.Argument(help="A model of `overread models list`.")],
    data: DataOption,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; default: each way's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure what was tried beside a model, by cross-validation within the training part of its set."""
    from models.training import registry

    with _model_errors():
        report = registry.compare(name, data, seed=seed, epochs=epochs, device=device, progress=not json)
    _print_report(report, json)


@results.app.command("validate")
@told
def validate_results(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files, or folders of studies.")],
    every: Annotated[bool, typer.Option("--all", help="Judge the images in folders too, not only results.")] = False,
    json: JsonOption = False,
) -> None:
    """Ask the validators that are installed, and our AIR checklist, about results. Exit status 1 if one finds an error.

    The objects of a folder are compared with each other, images and results.
    """
    from workers.results import survey

    plan = survey.plan(paths, every=every)
    with results.progress(plan.steps, quiet=json) as done:
        verdicts, together = survey.survey(plan, done)
    results.report(survey.as_dict(plan, verdicts, together), json)


class _model_errors:  # noqa: N801  used as a function
    """Show an error of the models' room as one of ours: one line, no traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        from models.contracts import ModelError

        if isinstance(value, ModelError):
            raise OverreadError(str(value)) from value


def _print_report(report: dict[str, Any], json: bool) -> None:
    if json:
        dump(report)
        return
    table(["measure", "value"], [[key, _short(value)] for key, value in _flat(report)])


def _flat(report: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in report.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{len(value)} items" if isinstance(value, list | tuple) and len(value) > 8 else value


def main() -> None:
    """Run the command."""
    app(prog_name="overread")


if __name__ == "__main__":
    main()
