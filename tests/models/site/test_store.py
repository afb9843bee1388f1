"""The folder of the site's models: imports at once, imports that died, models that were damaged since."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from models.catalog import Catalogue
from models.contracts import WeightsError
from models.site import report, store
from models.site.bring import Brought, bring
from models.site.errors import ModelRefused
from tests.models.site.makers import Threshold, imported, script, segmentation_card


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))


def test_of_two_imports_at_once_one_is_kept_and_the_other_finds_it(model: Path, root: Path) -> None:
    both = threading.Barrier(2)
    found: list[Any] = []

    def trial(*given: Any) -> Any:
        both.wait(20)

    def run() -> None:
        found.append(bring(model, root, trial=trial, device="cpu"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(one.new for one in found if isinstance(one, Brought)) == [False, True]
    assert Catalogue(root).unusable("bright") == ""
    assert not list((root / store.STAGING).iterdir())


def test_what_an_import_that_died_left_is_removed_by_the_next_and_not_what_is_in_use(model: Path, root: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom models.site import store\n"
        "with store.staging(Path(sys.argv[1])) as folder:\n    (folder / 'x').write_text('x')\n    os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=False, cwd=Path(__file__).parents[3])
    (left,) = [path for path in (root / store.STAGING).iterdir() if path.is_dir()]

    with store.staging(root) as used:
        imported(model, root)
        assert (left.exists(), used.exists()) == (False, True)
    assert not list((root / store.STAGING).iterdir())


BREAK: dict[str, Any] = {
    "no plan": lambda folder: (folder / "site.json").unlink(),
    "no json": lambda folder: (folder / "card.json").write_bytes(b"\xff{"),
    "no card": lambda folder: (folder / "card.json").write_text("{}", encoding="utf-8"),
    "less": lambda folder: (folder / "files" / "model.ts").unlink(),
    "more": lambda folder: (folder / "files" / "more").write_text("x", encoding="utf-8"),
}


@pytest.mark.parametrize("damage", BREAK.values(), ids=BREAK.keys())
def test_a_damaged_model_is_told_and_the_others_go_on(tmp_path: Path, model: Path, root: Path, damage: Any) -> None:
    imported(model, root)
    imported(model, root, name="other")
    damage(root / "bright" / "1.0.0")
    found = Catalogue(root)

    assert {"bright", "other"} <= set(found.names())
    assert found.unusable("other") == ""
    assert found.unusable("bright")
    rows = {row["name"]: row for row in report.listed(root) if row["origin"] == "site"}
    assert rows["other"]["title"] == "Bright things"
    with pytest.raises(WeightsError):
        found.load("bright", "cpu")
    with pytest.raises(ModelRefused, match="damaged"):
        imported(model, root)


def test_a_model_that_was_damaged_is_imported_again_once_its_folder_is_gone(model: Path, root: Path) -> None:
    folder = imported(model, root).folder
    BREAK["less"](folder)
    with pytest.raises(ModelRefused, match=r"delete this folder and import the model again"):
        imported(model, root)

    shutil.rmtree(folder)

    assert imported(model, root).new
    assert Catalogue(root).unusable("bright") == ""


def test_a_folder_that_was_renamed_or_copied_does_not_put_a_wrong_name_on_results(model: Path, root: Path) -> None:
    imported(model, root)
    shutil.copytree(root / "bright", root / "dark")
    shutil.copytree(root / "bright" / "1.0.0", root / "bright" / "2.0.0")

    for name in ("dark", "bright@2.0.0"):
        with pytest.raises(WeightsError, match=r"holds bright 1\.0\.0"):
            Catalogue(root).card(name)
        assert "holds bright 1.0.0" in Catalogue(root).unusable(name)
    assert Catalogue(root).load("bright@1.0.0", "cpu").card.version == "1.0.0"
    assert "not usable" in str([row["title"] for row in report.listed(root) if row["name"] == "dark"])


def test_what_else_lies_in_the_folder_is_no_model(model: Path, root: Path) -> None:
    imported(model, root)
    (root / "a note").write_text("x", encoding="utf-8")
    shutil.copytree(root / "bright", root / "bright (copy)")
    shutil.copytree(root / "bright", root / "bright@2")
    (root / "empty").mkdir()
    (root / "loop").symlink_to(root / "loop")

    assert Catalogue(root).site_names() == ("bright",)


def test_a_model_that_writes_among_its_own_files_is_refused(model: Path, root: Path) -> None:
    def trial(folder: Path, *given: Any) -> Any:
        (folder / "cache").write_text("x", encoding="utf-8")

    with pytest.raises(ModelRefused, match="'cache' among its own files"):
        bring(model, root, trial=trial, device="cpu")
    assert store.names(root) == ()


def test_a_full_disk_refuses_with_a_sentence_and_keeps_nothing(
    model: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("models.site.archive.shutil.copyfile", full)
        with pytest.raises(ModelRefused, match="no room"):
            imported(model, root)
    with monkeypatch.context() as patched:
        patched.setattr("models.site.store.cards.write_card", full)
        with pytest.raises(ModelRefused, match="No space left"):
            imported(model, root)

    assert store.names(root) == ()
    assert imported(model, root).new


def test_a_root_that_cannot_be_made_refuses_with_a_sentence(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")

    with pytest.raises(ModelRefused, match="cannot be kept"):
        imported(model, tmp_path / "file" / "models")


def test_the_dry_run_loads_nothing_from_where_the_operator_stands(
    tmp_path: Path, model: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    for name in ("json.py", "models/__init__.py", "numpy.py"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(f"open({str(mark)!r}, 'w').write('x')\n", encoding="utf-8")
    monkeypatch.chdir(model)

    brought = bring(Path(), root, name="bright", device="cpu")

    assert brought.outcome is not None
    assert not mark.exists()
    assert json.loads((brought.folder / "site.json").read_text(encoding="utf-8"))["files"]["json.py"]
