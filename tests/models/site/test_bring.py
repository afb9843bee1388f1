"""From what somebody brings to a model of the catalogue, end to end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from models import cards, catalog
from models.catalog import Catalogue, UnknownModel
from models.codes import OWN_SCHEME, PROBABILITY, VOLUME
from models.contracts import InputDeclined, UnusableOutput, Volume, WeightsError
from models.site import store
from models.site.bring import bring, timed
from models.site.card import SiteCard, validated
from models.site.coding import meanings
from models.site.errors import ModelRefused
from models.site.plan import steps_of
from tests.models.site.makers import (
    Mean,
    Threshold,
    bright_box,
    classification_card,
    imported,
    radiograph,
    script,
    segmentation_card,
    slanted,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


def test_a_torchscript_model_draws_on_the_grid_of_the_input(tmp_path: Path, root: Path) -> None:
    brought = imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    volume, inside = bright_box(slanted((20, 40, 44)))

    prediction = Catalogue(root).load("bright", "cpu").predict(volume)

    assert brought.new
    assert prediction.labels is not None
    assert prediction.labels.shape == volume.array.shape
    drawn = prediction.labels == 1
    assert 2 * (drawn & inside).sum() / (drawn.sum() + inside.sum()) > 0.95
    [finding] = prediction.findings
    [segment] = prediction.segments
    assert (finding.code.value, finding.code.scheme) == ("78961009", "SCT")
    assert (segment.type.value, segment.category.value) == ("78961009", "91723000")
    amounts = {item.name: item.value for item in finding.measurements}
    assert amounts[VOLUME] == pytest.approx(drawn.sum() * volume.geometry.voxel_ml)
    assert 0.5 < amounts[PROBABILITY] <= 1.0


def test_a_torchscript_model_classifies_a_radiograph(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Mean(), classification_card("torchscript")), root)

    prediction = Catalogue(root).load("greyness", "cpu").predict(radiograph())

    bright, dark = prediction.findings
    assert (bright.label, bright.present, dark.label, dark.present) == ("bright", True, "dark", False)
    assert bright.code.scheme == "DCM"
    assert dark.code.scheme == OWN_SCHEME
    assert bright.confidence is not None
    assert prediction.scores["bright"] == pytest.approx(1 - prediction.scores["dark"], abs=1e-5)


def test_the_window_slides_over_what_is_larger_than_it(tmp_path: Path, root: Path) -> None:
    card = segmentation_card("torchscript", engine="window = [16, 16, 16]\noverlap = 0.5")
    imported(script(tmp_path / "m", Threshold(), card), root)
    volume, inside = bright_box(slanted((20, 40, 44)))

    labels = Catalogue(root).load("bright", "cpu").predict(volume).labels

    assert labels is not None
    assert 2 * ((labels == 1) & inside).sum() / ((labels == 1).sum() + inside.sum()) > 0.95


def test_labels_that_are_brought_back_as_labels_lie_at_the_same_place(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript", engine="nearest = true")), root)
    volume, inside = bright_box(slanted((20, 40, 44)))

    labels = Catalogue(root).load("bright", "cpu").predict(volume).labels

    assert labels is not None
    assert 2 * ((labels == 1) & inside).sum() / ((labels == 1).sum() + inside.sum()) > 0.93


def test_importing_the_same_again_changes_nothing(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))
    first = imported(folder, root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    again = imported(folder, root)

    assert (first.new, again.new) == (True, False)
    assert again.outcome is None
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


def test_another_content_under_the_same_version_is_refused(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)

    with pytest.raises(ModelRefused, match="version of its own"):
        imported(script(tmp_path / "n", Threshold(0.7), segmentation_card("torchscript")), root)
    assert not list((root / store.STAGING).iterdir())


def test_versions_lie_side_by_side_and_one_may_be_pinned(tmp_path: Path, root: Path) -> None:
    for version in ("1.10.0", "1.9.0", "1.10.0-rc1"):
        imported(script(tmp_path / version, Threshold(), segmentation_card("torchscript", version=version)), root)
    found = Catalogue(root)

    assert found.versions("bright") == ("1.9.0", "1.10.0-rc1", "1.10.0")
    assert found.card("bright").version == "1.10.0"
    assert found.load("bright@1.9.0", "cpu").card.version == "1.9.0"
    assert found.knows("bright@1.9.0")
    assert not found.knows("bright@2.0.0")
    with pytest.raises(UnknownModel, match=r"1\.9\.0, 1\.10\.0-rc1, 1\.10\.0"):
        found.card("bright@2.0.0")


def test_the_catalogue_has_shipped_models_beside_those_of_the_site(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    found = Catalogue(root)

    assert set(found.names()) == {*catalog.names(), "bright"}
    assert found.card("hippocampus") == catalog.card("hippocampus")
    assert found.weights("bright").parent.parent == root
    assert (found.unusable("bright"), found.unusable("hippocampus")) == ("", "")
    assert Catalogue(None).names() == catalog.names()


def test_names_and_cards_of_the_site_are_read_without_torch(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    script_text = (
        "import sys; from pathlib import Path; from models.catalog import Catalogue; c = Catalogue(Path(sys.argv[1])); "
        "assert 'bright' in c.names(); c.card('bright'); assert not c.unusable('bright'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'monai')))"
    )

    assert subprocess.run([sys.executable, "-c", script_text, str(root)], check=False).returncode == 0


def test_a_file_that_was_changed_since_is_not_loaded(tmp_path: Path, root: Path) -> None:
    brought = imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    (brought.folder / store.FILES / "more.txt").write_text("x", encoding="utf-8")

    with pytest.raises(WeightsError, match=r"more\.txt"):
        Catalogue(root).load("bright", "cpu")
    assert "more.txt" in Catalogue(root).unusable("bright")


def test_a_card_that_was_changed_since_is_not_loaded(tmp_path: Path, root: Path) -> None:
    brought = imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    path = brought.folder / cards.CARD_FILE
    path.write_text(path.read_text(encoding="utf-8").replace("Bright things", "A cure"), encoding="utf-8")

    with pytest.raises(WeightsError, match=r"card\.json"):
        Catalogue(root).load("bright", "cpu")


def test_a_name_of_a_shipped_model_is_refused(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))

    with pytest.raises(ModelRefused, match="ships with the node"):
        imported(folder, root, name="hippocampus", reserved=catalog.names())


def test_a_zip_is_imported_under_a_name_of_the_operators_choice(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))
    packed = tmp_path / "m.zip"
    with zipfile.ZipFile(packed, "w") as made:
        for path in folder.iterdir():
            made.write(path, f"inner/{path.name}")

    brought = imported(packed, root, name="other")

    assert (brought.card.name, Catalogue(root).site_names()) == ("other", ("other",))
    assert 'run = ["other@1.0.0"]' in brought.rule


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('modality = "CT"', "", r"input\.modality: is missing"),
        ('licence = "CC0"', 'licence = "CC0"\ncolour = "red"', r"model\.colour: is not a key"),
        ('version = "1.0.0"', 'version = "../1"', r"model\.version"),
        ('name = "bright"', 'name = "../bright"', r"model\.name"),
        ('orientation = "RAS"', 'orientation = "RAA"', "each of"),
        ("task =", "tsk =", r"engine"),
        ('label = "spleen"', 'label = "spleen"\nchannel = 0', "background"),
        ('[[outputs]]\nlabel = "spleen"', "", "at least one"),
        ("[model]", "[model", "not TOML"),
    ],
)
def test_a_card_that_is_wrong_is_refused_with_the_key(
    tmp_path: Path, root: Path, before: str, after: str, said: str
) -> None:
    card = segmentation_card("torchscript")
    assert before in card

    with pytest.raises(ModelRefused, match=said):
        imported(script(tmp_path / "m", Threshold(), card.replace(before, after)), root)
    assert Catalogue(root).site_names() == ()


def test_a_folder_without_a_card_is_refused_with_what_to_write(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), "")
    (folder / "model.toml").unlink()

    with pytest.raises(ModelRefused, match=r"write the model's card"):
        imported(folder, root)


def test_an_input_that_the_card_does_not_name_is_declined(tmp_path: Path, root: Path) -> None:
    card = segmentation_card("torchscript", input_='body_parts = "ABDOMEN"\nphases = ["portal", "venous"]')
    imported(script(tmp_path / "m", Threshold(), card), root)
    model = Catalogue(root).load("bright", "cpu")
    volume, _ = bright_box(slanted())

    with pytest.raises(InputDeclined, match="modality"):
        model.predict(Volume(volume.array, volume.geometry, "MR"))
    with pytest.raises(InputDeclined, match="names none of: portal, venous"):
        model.predict(Volume(volume.array, volume.geometry, "CT", {"SeriesDescription": "native"}))
    with pytest.raises(InputDeclined, match="HEAD"):
        model.predict(Volume(volume.array, volume.geometry, "CT", {"BodyPartExamined": "HEAD"}))
    with pytest.raises(InputDeclined):
        model.predict(radiograph())
    assert model.predict(Volume(volume.array, volume.geometry, "CT", {"SeriesDescription": "PORTAL 2mm"})).findings


def test_a_network_of_other_numbers_than_its_card_says_is_refused_by_the_dry_run(tmp_path: Path, root: Path) -> None:
    card = segmentation_card("torchscript", output="channel = 7")

    with pytest.raises(Exception, match="channel 7"):
        imported(script(tmp_path / "m", Threshold(), card), root)
    assert Catalogue(root).site_names() == ()


def test_the_dry_run_in_a_process_of_its_own_says_what_it_needed(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))

    outcome = bring(folder, root, device="cpu").outcome

    assert outcome is not None
    assert outcome.predict_seconds > 0
    assert outcome.peak_mb > 1
    assert any(text.startswith("labels 64 x 64 x 64: 0, 1") for text in outcome.outputs)
    assert outcome.findings[0].startswith("Spleen: ")


class Endless(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = image
        while float(found.min()) > -1e30:
            found = found * 1.0
        return found


def test_a_model_that_does_not_end_is_killed_and_refused(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Endless(), segmentation_card("torchscript"))

    with pytest.raises(ModelRefused, match=r"longer than 2\.5 s"):
        bring(folder, root, device="cpu", trial=timed(2.5))
    assert Catalogue(root).site_names() == ()


def test_the_card_that_the_documentation_shows_is_a_card() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "bring_your_own.md").read_text(encoding="utf-8")
    [block] = [part for part in re.findall(r"```toml\n(.*?)```", text, re.S) if 'title = "Liver' in part]

    card = validated(SiteCard, tomllib.loads(block), "card")

    assert [item.code.value for item in meanings(card)] == ["10200004", "108369006"]
    assert [step.step for step in steps_of(card)] == ["orient", "spacing", "range", "resize"]


def test_what_is_kept_is_complete(tmp_path: Path, root: Path) -> None:
    brought = imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)

    kept = json.loads((brought.folder / store.PLAN_FILE).read_text(encoding="utf-8"))
    assert sorted(kept["files"]) == ["model.toml", "model.ts"]
    assert cards.read_card(brought.folder).weights_sha256 == brought.card.weights_sha256
    assert np.isfinite(brought.outcome.predict_seconds if brought.outcome else np.nan)


class Four(torch.nn.Module):
    """Probabilities of four findings."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        mean = image.mean(dim=[1, 2, 3])
        return torch.stack([mean, mean, mean, mean], 1)


def test_numbers_that_the_card_does_not_name_are_refused_unless_it_says_that_they_are_to_be_ignored(
    tmp_path: Path, root: Path
) -> None:
    with pytest.raises(ModelRefused, match="gives 4 channels, and its card names no output for channel 2, 3"):
        bring(script(tmp_path / "m", Four(), classification_card("torchscript")), root, device="cpu", trial=timed(120))
    assert Catalogue(root).site_names() == ()

    ignoring = classification_card("torchscript", engine='unnamed_channels = "ignore"')
    imported(script(tmp_path / "n", Four(), ignoring), root)
    assert len(Catalogue(root).load("greyness", "cpu").predict(radiograph()).findings) == 2


def test_the_background_of_a_segmentation_needs_no_name_and_another_class_does(tmp_path: Path, root: Path) -> None:
    imported(script(tmp_path / "m", Threshold(), segmentation_card("torchscript")), root)
    sigmoid = segmentation_card("torchscript", version="2").replace('"softmax"', '"sigmoid"')
    with pytest.raises(UnusableOutput, match="gives 2 channels, and its card names no output for channel 1"):
        imported(script(tmp_path / "n", Threshold(), sigmoid), root)
