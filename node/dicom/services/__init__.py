"""DIMSE services that are not C-STORE: one file each, and the table that says which there are.

A newcomer adds a service here: one handler, one line in :data:`SERVICES`. The association knows no service by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from node.dicom.services.base import Answer, Handler, Request, Resources

C_ECHO_RQ, N_EVENT_REPORT_RQ, N_SET_RQ, N_ACTION_RQ, N_CREATE_RQ = 0x0030, 0x0100, 0x0120, 0x0130, 0x0140
"""Command Field (0000,0100) of requests (PS3.7 table E.1-1)."""

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY_NOTIFICATION = "1.2.840.10008.5.1.4.33"


def _lazily(module: str, function: str) -> Handler:
    """Return a handler that is imported when it is first called: most receivers never need the records."""

    def handler(resources: Resources, request: Request) -> Answer:
        found: Handler = getattr(import_module(f"node.dicom.services.{module}"), function)
        return found(resources, request)

    return handler


SERVICES: Mapping[tuple[str, int], Handler] = {
    (VERIFICATION, C_ECHO_RQ): _lazily("verification", "echo"),
    (STORAGE_COMMITMENT, N_ACTION_RQ): _lazily("commitment", "request_commitment"),
    (STORAGE_COMMITMENT, N_EVENT_REPORT_RQ): _lazily("commitment_report", "take_report"),
    (PROCEDURE_STEP, N_CREATE_RQ): _lazily("procedure_step", "create_step"),
    (PROCEDURE_STEP, N_SET_RQ): _lazily("procedure_step", "set_step"),
    (AVAILABILITY_NOTIFICATION, N_CREATE_RQ): _lazily("availability", "notify"),
}
"""By abstract syntax of the presentation context and command field."""


@cache
def abstract_syntaxes() -> frozenset[str]:
    """Return the SOP classes beside storage that the node provides."""
    return frozenset(uid for uid, _ in SERVICES)
