"""What the order control code says: ORC-1 and ORC-5 (HL7 v2.5.1 section 4.5.1, tables 0119 and 0038)."""

from __future__ import annotations

from node.errors import Hl7InputError
from node.hl7.message import Segment

STATES = frozenset(
    {
        *("NW", "RO", "PA", "CH"),  # new, replacement, parent and child orders
        *("XO", "XR", "XX"),  # changed
        *("CA", "CR", "OC", "DC", "DR", "OD"),  # cancelled, discontinued
        *("RP", "RQ", "RU"),  # replaced: "treated as though they were canceled" (table 0119, RO)
        *("HD", "HR", "OH", "RL", "OE", "OR"),  # held, released
        *("OK", "UC", "UD"),  # accepted; cannot be cancelled or discontinued: it stands
    }
)
"""Codes that are themselves a status of the order."""

BY_ORDER_STATUS = frozenset({"SC", "SR"})
"""Status changed, and the answer to a request for the status: ORC-5 says which."""

SILENT = frozenset(
    {
        *("NA", "SN"),  # a number is assigned, or asked for
        *("UA", "UF", "UH", "UM", "UR", "UX", "DE"),  # what was asked for is not done
        *("RE", "CN", "SS", "RR", "LI", "UN", "MC"),
        *("AF", "DF", "FU", "OF", "RF", "OP", "PY"),  # refills and dispensing
    }
)
"""Codes that leave the status as it is."""

PRIOR = "PR"
"""Earlier results that accompany an order: not an order."""

ENDING = frozenset({"CA", "DC", "RP"})
"""ORC-5 (table 0038): cancelled, discontinued, replaced."""

GOING_ON = frozenset({"A", "CM", "HD", "IP", "SC"})
"""ORC-5: some results, completed, held, in process, scheduled."""


def control(orc: Segment) -> str:
    """Return ORC-1.

    Raises
    ------
    Hl7InputError
        It is missing (101), or table 0119 does not have it (103): it could be a cancellation in a language of its own.
    """
    code = orc.get(1).upper()
    if not code:
        raise Hl7InputError("ORC-1 (order control) is missing", error_code="101", location="ORC^1^1")
    if code not in STATES | BY_ORDER_STATUS | SILENT | {PRIOR}:
        raise Hl7InputError("ORC-1 (order control) is not in table 0119", error_code="103", location="ORC^1^1")
    return code


def status(orc: Segment) -> str:
    """Return the status of an order that ORC states, "" where it says nothing about it."""
    code = control(orc)
    if code in STATES:
        return code
    if code in BY_ORDER_STATUS:
        stated = orc.get(5).upper()
        return stated if stated in ENDING else "SC" if stated in GOING_ON else ""
    return ""
