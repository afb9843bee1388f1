"""The rooms and the direction of their imports, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "node": {"torch", "monai", "models", "workers", "tests"},
    "models": {
        "pydicom",
        "pynetdicom",
        "highdicom",
        "celery",
        "redis",
        "sqlalchemy",
        "hl7apy",
        "node",
        "workers",
        "tests",
    },
    "workers": {"socket", "pynetdicom", "tests"},
}
COMPOSITION_ROOT = ROOT / "node" / "cli.py"
ALLOWED = {("workers/app.py", "socket")}  # the host's name, no connection


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Give every imported top-level name, and whether the import stands inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nested = {
        id(inner)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(function)
    }
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            names = [alias.name for alias in item.names]
        elif isinstance(item, ast.ImportFrom):
            assert item.level == 0, f"{path}: relative import"
            names = [item.module or ""]
        else:
            continue
        for name in names:
            yield name.split(".")[0], id(item) in nested


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_go_only_in_the_allowed_direction(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(room)
        for name, _ in imports(path)
        if name in FORBIDDEN[room]
        and path != COMPOSITION_ROOT
        and (path.relative_to(ROOT).as_posix(), name) not in ALLOWED
    ]
    assert wrong == []


def test_the_composition_root_reaches_other_rooms_only_lazily() -> None:
    eager = [name for name, nested in imports(COMPOSITION_ROOT) if name in FORBIDDEN["node"] and not nested]
    assert eager == []


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_file_has_one_subject(room: str) -> None:
    long = [
        path.name
        for path in files(room)
        if len(path.read_text("utf-8").splitlines()) > 400 and "versions" not in path.parts
    ]
    assert long == []


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_function_fits_on_a_screen(room: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}:{item.lineno} {item.name}"
        for path in files(room)
        if "versions" not in path.parts
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and (item.end_lineno or 0) - item.lineno > 60
    ]
    assert long == []
