"""The alert on a critical finding: an ORU^R01 of its own (HL7 v2.5.1 section 7.3.1). Pure.

HL7 v2.5.1 has no event for alerts (ORU^R40 came with 2.6 and is of bedside devices), so the alert is what results
interfaces route on in the field: an ORU^R01 whose OBR-4 says that it is one, with priority STAT (TQ1-9, and OBR-27 for
receivers of before 2.5), and the findings flagged AA, very abnormal (OBX-8, table 0078). How soon somebody has to act
is coded as IHE RAD Results Distribution (RAD-128) has it, in RadLex's codes of the ACR's categories of actionable
findings; in an OBX of its own, since OBX-13, where IHE puts it, holds no code in 2.5.1.
"""

from __future__ import annotations

import datetime as dt

from node.hl7.outbound import model_and_limits, references
from node.hl7.reporting import SCHEME, OruObservation, OruReport
from node.hl7.segments import (
    check_control_id,
    common_order,
    header,
    observation_lines,
    person,
    request,
    study_line,
    visit,
    written,
)
from node.hl7.writing import Concept

CRITICAL_FLAG = "AA"
"""OBX-8 of a critical finding (table 0078: very abnormal, analogous to panic limits)."""

ALERT = Concept("CRITICAL-FINDING", SCHEME, "Alert on a critical finding")
CATEGORY = Concept("ACTIONABLE", SCHEME, "Category of the actionable finding")
EMERGENT = Concept("RID49480", "RadLex", "Category 1 Emergent Actionable Finding")
REASON = Concept("ALERT-REASON", SCHEME, "Why this is an alert")
CORRECTS = Concept("ALERT-CORRECTED", SCHEME, "Control id of the alert that this one corrects")

STAT = ["TQ1", "1", *[""] * 7, "S^Stat^HL70485"]
STAT_BEFORE_2_5 = "^^^^^S"


def build_alert(report: OruReport, control_id: str, now: dt.datetime, corrects: str = "") -> bytes:
    """Build the message.

    Parameters
    ----------
    report
        Its observations are the critical findings, flagged; none where an alert is taken back. Its lines say why.
    control_id
        MSH-10, at most 20 characters.
    now
        Aware time of MSH-7 and OBR-22.
    corrects
        Control id of the alert that this one corrects, "" for a first one.

    Raises
    ------
    ValueError
        A number is not finite, or the control id is empty or too long.
    """
    check_control_id(control_id)
    said = [
        *([OruObservation(CATEGORY, "CWE", EMERGENT, flag=CRITICAL_FLAG)] if report.observations else []),
        *report.observations,
        *(OruObservation(REASON, "TX", line) for line in report.lines),
        *([OruObservation(CORRECTS, "ST", corrects)] if corrects else []),
        *references(report.references),
        *model_and_limits(report),
    ]
    return written(
        [
            header(report, control_id, now),
            person(report.patient),
            *visit(report.context),
            common_order(report),
            request(report, 1, ALERT, now, STAT_BEFORE_2_5),
            STAT,
            study_line(report.study_uid),
            *observation_lines(said, report, start=2),
        ]
    )
