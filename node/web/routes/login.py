"""The login form."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from node import logs
from node.web.gate import client_address, cookie_header, session_of
from node.web.sessions import Session, new_session
from node.web.site import Site, TheSite

router = APIRouter()
Field = Annotated[str, Form(max_length=1000)]


@router.get("/login")
def form(request: Request, site: TheSite, next: str = "/") -> Response:  # noqa: A002  the name browsers show
    """The form."""
    if not site.settings.web.login or session_of(request).user:
        return RedirectResponse("/", status_code=303)
    return site.pages.page(request, "login.html", problem="", target=local_path(next))


@router.post("/login")
def log_in(
    request: Request,
    site: TheSite,
    name: Field = "",
    password: Field = "",
    csrf: Field = "",
    target: Field = "/",
) -> Response:
    """Check, and give a session that nobody had before."""
    if not site.sessions.csrf_valid(session_of(request), csrf):
        return _again(request, site, "The form was out of date. Please try again.", target, 403)
    address = client_address(request)
    wait = site.login.throttle.wait(address)
    if wait > 0:
        problem = f"Too many failed tries. Wait {math.ceil(wait)} seconds."
        response = _again(request, site, problem, target, 429)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    if not site.login.attempt(address, name, password):
        logs.get("web").warning("web.login_failed", peer=address)
        return _again(request, site, "Name or password is wrong.", target, 401)
    return _with_session(request, site, new_session(site.settings.web.user), local_path(target))


@router.post("/logout")
def log_out(request: Request, site: TheSite, csrf: Field = "") -> Response:
    """Take the session away."""
    if not site.sessions.csrf_valid(session_of(request), csrf):
        raise HTTPException(403, "The form is out of date: reload the page and try again.")
    return _with_session(request, site, new_session(), "/login")


def local_path(target: str) -> str:
    """Return a path of this site; anything that could lead elsewhere becomes the worklist."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"


def _again(request: Request, site: Site, problem: str, target: str, status: int) -> Response:
    return site.pages.page(request, "login.html", status=status, problem=problem, target=local_path(target))


def _with_session(request: Request, site: Site, session: Session, to: str) -> Response:
    response = RedirectResponse(to, status_code=303)
    secure = request.url.scheme == "https"
    response.headers["set-cookie"] = cookie_header(site.sessions.write(session), secure=secure)
    return response
