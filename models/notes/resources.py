"""Reading the lexicon files that lie beside the code."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any


class LexiconError(ValueError):
    """A lexicon file is malformed; the message names the file and line."""


def read_toml(name: str) -> dict[str, Any]:
    """Parse a TOML file under ``models/notes``."""
    return tomllib.loads(files("models.notes").joinpath(name).read_text(encoding="utf-8"))


def read_rows(name: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of a tab-separated file; ``#`` starts a comment line.

    Rows shorter than ``columns`` are padded with empty cells; longer ones raise :class:`LexiconError`.
    """
    text = files("models.notes").joinpath(name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) > columns:
            raise LexiconError(f"{name}:{number}: {len(cells)} columns, expected at most {columns}")
        yield number, cells + [""] * (columns - len(cells))


@cache
def _braces() -> re.Pattern[str]:
    return re.compile(r"\{([^{}]*)\}")


def expand(pattern: str, macros: Mapping[str, str]) -> Iterator[str]:
    """Yield every phrase of a pattern: ``"{no|without} sign{s|} of"`` gives four.

    A brace group that is the name of a macro stands for the macro's alternatives.
    """
    parts = _braces().split(pattern)
    choices = [macros.get(part, part).split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    for combination in itertools.product(*choices):
        yield "".join(combination)
