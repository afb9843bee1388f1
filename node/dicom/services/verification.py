"""Verification (PS3.4 annex A): C-ECHO."""

from __future__ import annotations

from node.dicom.services.base import Answer, Request, Resources

VERIFICATION = "1.2.840.10008.1.1"


def echo(resources: Resources, request: Request) -> Answer:
    """Answer Success: the node listens and understands."""
    return Answer()
