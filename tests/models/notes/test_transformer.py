"""A small transformer trained on generated sentences, written, loaded back, and used; and folders that are refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contracts import WeightsError
from models.facts import Assertion, FactKind
from models.notes import transformer
from models.notes.engine import default_engine
from models.notes.evaluate import Example
from models.notes.transformer import TransformerEngine
from models.notes.transformer_concepts import ConceptModel
from models.notes.transformer_folder import describe
from models.notes.transformer_model import SEQUENCES, TOKENS, load_part
from models.training import notes_parts
from models.training.notes_data import LabelledSection
from models.training.notes_transformer import Shape

PROBLEMS = ["pneumonia", "seizures", "fever", "dementia", "hypertension", "cough", "stroke", "emphysema"]
SMALL = Shape(
    vocabulary=300, layers=1, hidden=32, heads=2, window=32, epochs=15, batch=16, learning_rate=4e-3, dropout=0.0
)


def sentences() -> list[Example]:
    """Make sentences that deny and that state a problem."""
    found = []
    for problem in PROBLEMS:
        for pattern in ("The patient denies {}.", "No evidence of {} today.", "He has {} now.", "Treated for {} here."):
            start = pattern.index("{}")
            negated = pattern.startswith(("The", "No"))
            found.append(Example(pattern.format(problem), start, start + len(problem), negated, False, False))
    return found


def texts() -> list[str]:
    """Join sentences so that problems stand everywhere in the window."""
    one = [item.text for item in sentences()]
    two = [*one[5:], *one[:5]]
    three = [*one[11:], *one[:11]]
    joined = [" ".join(parts) for parts in zip(one, two, three, strict=True)]
    return [*one, *joined, *(f"Blood pressure 120/80 mmHg. {text}" for text in one)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep threads of tiny networks from waiting for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of an engine with all three parts."""
    path = tmp_path_factory.mktemp("engine")
    kinds = [LabelledSection(f"No {p}.", "ROS") for p in PROBLEMS] + [
        LabelledSection(f"Takes drugs for {p}.", "MEDICATIONS") for p in PROBLEMS
    ]
    notes_parts.write_engine(
        path,
        assertion=notes_parts.fit_assertion(sentences(), [], default_engine(), seed=1, shape=SMALL),
        concepts=notes_parts.fit_concepts(texts(), default_engine(), seed=1, shape=replace(SMALL, epochs=30)),
        sections=notes_parts.fit_section_kinds(kinds, seed=1, shape=SMALL),
    )
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformerEngine:
    return transformer.load(folder, default_engine())


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Give a copy of the folder that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_it_says_what_it_learnt_and_whose_the_rest_is(engine: TransformerEngine) -> None:
    assert engine.name == "transformer"
    assert engine.version == f"small-bert 1.0 (concepts assertion sections), else rules {default_engine().version}"
    assert len(f"{engine.name} {engine.version}") <= 100  # the column of the records


def test_it_tells_denied_from_stated(engine: TransformerEngine) -> None:
    said = [engine.assert_span(item.text, item.start, item.end).negated for item in sentences()]

    assert said == [item.negated for item in sentences()]


def test_it_finds_the_concepts_that_it_was_taught_with_the_lexicon_s_codes(engine: TransformerEngine) -> None:
    text = "He has pneumonia now. No evidence of dementia today."

    found = engine.analyze(text)

    rules = {fact.surface: fact.code for fact in default_engine().analyze(text).facts}
    assert {fact.surface: fact.code for fact in found.facts} == rules
    assert [(fact.surface, fact.assertion.negated) for fact in found.facts] == [
        ("pneumonia", False),
        ("dementia", True),
    ]
    assert (found.engine, found.version) == (engine.name, engine.version)


def test_measurements_stay_the_rules(engine: TransformerEngine) -> None:
    text = "He has fever now. Blood pressure 120/80 mmHg. The patient denies cough."

    kinds = {fact.kind for fact in default_engine().analyze(text).facts}
    assert FactKind.MEASUREMENT in kinds
    assert [f for f in engine.analyze(text).facts if f.kind is FactKind.MEASUREMENT] == [
        f for f in default_engine().analyze(text).facts if f.kind is FactKind.MEASUREMENT
    ]


def test_section_kinds_are_told(engine: TransformerEngine) -> None:
    kinds = engine.section_kinds(["No cough.", "Takes drugs for fever."])

    assert [kind.kind for kind in kinds] == ["ROS", "MEDICATIONS"]


def test_what_the_section_says_of_all_its_statements_holds(engine: TransformerEngine) -> None:
    text = "FAMILY HISTORY: He has dementia now."
    start = text.index("dementia")

    assert engine.assert_span(text, start, start + 8).experiencer == "family"


def test_a_name_that_the_model_finds_in_pieces_is_one_fact(engine: TransformerEngine, folder: Path) -> None:
    part = load_part(folder / "concepts", TOKENS)
    text = "He has chest pain, and cough. Left upper lobe."
    pieces = {token for word in ("chest", "pain", "cough") for token in part.tokenizer.encode(word).ids[1:2]}
    network = ByWord(pieces, part.labels)
    model = ConceptModel(replace(part, network=network), describe(folder).meanings)

    facts = TransformerEngine(describe(folder), default_engine(), model).analyze(text).facts

    rules = list(default_engine().analyze(text).facts)
    assert [fact.surface for fact in facts] == [fact.surface for fact in rules]
    assert [fact.code for fact in facts] == [fact.code for fact in rules]


class ByWord:
    """A network that says B-problem of certain tokens and O of all others."""

    def __init__(self, tokens: set[int], labels: tuple[str, ...]) -> None:
        self.tokens, self.labels = tokens, labels
        self.longest = 0

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        self.longest = max(self.longest, input_ids.shape[1])
        logits = torch.zeros(*input_ids.shape, len(self.labels))
        logits[..., 0] = 1.0
        wanted = torch.isin(input_ids, torch.tensor(sorted(self.tokens)))
        logits[..., self.labels.index("B-problem")] = 2.0 * wanted
        return SimpleNamespace(logits=logits)


def test_a_long_note_is_read_in_windows_without_loss_or_repetition(folder: Path) -> None:
    part = load_part(folder / "concepts", TOKENS)
    tokens = {part.tokenizer.encode(problem).ids[1] for problem in PROBLEMS}
    network = ByWord(tokens, part.labels)
    text = " ".join(item.text for item in sentences() * 5)  # dozens of windows of 32 tokens

    found = ConceptModel(replace(part, network=network), describe(folder).meanings).find(text)

    expected = [match.span() for match in re.finditer("|".join(PROBLEMS), text)]
    assert [(item.start, item.end) for item in found] == expected
    assert len(part.windows(text)) > 20
    assert network.longest == 32


def test_the_same_note_gives_the_same_answer_alone_and_in_company(engine: TransformerEngine) -> None:
    places = [(item.text, item.start, item.end) for item in sentences()]

    together = engine.assert_spans(places)

    assert together == engine.assert_spans(places)
    assert together == [engine.assert_span(*place) for place in places]


def test_threads_are_bounded_and_given_back(engine: TransformerEngine) -> None:
    before = torch.get_num_threads()

    engine.analyze("He has fever now.")

    assert torch.get_num_threads() == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=120),
        st.lists(
            st.sampled_from(["fever ", "No ", "\n", "头痛", "\ud800", "\udc00", " a\u0301", "1 mm "]), max_size=60
        ).map("".join),
    )
)
def test_facts_lie_within_any_text_in_order(engine: TransformerEngine, text: str) -> None:
    ends = [0]
    for fact in engine.analyze(text).facts:
        assert text[fact.start : fact.end] == fact.surface != ""
        assert fact.surface == fact.surface.strip()
        assert fact.start >= ends[-1]
        ends.append(fact.end)


def test_a_span_outside_of_the_text_is_refused(engine: TransformerEngine) -> None:
    with pytest.raises(ValueError, match="not within"):
        engine.assert_span("fever", 3, 9)


def test_beyond_what_the_models_read_the_rules_go_on(
    engine: TransformerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer, "MAX_CHARACTERS", 20)
    text = "He has fever now. \n\nMother denies pneumonia."

    assert [fact.surface for fact in engine.analyze(text).facts] == ["fever", "pneumonia"]
    assert engine.analyze(text).facts[1].assertion == default_engine().analyze(text).facts[1].assertion


def test_parts_that_the_folder_lacks_are_the_rules(copy: Path) -> None:
    text = "PMH: stroke in 2015. Mother denies cough. 5 mm nodule."
    (copy / "engine.toml").write_text('[engine]\nname = "x"\nversion = "2"\n[sections]\nfolder = "sections"\n', "utf-8")

    engine = transformer.load(copy, default_engine())

    assert engine.version.startswith("x 2 (sections), else rules")
    assert engine.analyze(text).facts == default_engine().analyze(text).facts
    assert engine.assert_span(text, 5, 11) == default_engine().assert_span(text, 5, 11)


def test_labels_may_carry_codes_of_their_own(copy: Path) -> None:
    described = (copy / "engine.toml").read_text("utf-8")
    label = 'problem = { kind = "problem", code = "X1", scheme = "99SITE", meaning = "Ours" }'
    (copy / "engine.toml").write_text(described.replace('problem = "problem"', label), "utf-8")

    about = describe(copy)
    found = ConceptModel(load_part(copy / "concepts", TOKENS), about.meanings).find("He has pneumonia now.")

    assert [(item.start, item.end, item.meaning.code.value) for item in found] == [(7, 16, "X1")]


def test_a_property_without_a_label_stays_as_the_rules_say(copy: Path) -> None:
    described = (copy / "engine.toml").read_text("utf-8")
    assert "uncertain" not in described  # no example said anything of it, so that it was not taught
    (copy / "engine.toml").write_text(described.replace('family = "family"\n', ""), "utf-8")

    engine = transformer.load(copy, default_engine())

    assert engine.assert_span("Possible fever.", 9, 14).uncertain
    assert engine.assert_span("Mother has fever now.", 11, 16).experiencer == "family"
    assert engine.assert_span("He has fever now.", 7, 12) == Assertion()


def test_a_pickle_is_refused(copy: Path) -> None:
    (copy / "assertion" / "model.safetensors").rename(copy / "assertion" / "pytorch_model.bin")

    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is a pickle, which could run code"):
        transformer.load(copy, default_engine())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x80\x04K\x01."])
def test_a_folder_with_a_file_that_is_missing_or_something_else_is_refused(
    copy: Path, name: str, content: bytes | None
) -> None:
    path = copy / "concepts" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightsError, match="concepts"):
        load_part(copy / "concepts", TOKENS)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model_type", "llama", "not one of"),
        ("auto_map", {"AutoModel": "evil.Model"}, "code from elsewhere"),
        ("architectures", ["BertModel"], "is no SequenceClassification"),
        ("architectures", None, "is no SequenceClassification"),
        ("hidden_size", 10**9, "hidden_size"),
        ("hidden_size", "32", "hidden_size"),
        ("num_hidden_layers", 3, "lacks"),
        ("vocab_size", 17, "do not fit|lacks"),
        ("hidden_size", 48, "do not fit|lacks"),
        ("id2label", {}, "no labels"),
        ("id2label", {"0": "a", "7": "b"}, "numbered"),
    ],
)
def test_a_configuration_of_another_kind_is_refused(copy: Path, key: str, value: object, says: str) -> None:
    path = copy / "assertion" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")

    with pytest.raises(WeightsError, match=says):
        load_part(copy / "assertion", SEQUENCES)


def test_a_model_of_the_wrong_kind_is_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match="is no TokenClassification"):
        load_part(folder / "assertion", TOKENS)


def test_code_in_the_folder_is_never_run(copy: Path) -> None:
    trap = copy / "ran"
    (copy / "assertion" / "modeling_bert.py").write_text(f"open({str(trap)!r}, 'w')", "utf-8")
    config = json.loads((copy / "assertion" / "tokenizer.json").read_text("utf-8"))
    (copy / "assertion" / "tokenizer_config.json").write_text(
        '{"auto_map": {"AutoTokenizer": "modeling_bert.X"}}', "utf-8"
    )

    load_part(copy / "assertion", SEQUENCES)

    assert config
    assert not trap.exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('folder = "concepts"', 'folder = "../.."', "leads out"),
        ('folder = "concepts"', 'folder = "/etc"', "leads out"),
        ('folder = "concepts"', "folder = 3", "concepts.folder is a text"),
        ('folder = "concepts"', 'folder = "nowhere"', "nowhere"),
        ('problem = "problem"', 'problem = "disease"', "must mean one of"),
        ('problem = "problem"', 'illness = "problem"', "the model has"),
        ('negated = "negated"', 'negated = "denied"', "must mean one of"),
        ('negated = "negated"', 'denied = "negated"', "the model has"),
        ("threshold = 0.5", "threshold = 1.5", "between 0 and 1"),
        ('mask = "[CONCEPT]"', "", "mask, or open and close"),
        ('mask = "[CONCEPT]"', 'mask = "[CONCEPT]"\nopen = "<"\nclose = ">"', "mask, or open and close"),
        ('version = "1.0"', 'version = "1.0"\nauthor = "x"', "unknown key 'author'"),
        ('version = "1.0"', 'version = "1.0.0.0.0.0.0.0"', "at most 12"),
        ("[engine]", "[engine", "is not TOML"),
        ("[engine]", "[motor]", "unknown key 'motor'|engine.name"),
    ],
)
def test_a_description_that_is_wrong_says_what_is(copy: Path, old: str, new: str, says: str) -> None:
    described = (copy / "engine.toml").read_text("utf-8")
    assert old in described
    (copy / "engine.toml").write_text(described.replace(old, new, 1), "utf-8")

    with pytest.raises(WeightsError, match=says):
        transformer.load(copy, default_engine())


def test_a_folder_without_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no engine\.toml"):
        describe(tmp_path)
    with pytest.raises(WeightsError, match="no folder"):
        describe(tmp_path / "nowhere")
