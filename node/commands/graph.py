"""`overread graph`: what the knowledge graph knows of a code, as a table or JSON.

The graph lives in the models' room; :mod:`node.cli` brings the two together and hands over plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from node.commands.common import ConfigOption, JsonOption, dump, err, load, out, table, told
from node.errors import OverreadError

Answer = Mapping[str, Any]

#: What is said of a node, in the order of the table, with how the table calls it.
RELATIONS = (
    ("supports", "supports it"),
    ("contradicts", "contradicts it"),
    ("explains", "explains it"),
    ("raises_risk", "raises its risk"),
)


class Knowledge(Protocol):
    """The graph as plain data."""

    def explain(self, word: str) -> Answer | None:
        """Tell what is known of a code or name; None if nothing is."""
        ...

    def suggest(self, word: str) -> Sequence[str]:
        """Names and codes that look like a word."""
        ...

    def listed(self, kind: str) -> Sequence[Answer]:
        """All nodes, or those of a kind."""
        ...

    def kinds(self) -> Sequence[str]:
        """Kinds of nodes."""
        ...


def commands(knowledge: Callable[[Path | None], Knowledge]) -> typer.Typer:
    """Make the commands on the graph that ``knowledge`` opens, with the folder of the site's files or None."""
    app = typer.Typer(no_args_is_help=True, help="Knowledge graph: what supports, contradicts or explains a finding.")

    @app.command("explain")
    @told
    def explain(
        code: Annotated[str, typer.Argument(help="SCHEME:VALUE, a value (R91.1), or a name (lung nodule).")],
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        """Show what the graph knows of a code, with weights and sources. Exit status 1 if it knows nothing."""
        graph = knowledge(load(config).knowledge.path)
        answer = graph.explain(code)
        if answer is None:
            _unknown(code, graph.suggest(code), json)
            raise typer.Exit(1)
        dump(answer) if json else _show(answer)

    @app.command("list")
    @told
    def listed(
        kind: Annotated[str, typer.Option(help="Only nodes of this kind, such as finding or lab.")] = "",
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        """List the concepts of the graph."""
        graph = knowledge(load(config).knowledge.path)
        if kind and kind not in graph.kinds():
            raise OverreadError(f"no kind is called {kind}; there are: {', '.join(graph.kinds())}")
        nodes = graph.listed(kind)
        if json:
            dump(nodes)
            return
        columns = ["concept", "kind", "meaning", "Chinese", "edges to", "edges from", "codes"]
        table(columns, [_row(node) for node in nodes])

    return app


def _row(node: Answer) -> list[Any]:
    counts = [node["edges_to"], node["edges_from"]]
    return [node["id"], node["kind"], node["meaning"], node["chinese"], *counts, ", ".join(node["codes"])]


def _unknown(code: str, near: Sequence[str], json: bool) -> None:
    if json:
        dump({"node": None, "suggestions": list(near)})
        return
    hint = f"; near to it: {', '.join(near)}" if near else ""
    err.print(f"overread: the graph knows no {code[:100]}{hint}", style="red", markup=False, highlight=False)


def _show(answer: Answer) -> None:
    node = answer["node"]
    names = " / ".join(name for name in (node["meaning"], node["chinese"]) if name)
    _line(f"{names} ({node['kind']}): {', '.join(node['codes'])}")
    if answer["if_too_small"]:
        _line(f"What follows holds if it is too small: {answer['if_too_small']['meaning'].lower()}.")
    if answer["also"]:
        _line(f"The code also stands for: {', '.join(other['meaning'] for other in answer['also'])}")
    rows = [_edge(words, edge) for relation, words in RELATIONS for edge in answer[relation]]
    rows += [_edge("is recommended", edge) for edge in answer["recommended"]]
    rows += [_edge(f"it {edge['relation'].replace('_', ' ')}", edge) for edge in answer["says"]]
    table(["what", "concept", "if", "weight", "why", "source"], rows)
    if answer["paths"]:
        _line("")
        table(["two steps", "weight", "sources"], [_path(path) for path in answer["paths"]])


def _edge(what: str, edge: Answer) -> list[Any]:
    return [what, edge["concept"], edge["condition"], f"{edge['weight']:g}", edge["why"], edge["source"]]


def _path(path: Answer) -> list[Any]:
    return ["; ".join(path["steps"]), f"{path['weight']:g}", "; ".join(dict.fromkeys(path["sources"]))]


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False)
