"""A patient's story as a page, made on the server without scripts. ``story_page`` serves whoever holds a chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, abort, make_response, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from cds_service.cards import summary, wording
from cds_service.consult import WHOLE, Gaps
from cds_service.errors import KnowledgeError
from cds_service.knowledge.model import Knowledge
from cds_service.pipeline import Parts
from cds_service.store.base import Store
from cds_service.story.model import DIAGNOSIS, IMAGING, KINDS, PATHOLOGY, PROCEDURE, THERAPY, Story
from cds_service.story.tell import tell
from cds_service.web import charts
from cds_service.web.charts import Line, Mark
from cds_service.web.guideline import harden
from fhir_profiles.synthetic import moved_to
from fhir_profiles.terminology import Terminology

_SHAPE: Final = {
    DIAGNOSIS: "diamond",
    PATHOLOGY: "square",
    PROCEDURE: "triangle",
    THERAPY: "cross",
    IMAGING: "circle",
}
_AHEAD: Final = "Follow-up window"
_LESIONS: Final = ("circle", "square", "triangle", "diamond", "cross")


def blueprint(parts: Parts, store: Store) -> Blueprint:
    """``/demo/patients/<slug>/story``: the synthetic patients, on a day of one's choice."""
    routes = Blueprint("story", __name__, url_prefix="/demo", template_folder="templates")
    root = urlsplit(parts.public_url).path.rstrip("/")

    @routes.get("/patients/<slug>/story")
    def page(slug: str) -> Response:
        found = next((patient for patient in store.synthetic() if patient.slug == slug), None)
        if found is None:
            abort(HTTPStatus.NOT_FOUND, "There is no synthetic patient of this name.")
        day, knowledge = asked_day(parts.knowledge, parts.today)
        chart = moved_to(found.bundle, date.fromisoformat(found.as_of), day)
        as_of = request.args.get("as-of", "")
        return story_page(chart, day, knowledge, parts.terminology, root, invented=found.story, as_of=as_of)

    def unusable(error: HTTPException) -> tuple[Response, int]:
        """A page that cannot be shown says why, as a page."""
        shown = rendered("guideline/unusable.html", parts.knowledge, root, said=error.description)
        return shown, error.code or HTTPStatus.INTERNAL_SERVER_ERROR

    routes.register_error_handler(HTTPException, unusable)
    routes.after_request(harden)
    return routes


def asked_day(knowledge: Knowledge, today: Callable[[], date]) -> tuple[date, Knowledge]:
    """The day asked for, today without one, and the knowledge in force on it."""
    given = request.args.get("as-of", "")
    try:
        day = date.fromisoformat(given) if given else today()
        return day, knowledge.on(day)
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST, "as-of takes a day, YYYY-MM-DD.")
    except KnowledgeError as error:
        abort(HTTPStatus.NOT_FOUND, str(error))


def story_page(
    bundle: Mapping[str, Any],
    day: date,
    knowledge: Knowledge,
    terminology: Terminology,
    root: str,
    invented: str = "",
    gaps: Gaps = WHOLE,
    as_of: str = "",
    template: str = "story/story.html",
    **values: Any,
) -> Response:
    """The story of the patient of a Bundle.

    Args:
        bundle: the whole chart of one patient.
        day: the day it is told on.
        knowledge: the rules in force on that day.
        terminology: what codes mean.
        root: path under which clients reach this service.
        invented: the story behind a synthetic patient, who is then called so.
        gaps: what of the chart did not arrive.
        as_of: the day, when it is not simply today.
        template: a page built on that of the story.
        **values: what that page needs besides.

    Raises:
        FactsError: no Bundle, or not exactly one Patient.
    """
    story = tell(bundle, day, knowledge, terminology, gaps)
    return rendered(
        template,
        knowledge,
        root,
        story=story,
        invented=invented,
        stage_head=summary.STAGE_HEAD,
        timeline=_timeline(story),
        sizes=_sizes(story),
        as_of=as_of,
        **values,
    )


def rendered(template: str, knowledge: Knowledge, root: str, **values: Any) -> Response:
    """A page in the look of the guideline text, with links into it."""
    base, query = f"{root}/guideline", f"?as-of={values['as_of']}" if values.get("as_of") else ""

    def link(*parts: str) -> str:
        """Address of a page of the guideline text, on the same day as this one."""
        return "/".join((base, *(quote(part, safe="") for part in parts))) + query

    return make_response(
        render_template(
            template, base=base, link=link, words=wording, knowledge=knowledge, root=root, **{"linked": True, **values}
        )
    )


def _timeline(story: Story) -> Markup | None:
    """Events as numbered marks, the numbers being those of the table below."""
    lines = [
        Line(kind, tuple(_marks(story, kind)))
        for kind in KINDS
        if any(event.kind == kind and event.first for event in story.events)
    ]
    if story.window is not None:
        span = f"{story.window.first} – {story.window.last}"
        due = Mark(story.window.first, _AHEAD, span, "window", story.window.last)
        lines.append(Line(_AHEAD, (due,)))
    if not lines:
        return None
    about = "Numbers are those of the table below, which says the same."
    return charts.lanes([line.name for line in lines], lines, story.day, "Timeline", about)


def _marks(story: Story, kind: str) -> Sequence[Mark]:
    return [
        Mark(event.first, kind, str(number), _SHAPE[kind], event.last)
        for number, event in enumerate(story.events, 1)
        if event.kind == kind and event.first is not None
    ]


def _sizes(story: Story) -> Markup | None:
    """Each lesion as a line, every point with its size; of several the last one with its name."""
    several = len(story.lesions) > 1
    lines = [
        Line(
            lesion.name,
            tuple(
                Mark(
                    point.day,
                    point.size_mm,
                    f"{point.size_mm:g} mm" + (f" ({lesion.name})" if several and point is lesion.points[-1] else ""),
                    _LESIONS[number % len(_LESIONS)],
                )
                for point in lesion.points
            ),
        )
        for number, lesion in enumerate(story.lesions)
    ]
    if not lines:
        return None
    return charts.series(lines, "Tumour size over time", "The table below has the same sizes, in millimetres.", "mm")
