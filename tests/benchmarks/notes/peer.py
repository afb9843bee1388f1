"""Assert marked spans and read notes with medspaCy or negspacy: run by the Python that has them, JSON in, JSON out.

Stdin: ``{"peer": "medspacy" | "negspacy", "items": [{"text", "start", "end"}], "notes": [text], "names": [name],
"rounds": n}``. Stdout: ``{"versions": {...}, "assertions": [{property: bool}], "seconds": [cpu seconds a round]}``.

For assertions the marked span is the only entity and its sentence the whole document, as the corpora mark them; rules
are each peer's own default ones. For speed medspaCy runs its default pipeline (sentences, targets, ConText) with the
names that it is given as targets.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

MEDSPACY = {
    "negated": "is_negated",
    "historical": "is_historical",
    "hypothetical": "is_hypothetical",
    "uncertain": "is_uncertain",
    "family": "is_family",
}


def marked(blank: Any, item: dict[str, Any]) -> Any:
    """Give the document of one sentence with the marked span as its entity."""
    doc = blank.make_doc(item["text"])
    doc.ents = [doc.char_span(item["start"], item["end"], label="MARKED", alignment_mode="expand")]
    for at, token in enumerate(doc):
        token.is_sent_start = at == 0
    return doc


def medspacy_assertion() -> Callable[[dict[str, Any]], dict[str, bool]]:
    """Give medspaCy's ConText with its default rules."""
    importlib.import_module("medspacy.context")
    blank = importlib.import_module("spacy").blank("en")
    context = blank.add_pipe("medspacy_context")

    def say(item: dict[str, Any]) -> dict[str, bool]:
        (entity,) = context(marked(blank, item)).ents
        return {name: bool(getattr(entity._, attribute)) for name, attribute in MEDSPACY.items()}

    return say


def negspacy_assertion() -> Callable[[dict[str, Any]], dict[str, bool]]:
    """Give negspacy with its clinical termset; it knows negation only."""
    importlib.import_module("negspacy.negation")
    termset = importlib.import_module("negspacy.termsets").termset("en_clinical")
    blank = importlib.import_module("spacy").blank("en")
    settings = {"neg_termset": termset.get_patterns(), "ent_types": ["MARKED"]}
    negex = blank.add_pipe("negex", config=settings)

    def say(item: dict[str, Any]) -> dict[str, bool]:
        (entity,) = negex(marked(blank, item)).ents
        return {"negated": bool(entity._.negex)}

    return say


def medspacy_reading(names: list[str]) -> Callable[[str], Any]:
    """Give medspaCy's default pipeline with ``names`` as its targets."""
    pipeline = importlib.import_module("medspacy").load()
    rule = importlib.import_module("medspacy.target_matcher").TargetRule
    pipeline.get_pipe("medspacy_target_matcher").add([rule(name, "NAME") for name in names])
    reading: Callable[[str], Any] = pipeline
    return reading


def timed(read: Callable[[str], Any], notes: list[str], rounds: int) -> list[float]:
    """Give the CPU seconds of each round over all notes, after one that warms up."""
    seconds = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        for note in notes:
            read(note)
        seconds.append(time.process_time() - begin)
    return seconds[1:]


def main() -> None:
    """Do what stdin asks."""
    sys.stdout, answers = sys.stderr, sys.stdout  # libraries print; the answer is the only thing on stdout
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked = json.load(sys.stdin)
    peer = asked["peer"]
    say = {"medspacy": medspacy_assertion, "negspacy": negspacy_assertion}[peer]()
    answer: dict[str, Any] = {"versions": {name: version(name) for name in (peer, "spacy")}}
    answer["assertions"] = [say(item) for item in asked["items"]]
    answer["seconds"] = []
    if peer == "medspacy" and asked["notes"]:
        answer["seconds"] = timed(medspacy_reading(asked["names"]), asked["notes"], asked["rounds"])
    json.dump(answer, answers)


if __name__ == "__main__":
    main()
