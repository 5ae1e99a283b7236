"""The story as a SMART app: ``/smart/launch`` sends the browser to the EHR, ``/smart/callback`` comes back with a code.

The story is made in the answer to the callback; the token and the chart are gone with it. Nobody gets a page with a
patient on it but the browser that was just let in by the EHR.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from markupsafe import Markup

from cds_service.clients import DEMO_CALLER, Caller
from cds_service.errors import LaunchDenied, PnetCdsError, StoreError, UnknownIssuer
from cds_service.fhir.policy import Base
from cds_service.observability import logger
from cds_service.pipeline import Parts
from cds_service.smart.chart import KINDS, read_chart
from cds_service.smart.endpoints import discover
from cds_service.smart.launch import Begun, Opened, authorization_url, begin, redeem
from cds_service.store.base import CardRecord, ConsultRecord, Store
from cds_service.story.offers import offers
from cds_service.web.access import LAUNCH
from cds_service.web.guideline import harden
from cds_service.web.measuring import note_refusal
from cds_service.web.problems import STATUS
from cds_service.web.services import Pseudonym
from cds_service.web.smart_cookie import LaunchCookies
from cds_service.web.story import story_page

FOLDER: Final = "static/smart"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'self'"
)
_ERROR: Final = re.compile(r"[a-z_]{1,40}")
"""Error codes of OAuth; anything else an EHR says is not repeated."""
_LEAVING: Final = Markup(' target="_blank" rel="noopener"')
"""Links out of the story open a page of their own: the guideline text is shown in no frame."""


@dataclass(frozen=True, slots=True)
class KnownEhr:
    """An EHR the app is registered with, as far as a launch needs to know it."""

    caller: Caller
    parts: Parts
    server: Base

    @property
    def client(self) -> str:
        """Its id, as consults are recorded under it."""
        return "" if self.caller is DEMO_CALLER else self.caller.client.id


@dataclass(frozen=True, slots=True)
class OpenedFrom:
    """The card whose link opened the app, as the store holds it."""

    consult: ConsultRecord
    card: CardRecord


def blueprint(
    callers: Callable[[], tuple[Caller, ...]],
    parts_for: Callable[[Caller], Parts],
    store: Store,
    pseudonym: Pseudonym,
    key: bytes,
    base: str,
) -> Blueprint:
    """Both ends of a launch, and the script of the page.

    Args:
        callers: every EHR that may have registered the app.
        parts_for: what calls of an EHR are answered with.
        store: where the card is that the app was opened from.
        pseudonym: how the patients of cards are recorded.
        key: secret that signs what a launch remembers.
        base: the public URL of this service.
    """
    routes = Blueprint(
        "smart",
        __name__,
        url_prefix=LAUNCH,
        template_folder="templates",
        static_folder=FOLDER,
        static_url_path="/static",
    )
    cookies = LaunchCookies(key, secure=base.startswith("https://"))
    root, back = urlsplit(base).path.rstrip("/"), f"{base}{LAUNCH}/callback"

    @routes.get("/launch")
    def launch() -> Response:
        issuer = request.args.get("iss", "")
        ehr = registered_with(issuer, callers(), parts_for)
        endpoints = discover(ehr.server, ehr.parts.policy)
        begun, handle = begin(issuer, endpoints), request.args.get("launch", "")
        url = authorization_url(begun, endpoints, ehr.parts.smart_client_id, back, handle, KINDS)
        response = make_response(redirect(url))
        cookies.remember(response, begun)
        return response

    @routes.get("/callback")
    def callback() -> Response:
        begun = cookies.recall(request.args.get("state", ""))
        ehr = registered_with(begun.issuer, callers(), parts_for)
        code = request.args.get("code", "")
        if "error" in request.args or not code:
            raise LaunchDenied(f"The EHR did not let the app in{_reason(request.args.get('error', ''))}.")
        opened = redeem(begun, code, ehr.parts.smart_client_id, back, ehr.parts.policy)
        patient = pseudonym(ehr.client, begun.issuer, opened.patient)
        page = _story(begun, opened, ehr.parts, root, opened_from=_opened_from(store, opened, patient))
        logger().info("story opened", client=ehr.client, from_card=bool(opened.app_context))
        return _strict(page, ehr.caller.client.frame_origins)

    def refused(error: PnetCdsError) -> Response:
        """A page that says why there is no story, in whatever frame: it holds nothing about anybody."""
        status = STATUS[type(error)]
        logger().warning("refused", slug=error.slug, status=int(status))
        note_refusal(error.slug)
        page = render_template("smart/refused.html", said=str(error), slug=error.slug, call=g.request_id, root=root)
        return _strict(make_response(page, status), _all_frames(callers))

    @routes.after_request
    def spent(response: Response) -> Response:
        if request.endpoint == "smart.callback":
            cookies.forget(response, request.args.get("state", ""))
        return response

    routes.register_error_handler(PnetCdsError, refused)
    return routes


def registered_with(issuer: str, callers: Iterable[Caller], parts_for: Callable[[Caller], Parts]) -> KnownEhr:
    """The EHR whose FHIR server this is; nothing is asked of a server nobody registered.

    Raises:
        UnknownIssuer: there is none.
    """
    for caller in callers:
        parts = parts_for(caller)
        server = parts.policy.launches(issuer)
        if parts.smart_client_id and server is not None:
            return KnownEhr(caller, parts, server)
    raise UnknownIssuer("The app is not set up for the FHIR server (iss) it was opened from.")


def _story(begun: Begun, opened: Opened, parts: Parts, root: str, **values: Any) -> Response:
    """The story from the chart behind the token, today."""
    day = parts.today()
    knowledge, terminology = parts.knowledge.on(day), parts.terminology
    chart = read_chart(begun.issuer, opened, parts.policy, parts.read, terminology)
    made = offers(chart.bundle, opened.encounter, day, knowledge, terminology, chart.gaps) if opened.messaging else ()
    return story_page(
        chart.bundle,
        day,
        knowledge,
        terminology,
        root,
        gaps=chart.gaps,
        template="smart/story.html",
        opened=opened,
        offers=tuple(made),
        leaving=_LEAVING,
        **values,
    )


def _opened_from(store: Store, opened: Opened, patient: str) -> OpenedFrom | None:
    """The card behind the context, if there is one about this patient of this EHR."""
    try:
        consult = store.consult_of_card(opened.app_context) if opened.app_context else None
    except StoreError:
        return None
    if consult is None or consult.patient != patient:
        return None
    return OpenedFrom(consult, next(card for card in consult.cards if card.uuid == opened.app_context))


def _all_frames(callers: Callable[[], tuple[Caller, ...]]) -> list[str]:
    """The origins of the pages of every EHR; none while the store cannot be read."""
    try:
        return sorted({origin for caller in callers() for origin in caller.client.frame_origins})
    except StoreError:
        return []


def _reason(code: str) -> str:
    return f" ({code})" if _ERROR.fullmatch(code) else ""


def _strict(response: Response, frames: Iterable[str]) -> Response:
    """Headers of a page with one script of our own, to be framed by the EHR's pages only."""
    harden(response).headers["Content-Security-Policy"] = " ".join((POLICY, *frames))
    return response
