"""The guideline text that cards link to: pages made on the server, without scripts.

They are open to whoever follows the link, and hold knowledge and no patient data. ``guideline_pages`` picks what each
page shows; ``templates/guideline`` lays it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, abort, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from cds_service.cards import wording
from cds_service.errors import KnowledgeError
from cds_service.knowledge.model import Knowledge
from cds_service.web import guideline_pages as pages
from cds_service.web.guideline_coverage import coverage

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_LONGEST_QUERY: Final = 200
_MOST_RULES: Final = 200
"""Most rules of one card."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a page is made from.

    Attributes:
        day: the day the page is about.
        as_of: the same when it was asked for; empty when it is today.
        query: words searched for.
        named: rules whose reasons are asked for.
    """

    knowledge: Knowledge
    day: str
    as_of: str = ""
    query: str = ""
    named: tuple[str, ...] = ()


Page = tuple[str, Mapping[str, Any]]
"""A template and what it needs besides the knowledge."""


def _index(on: _Shown, _: str) -> Page:
    found = pages.by_table(pages.search(on.query, on.knowledge), on.knowledge)
    return "index", {"found": found}


def _rules(on: _Shown, _: str) -> Page:
    tables = pages.by_table(on.knowledge.rows.values(), on.knowledge)
    return "rules", {"tables": tables, "anchors": {title: key for key, title in pages.TABLE.items()}}


def _rule(on: _Shown, rule: str) -> Page:
    views = pages.rule_views(rule, on.knowledge, on.day)
    return (
        ("rule", {"rule": rule, "views": views, "changed_in": pages.changed_in(rule, on.knowledge)})
        if views
        else abort(HTTPStatus.NOT_FOUND, "There is no rule of this id.")
    )


def _why(on: _Shown, _: str) -> Page:
    cited = pages.cited_views(on.named, on.knowledge, on.day)
    if not cited:
        abort(HTTPStatus.NOT_FOUND, "None of these rules is known; rules=SCN-01,R01-06 names some.")
    return "why", {"cited": cited, "unknown": [name for name in on.named if name not in cited]}


def _scenario(on: _Shown, name: str) -> Page:
    if name not in on.knowledge.scenarios:
        abort(HTTPStatus.NOT_FOUND, "There is no scenario of this name.")
    return "scenario", {"view": pages.scenario_view(name, on.knowledge, on.day)}


def _matrix(on: _Shown, _: str) -> Page:
    return "matrix", {"matrix": pages.matrix(on.knowledge)}


def _coverage(on: _Shown, _: str) -> Page:
    return "coverage", {"coverage": coverage(on.knowledge), "titles": pages.TABLE}


def _sources(on: _Shown, _: str) -> Page:
    return "sources", {"cited_by": pages.cited_by(on.knowledge)}


def _changes(_on: _Shown, _: str) -> Page:
    return "changes", {}


_PAGES: Final[Mapping[str, Callable[[_Shown, str], Page]]] = {
    "": _index,
    "/": _index,
    "/rules": _rules,
    "/rules/<key>": _rule,
    "/scenarios/<key>": _scenario,
    "/why": _why,
    "/matrix": _matrix,
    "/coverage": _coverage,
    "/sources": _sources,
    "/changes": _changes,
}


def blueprint(knowledge: Knowledge, today: Callable[[], date], public_url: str) -> Blueprint:
    """``/guideline`` and what is below it. Links begin with the path of the public URL, where a proxy adds one."""
    routes = Blueprint(
        "guideline",
        __name__,
        url_prefix="/guideline",
        template_folder="templates",
        static_folder="static/guideline",  # and nothing of the demo
        static_url_path="/static",
    )
    base = urlsplit(public_url).path.rstrip("/") + "/guideline"

    def unusable(error: HTTPException) -> tuple[Response, int]:
        """A page that cannot be shown says why, as a page."""
        now = _Shown(knowledge, today().isoformat())
        page = _rendered("unusable", {"said": error.description}, now, base)
        return page, error.code or HTTPStatus.INTERNAL_SERVER_ERROR

    for number, (path, view) in enumerate(_PAGES.items()):
        routes.add_url_rule(path, f"page{number}", _route(view, knowledge, today, base))
    routes.register_error_handler(HTTPException, unusable)
    routes.after_request(harden)
    return routes


def _route(
    view: Callable[[_Shown, str], Page], knowledge: Knowledge, today: Callable[[], date], base: str
) -> Callable[..., Response]:
    def answer(key: str = "") -> Response:
        on = _asked(knowledge, today())
        template, values = view(on, key)
        return _rendered(template, values, on, base)

    return answer


def _asked(knowledge: Knowledge, today: date) -> _Shown:
    """The knowledge on the day asked for, and the words searched for."""
    as_of = request.args.get("as-of", "")
    query = request.args.get("q", "")[:_LONGEST_QUERY].strip()
    named = tuple(dict.fromkeys(filter(None, request.args.get("rules", "").split(",")[:_MOST_RULES])))
    try:
        day = date.fromisoformat(as_of) if as_of else today
        return _Shown(knowledge.on(day), day.isoformat(), day.isoformat() if as_of else "", query, named)
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST, "as-of takes a day, YYYY-MM-DD.")
    except KnowledgeError as error:
        abort(HTTPStatus.NOT_FOUND, str(error))


def _rendered(template: str, values: Mapping[str, Any], on: _Shown, base: str) -> Response:
    query = f"?as-of={on.as_of}" if on.as_of else ""

    def link(*parts: str) -> str:
        """Address of a page, on the same day as this one."""
        return "/".join((base, *(quote(part, safe="") for part in parts))) + query

    return make_response(
        render_template(
            f"guideline/{template}.html",
            base=base,
            link=link,
            words=wording,
            knowledge=on.knowledge,
            as_of=on.as_of,
            query=on.query,
            **values,
        )
    )


def harden(response: Response) -> Response:
    """A page with what keeps it harmless: its own style sheet, and nothing else from anywhere."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    return response
