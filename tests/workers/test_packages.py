"""Which package of the workers' room imports which: reading stands lowest, running and reporting side by side."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workers

ROOM = Path(workers.__file__).parent
ALLOWED = {
    "reading": {"dates", "errors"},
    "results": {"errors", "reading"},
    "running": {"context", "predictions", "reading"},
    "reporting": {"context", "dates", "errors", "predictions", "reading", "results"},
}


def imported(path: Path) -> Iterator[str]:
    """Give the parts of the room that a file imports."""
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            names = [alias.name for alias in item.names]
        elif isinstance(item, ast.ImportFrom):
            names = [f"{item.module}.{alias.name}" for alias in item.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("workers."))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOM)} imports workers.{part}"
        for path in sorted((ROOM / package).rglob("*.py"))
        for part in imported(path)
        if part not in ALLOWED[package] | {package}
    ]
    assert wrong == []


def test_every_package_has_its_rule() -> None:
    assert {path.parent.name for path in ROOM.glob("*/__init__.py")} == set(ALLOWED)
