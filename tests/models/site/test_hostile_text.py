"""Cards and configurations of any content are taken or refused, and nothing else happens."""

from __future__ import annotations

import contextlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.catalog import Catalogue
from models.site import bundle
from models.site.bring import planned
from models.site.bundle_values import Config
from models.site.errors import ModelRefused
from tests.models.site.makers import Mean, Threshold, classification_card, imported, script, segmentation_card
from tests.models.site.test_bundle import spleen_bundle

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=8), st.just([]), st.just({}),
    st.just("@network"), st.just("$1/0"), st.just("$'a' + 1"), st.just([[[]]]), st.just({"_target_": 3}),
    st.just({"_target_": "UNet", "_args_": 7}),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="@a#0$()[]{}.,'+-*/<>=:! ifelsnotr_1", max_size=40))
def test_an_expression_is_understood_or_refused(text: str) -> None:
    config = Config({"a": f"${text}", "b": [1, {"c": "@a"}]})

    with warnings.catch_warnings(), contextlib.suppress(ModelRefused):
        warnings.simplefilter("ignore", SyntaxWarning)
        config.get("a")


@pytest.mark.parametrize(
    "text", ["(" * 900, "-" * 1900 + "1", "1+" * 900 + "1", "[" * 90 + "]" * 90, "9" * 1900, "'a'*10"]
)
def test_an_expression_that_would_exhaust_the_parser_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(ModelRefused):
        Config({"a": f"${text}"}).get("a")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in plain data something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The same data with something else at a place."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.fixture(scope="module")
def given_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spleen_bundle(tmp_path_factory.mktemp("bundle") / "spleen")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["metadata", "inference"]), junk=JUNK)
def test_a_bundle_of_any_content_is_taken_or_refused(
    given_bundle: Path, data: st.DataObject, name: str, junk: Any
) -> None:
    path = given_bundle / "configs" / f"{name}.json"
    before = path.read_text(encoding="utf-8")
    value = json.loads(before)
    path.write_text(json.dumps(replaced(value, data.draw(st.sampled_from(places(value))), junk)), encoding="utf-8")
    try:
        with contextlib.suppress(ModelRefused):
            planned(given_bundle, "spleen", renamed=False)
    finally:
        path.write_text(before, encoding="utf-8")


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), key=st.sampled_from(["model", "input", "engine", "outputs"]))
def test_a_card_of_any_content_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, key: str
) -> None:
    folder = tmp_path_factory.mktemp("card")
    (folder / "model.toml").write_text(f"{key} = {text}", encoding="utf-8")

    with contextlib.suppress(ModelRefused):
        planned(folder, "x", renamed=False)


def test_a_configuration_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    folder = spleen_bundle(tmp_path / "spleen")
    (folder / "configs" / "inference.json").write_text("[" * 100_000, encoding="utf-8")

    with pytest.raises(ModelRefused, match="does not read"):
        bundle.configuration(folder, {})


def test_numbers_that_are_none_survive_the_import(tmp_path: Path) -> None:
    card = classification_card("torchscript", "thresholds = [nan, inf, 0.5]").replace(
        'licence = "CC0"', 'licence = "CC0"\nmetrics = { auc = 0.9, by = { site = [1, 2] } }'
    )
    folder = script(tmp_path / "m", Mean(), card)

    assert imported(folder, tmp_path / "root").new
    assert not imported(folder, tmp_path / "root").new


def test_a_date_among_the_figures_of_a_card_is_refused(tmp_path: Path) -> None:
    card = classification_card("torchscript").replace(
        'licence = "CC0"', 'licence = "CC0"\nmetrics = { when = 2020-01-01 }'
    )

    with pytest.raises(ModelRefused, match="metrics"):
        imported(script(tmp_path / "m", Mean(), card), tmp_path / "root")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400"])
def test_a_figure_that_is_no_number_does_not_make_a_model_unusable(tmp_path: Path, number: str) -> None:
    card = classification_card("torchscript").replace('"CC0"', f'"CC0"\nmetrics = {{ auc = {number} }}')

    imported(script(tmp_path / "m", Mean(), card), tmp_path / "root")

    assert Catalogue(tmp_path / "root").unusable("greyness") == ""


LICENCE = 'licence = "CC0"'
MODALITY = 'modality = "CT"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "bright"', 'name = "../bright"', "model.name"),
        ('name = "bright"', 'name = "br\u00efght"', "model.name"),
        ('"1.0.0"', '"1/../2"', "model.version"),
        ('"1.0.0"', '".."', "model.version"),
        ('"Bright things"', '"a\\\\b"', "model.title"),
        ('"Bright things"', '"a\\u001b[2J"', "model.title"),
        ("1.0, 1.0, 1.5]", "0, 1, 1]", "input.spacing.0"),
        ("1.0, 1.0, 1.5]", "nan, 1, 1]", "input.spacing.0"),
        ("from = [-200, 900]", "from = [nan, 900]", "finite"),
        (MODALITY, f"{MODALITY}\naccept_extent_mm = [600, 100]", "lower end comes first"),
        (MODALITY, f"{MODALITY}\naccept_spacing_mm = [0, 0]", "above 0"),
        (MODALITY, f"{MODALITY}\nsize = [-1, 2, 3]", "input.size"),
        (MODALITY, f"{MODALITY}\naccept_extent_mm = [90000, 100000]", "too many to generate"),
        ('task = "segmentation"', 'task = "segmentation"\nwindow = [4096, 4096, 4096]', "too large"),
        (LICENCE, f'{LICENCE}\n"\\u001b[2J" = 1', r"x1b\[2J.*not a key"),
        (LICENCE, f"{LICENCE}\n{'k' * 5000} = 1", "not a key"),
        (LICENCE, f"{LICENCE}\n{'.'.join('a' * 5000)} = 1", "dots"),
        (LICENCE, f"{LICENCE}\nmetrics = {{ a = {'[' * 300}{']' * 300} }}", "deeper"),
        (LICENCE, f"{LICENCE}\nmetrics = {{ a = {'[' * 20_000}{']' * 20_000} }}", "not TOML"),
        (LICENCE, LICENCE + "\nreferences = [" + '"a",' * 100 + "]", "model.references"),
        ('label = "spleen"', 'label = "spleen"\ncode = "1"\nmeaning = "a\\\\b"', "outputs.0.meaning"),
        ('label = "spleen"', 'label = "spleen"\nanatomy_code = "1"', "anatomy_meaning"),
    ],
)
def test_a_card_that_cannot_be_is_refused_in_one_short_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    card = segmentation_card("torchscript")
    assert old in card
    folder = script(tmp_path / "m", Threshold(), card.replace(old, new))

    with pytest.raises(ModelRefused, match=said) as refused:
        imported(folder, tmp_path / "root")
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_a_card_that_an_editor_marked_as_utf_8_is_read(tmp_path: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), "\ufeff" + segmentation_card("torchscript"))

    assert imported(folder, tmp_path / "root").new


def test_a_card_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))
    (folder / "model.toml").write_bytes((folder / "model.toml").read_bytes().replace(b"Bright", b"Br\xe9"))

    with pytest.raises(ModelRefused, match="UTF-8"):
        imported(folder, tmp_path / "root")


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": "@preprocessing"},
        {"preprocessing": "@a", "a": "@b", "b": "@a"},
        {"preprocessing": {"_target_": "Compose", "transforms": "@preprocessing#transforms"}},
        {"inferer": "@inferer"},
        {"network_def": "@network_def"},
    ],
)
def test_references_in_a_circle_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = spleen_bundle(tmp_path / "spleen", more=changes)

    with pytest.raises(ModelRefused, match="in a circle"):
        planned(folder, "spleen", renamed=False)


def test_an_inferer_by_reference_is_followed(tmp_path: Path) -> None:
    window = {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8]}
    folder = spleen_bundle(tmp_path / "spleen", more={"inferer": "@other", "other": window})

    assert planned(folder, "spleen", renamed=False).card.engine.window == (8, 8, 8)


@pytest.mark.parametrize(
    "text",
    ["{" * 3000, "[" * 100_000, "- " * 3000, "a: !!python/object/apply:os.system ['true']", "a: &a [x]\nb: *a"],
)
def test_yaml_that_is_made_to_exhaust_or_to_run_is_refused_at_once(tmp_path: Path, text: str) -> None:
    folder = spleen_bundle(tmp_path / "spleen")
    (folder / "configs" / "inference.json").unlink()
    (folder / "configs" / "inference.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ModelRefused):
        bundle.configuration(folder, {})
