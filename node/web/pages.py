"""Templates: the environment, its filters, and parts of pages that reload only when they changed."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from node.records.persons import Person
from node.records.schema import Fact, Note, Study, now
from node.web import findings, places, shelf, text
from node.web.banner import Banner
from node.web.gate import OPEN_PATHS, session_of
from node.web.sessions import Sessions

HERE = Path(__file__).parent
DISCLAIMER = "Not a medical device. For research; every finding must be checked by a qualified reader."
HAVE_HEADER = "X-Part-Digest"


def local(when: dt.datetime | None) -> str:
    """Return a time on the node's own clock: the time alone if it is today."""
    if when is None:
        return ""
    here = when.astimezone()
    same_day = here.date() == now().astimezone().date()
    return here.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M")


def stamp(when: dt.datetime | None, style: str = "") -> Markup:
    """Return a ``<time>`` element: short for the eye, complete in its title; "" for no time."""
    if when is None:
        return Markup("")
    here = when.astimezone()
    return Markup('<time datetime="{}" title="{}" class="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), here.strftime("%Y-%m-%d %H:%M:%S %Z"), style, local(when)
    )


def patient_age(person: Person, study: Study) -> str:
    """Return the age on the day of the study."""
    return text.age(person.birth_date, text.parse_date(study.study_date) or study.first_instance_at.date())


def marked(note: Note) -> Markup:
    """Return a note's text with its facts marked; everything that is not a mark of ours is escaped.

    Each fact's first words carry the name of :func:`node.web.places.anchor`, so that evidence can lead there.
    """
    out, at = [], 0
    for piece in text.pieces(note.text, [(fact.start, fact.end) for fact in note.facts]):
        covering = [note.facts[index] for index in piece.facts]
        begun = {places.anchor(note, fact.start, fact.end): None for fact in covering if fact.start == at}
        shown = _mark(covering, piece.text) if covering else Markup.escape(piece.text)
        for name in begun:
            shown = Markup('<span class="at" id="{}">{}</span>').format(name, shown)
        out.append(shown)
        at += len(piece.text)
    return Markup("").join(out)


def _mark(covering: Sequence[Fact], words: str) -> Markup:
    title = "; ".join(f"{fact.code_meaning} ({text.assertion(fact)}, {fact.kind})" for fact in covering)
    return Markup('<mark class="fact {}" title="{}">{}</mark>').format(text.assertion(covering[0]), title, words)


def environment() -> jinja2.Environment:
    """Return the template environment: everything is escaped, and a name that is missing is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "person": text.person_name,
        "date": text.show_date,
        "stamp": stamp,
        "marked": marked,
        "assertion": text.assertion,
        "rows": findings.rows,
        "short": findings.short,
        "brief": text.brief,
        "shelves": shelf.shelves,
        "duration": text.duration,
        "language": places.language,
        "language_of": places.language_of,
    }
    env.globals |= {
        "disclaimer": DISCLAIMER,
        "patient_age": patient_age,
        "assertions": text.ASSERTIONS,
        "version": _asset_version(),
    }
    return env


def _asset_version() -> str:
    """Digest of the static files: it is part of their addresses, so that browsers may keep them for long."""
    digest = hashlib.sha256()
    for path in sorted((HERE / "static").rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: its template, the address that gives it alone, after how long it is asked for unasked."""

    name: str
    template: str
    url: str
    every: str = "60s"


BANNER = Part("banner", "_banner.html", "/alerts/part", every="15s")
"""Alerts that nobody acknowledged; it stands on every page, also on those that are not live."""


class Pages:
    """Renders pages and parts for one application."""

    def __init__(self, sessions: Sessions, banner: Banner, *, login: bool) -> None:
        self._env = environment()
        self._sessions = sessions
        self._banner = banner
        self._login = login

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """Return a whole page."""
        everybody = request.url.path.startswith(OPEN_PATHS)  # before the login, patients are named to nobody
        banner = Markup("") if everybody else self.embedded(request, BANNER, alarms=self._banner.alarms())
        return HTMLResponse(self._render(request, template, {**context, "banner": banner}), status_code=status)

    def banner(self, request: Request) -> Response:
        """Return the banner alone."""
        return self.part(request, BANNER, alarms=self._banner.alarms())

    def part(self, request: Request, part: Part, **context: Any) -> Response:
        """Return a part alone; 204, which leaves the page as it is, if the browser has this very content."""
        inner, digest = self._inner(request, part, context)
        if request.headers.get(HAVE_HEADER) == digest:
            return Response(status_code=204)
        return HTMLResponse(self._wrap(part, inner, digest))

    def embedded(self, request: Request, part: Part, **context: Any) -> Markup:
        """Return a part for its place in the whole page."""
        return self._wrap(part, *self._inner(request, part, context))

    def fragment(self, request: Request, template: str, **context: Any) -> Markup:
        """Return a template's output as markup."""
        return Markup(self._render(request, template, context))  # noqa: S704  the environment escapes

    def _inner(self, request: Request, part: Part, context: dict[str, Any]) -> tuple[Markup, str]:
        inner = self.fragment(request, part.template, **context)
        return inner, digest_of(inner)

    def _wrap(self, part: Part, inner: Markup, digest: str) -> Markup:
        wrapper = self._env.get_template("_part.html")
        return Markup(wrapper.render(part=part, inner=inner, digest=digest, header=HAVE_HEADER))  # noqa: S704

    def _render(self, request: Request, template: str, context: dict[str, Any]) -> str:
        session = session_of(request)
        csrf = self._sessions.csrf_token(session)
        return self._env.get_template(template).render(
            **context, csrf=csrf, user=session.user, login=self._login, path=request.url.path
        )


def digest_of(content: str) -> str:
    """Return a short digest of a part's content."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]
