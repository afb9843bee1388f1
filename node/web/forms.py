"""What all forms have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, HTTPException, Request

from node.web.gate import session_of
from node.web.site import Site

Csrf = Annotated[str, Form(max_length=200)]
"""The token that a form carries."""
LARGEST_ID = 1 << 53
"""Numbers of rows are below it: databases take none that is much longer."""


def check_form(request: Request, site: Site, csrf: str) -> None:
    """Refuse a form that this session was not given (403)."""
    if not site.sessions.csrf_valid(session_of(request), csrf):
        raise HTTPException(403, "The form is out of date: reload the page and try again.")


def possible(number: int, missing: str) -> int:
    """Return a number that a row can have; 404 with ``missing`` for another one."""
    if not 0 < number < LARGEST_ID:
        raise HTTPException(404, missing)
    return number
