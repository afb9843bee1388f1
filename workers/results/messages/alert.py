"""Alerts on critical findings: when one is due, and what it says.

An alert is about a set of critical findings of a model on a series. It is sent once: a new report with the same set
makes none. Another set makes a new one that names the alert that it corrects; so does the empty set, which takes the
alert back. All of this follows from the newest alert's control id, which is derived from the set and from the alert
before, so that a repetition finds its work done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from models.contracts import Finding
from node.hl7 import alert
from node.records.schema import Result
from workers.results import telling
from workers.results.common import ResultInput, local_time
from workers.results.messages.addressing import Addressing
from workers.results.messages.oru import Letter, finding_lines, report_of

TAKEN_BACK = "What an earlier alert said of this study is not critical any more: see the corrected report."


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that has to be sent in one form.

    Parameters
    ----------
    corrects
        Control id of the alert before, "" for the first.
    """

    addressing: Addressing
    control_id: str
    corrects: str


def critical_findings(findings: Sequence[Finding], indices: Iterable[int]) -> tuple[Finding, ...]:
    """Return the findings that an alert is about, in the model's order; an index that is none is left out."""
    return tuple(findings[index] for index in sorted(set(indices)) if 0 <= index < len(findings))


def due(
    series_uid: str, model: str, critical: Iterable[Finding], form: Addressing, newest: Result | None
) -> Due | None:
    """Tell which alert is to be sent in a form, None if the newest one says it already.

    Parameters
    ----------
    series_uid, model
        What was looked at, and by which model: of whatever version, since a new version with the same finding is no
        news.
    critical
        The critical findings now.
    newest
        The newest alert of this form on the series by the model, None if there was none.
    """
    said = sorted("|".join((f.code.scheme, f.code.value, f.label, f.side or "", f.lesion)) for f in critical)
    before = newest.uid if newest is not None else ""
    if newest is None and not said:
        return None
    if newest is not None and newest.uid == _control_id(series_uid, model, said, form, newest.predecessor):
        return None
    return Due(form, _control_id(series_uid, model, said, form, before), before)


def build_alert(inp: ResultInput, objects: Iterable[tuple[str, str]], letter: Letter, wanted: Due) -> bytes:
    """Build the message; ``letter`` is of the form that is wanted. It asks for both acknowledgements in enhanced mode.

    Parameters
    ----------
    inp
        What is reported; with an assessment.
    objects
        Kind and SOP Instance UID of the objects that the message refers to.
    """
    triage = inp.assessment.triage if inp.assessment is not None else None
    indices = triage.critical_findings if triage is not None else ()
    findings = critical_findings(inp.prediction.findings, indices)
    reasons = triage.reasons[: telling.MAX_SENTENCES] if triage is not None and findings else ()
    lines = [
        item
        for number, finding in enumerate(findings, 1)
        for item in finding_lines(finding, str(number), alert.CRITICAL_FLAG)
    ]
    report = replace(
        report_of(inp, letter, objects),
        status="C" if wanted.corrects else "P",
        observations=tuple(lines),
        lines=(*(finding.text for finding in findings if finding.text), *reasons) if findings else (TAKEN_BACK,),
        application="AL" if letter.addressing.enhanced else "",
    )
    return alert.build_alert(report, wanted.control_id, local_time(inp), wanted.corrects)


def _control_id(series_uid: str, model: str, said: Sequence[str], form: Addressing, before: str) -> str:
    parts = ("alert", series_uid, model, form.key, before, *said)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20].upper()
