"""Words that mean something only beside a finding: density, margin and lobe of a lung nodule, a smoker who quit.

And the other way round: a "nodule" beside such words, or in a sentence about the lungs, is a lung nodule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from models.contracts import Code
from models.facts import FactKind
from models.notes.codes import Concept, concepts
from models.notes.concepts import Entry, Mention, index, scan
from models.notes.phrases import PhraseTrie
from models.notes.resources import LexiconError, read_rows
from models.notes.sentences import Sentence
from models.notes.tokens import Tokens

TABLE = "attributes.tsv"
SMOKING = frozenset({"F17.210", "Z87.891"})
SMOKER, QUITTER = "F17.210", "Z87.891"
LUNG_NODULE, NODULE = "R91.1", "PROB-NODULE"
_CONTEXTS = ("lung", "smoking")
_LUNG_FINDINGS = frozenset({LUNG_NODULE, "R91.8", "C34.90", "C78.00"})
_FINDINGS = _LUNG_FINDINGS | {NODULE, "R22.9"}
_LUNG_ATTRIBUTES = ("LOBE-", "LINGULA", "NODULE-GROUND", "NODULE-PART", "NODULE-SUBSOLID")
_LUNG_WORDS = frozenset(
    {
        "lung",
        "lungs",
        "pulmonary",
        "rul",
        "rml",
        "rll",
        "lul",
        "lll",
        "lingula",
        "pleural",
        "chest",
        "thorax",
        "肺",
        "胸",
    }
)
_SMOKING_WORDS = frozenset({"pack", "packs", "ppd", "cigarettes", "包", "支"})
_OTHER_ORGANS = frozenset(
    {"thyroid", "breast", "liver", "hepatic", "adrenal", "甲", "乳", "肝", "renal", "kidney", "脾"}
)
_COLUMNS = 6


@cache
def _known() -> tuple[tuple[str, Concept], ...]:
    """Read the table: context and concept of each row."""
    found = []
    for number, (context, scheme, value, meaning, english, chinese) in read_rows(TABLE, _COLUMNS):
        names = tuple(name.strip() for name in f"{english}|{chinese}".split("|") if name.strip())
        if context not in _CONTEXTS or not (scheme and value and meaning and names):
            raise LexiconError(f"{TABLE}:{number}: unknown context, or an empty cell")
        kind = FactKind.ATTRIBUTE if context == "lung" else FactKind.RISK_FACTOR
        found.append((context, Concept(kind, Code(value, scheme, meaning), names)))
    return tuple(found)


def attributes() -> tuple[Concept, ...]:
    """Give all concepts that count only in their context."""
    return tuple(concept for _, concept in _known())


@cache
def _names() -> PhraseTrie[Entry]:
    return index(attributes())


@cache
def _lung_nodule() -> Concept:
    return next(concept for concept in concepts() if concept.code.value == LUNG_NODULE)


def find_attributes(text: str, tokens: Tokens) -> list[Mention]:
    """Find the words of the table, whether their context is there or not."""
    return list(scan(_names(), text, tokens))


def in_context(
    tokens: Tokens, sentences: Sequence[tuple[Sentence, Sequence[Mention], Sequence[Mention]]]
) -> Iterator[tuple[list[Mention], list[Mention]]]:
    """Yield, sentence by sentence, its concepts with nodules made lung nodules, and the attributes that count.

    Parameters
    ----------
    sentences
        Each sentence with its concepts and the words of the table in it.
    """
    before = False
    for sentence, mentions, words in sentences:
        codes = {mention.concept.code.value for mention in mentions}
        lung = not codes.isdisjoint(_FINDINGS) and _about_lungs(tokens, sentence, codes, words, before)
        near = lung or (before and not _names_any(tokens, sentence, _OTHER_ORGANS))
        smoking = bool(words) and (SMOKER in codes or _names_any(tokens, sentence, _SMOKING_WORDS))
        kept = [word for word in words if (near if word.concept.kind is FactKind.ATTRIBUTE else smoking)]
        yield [_lung(mention) for mention in mentions] if lung else list(mentions), kept
        before = lung


def _about_lungs(tokens: Tokens, sentence: Sentence, codes: set[str], words: Sequence[Mention], before: bool) -> bool:
    """Whether a sentence that names a finding speaks of the lungs."""
    if _names_any(tokens, sentence, _OTHER_ORGANS):
        return False
    if before or not codes.isdisjoint(_LUNG_FINDINGS) or _names_any(tokens, sentence, _LUNG_WORDS):
        return True
    return any(word.concept.code.value.startswith(_LUNG_ATTRIBUTES) for word in words)


def _names_any(tokens: Tokens, sentence: Sentence, words: frozenset[str]) -> bool:
    return any(norm in words for norm in tokens.norms[sentence.first : sentence.last])


def _lung(mention: Mention) -> Mention:
    return replace(mention, concept=_lung_nodule()) if mention.concept.code.value == NODULE else mention
