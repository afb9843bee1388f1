"""What the PDF report says of images and record together, as plain texts."""

from __future__ import annotations

from collections.abc import Iterator

from models.contracts import Prediction
from models.fusion.contracts import Assessment
from workers.results import telling
from workers.results.pdf.page import Cell, Pairs, Section, Table


def assessment_sections(prediction: Prediction, made: Assessment) -> Iterator[Section]:
    """Images and record together: what follows, how soon somebody should read it, and what it rests on."""
    most = telling.MAX_SENTENCES
    yield Section(
        "Images and record together",
        note="Put together by rules from the findings above, notes, laboratory values and history.",
        pairs=_triage(prediction, made),
        bullets=made.summary[:most],
    )
    for title, changes in (("Contradictions", False), ("Changes", True)):
        if told := [item for item in made.conflicts if item.change is changes]:
            yield Section(title, bullets=tuple(map(telling.conflict, told[:most])))
    if made.scores:
        yield _scores(prediction, made)
    if made.links:
        yield _evidence(prediction, made)
    if made.follow_up:
        yield Section("Recommended by the rules that apply", bullets=made.follow_up[:most])
    if made.missing:
        yield Section("Not available to the assessment", bullets=made.missing[:most])


def _triage(prediction: Prediction, made: Assessment) -> Pairs:
    triage = made.triage
    critical = [telling.subject(prediction, index) for index in triage.critical_findings]
    return (
        ("Suggested priority", triage.priority.value),
        *(("Because", reason) for reason in triage.reasons[: telling.MAX_SENTENCES]),
        *(("Critical finding", name) for name in critical),
    )


def _scores(prediction: Prediction, made: Assessment) -> Section:
    head = ("Score", "Result", "What it says", "Rests on")
    rows = tuple(
        (
            _cell(score.title, "" if score.finding is None else telling.subject(prediction, score.finding)),
            _cell(telling.result(score), score.category if score.value is not None else ""),
            (score.statement,),
            _cell(
                "; ".join(telling.given_input(item) for item in score.inputs),
                f"Missing: {', '.join(score.missing)}" if score.missing else "",
            ),
        )
        for score in made.scores[: telling.MAX_SCORES]
    )
    return Section("Scores", table=Table(head, (24, 12, 32, 34), rows))


def _evidence(prediction: Prediction, made: Assessment) -> Section:
    head = ("Evidence", "Finding", "Why", "Weight")
    rows = tuple(
        (
            _cell(telling.evidence(item.evidence)),
            _cell(f"{telling.RELATIONS[item.relation]} {telling.subject(prediction, item.finding)}"),
            (item.why,),
            (f"{item.weight:.2g}",),
        )
        for item in made.links[: telling.MAX_LINKS]
    )
    return Section("Evidence for and against", table=Table(head, (36, 26, 32, 8), rows))


def _cell(*texts: str) -> Cell:
    return tuple(filter(None, texts))
