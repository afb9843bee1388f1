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

from models.site import bundle
from models.site.bring import planned
from models.site.bundle_values import Config
from models.site.errors import ModelRefused
from tests.models.site.makers import Mean, classification_card, imported, script
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
