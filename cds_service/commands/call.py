"""``pnet-cds call``: the EHR on the command line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import click
from rich.console import Console

from cds_service.commands.cards import print_cards
from cds_service.commands.fhir_access import TokenOptions, authorization, open_server, signer, taken, token_options
from cds_service.domain.terms import LACK_WORDS
from cds_service.ehr.feedback import feedback_on
from cds_service.ehr.orders import Chart, draft_orders
from cds_service.ehr.prefetch import Filled, fill_prefetch
from cds_service.ehr.remote import CdsService, FhirServer, checked
from cds_service.ehr.request import choose, keep, kept, selected
from cds_service.errors import CallInvalid
from fhir_profiles.contexts import WITH_DRAFTS, hook_context
from fhir_profiles.synthetic import PERFORMER, USER
from fhir_profiles.terminology import load_terminology

_DEMO: Final = "http://127.0.0.1:8080"
_ABOUT_ORDERS: Final = (*WITH_DRAFTS, "order-dispatch", "appointment-book")
_START: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d))?", re.ASCII)
_MAKES_A_CALL: Final = (
    "patient",
    "orders",
    "select",
    "encounter",
    "appointment_start",
    "only",
    "no_prefetch",
    "no_follow",
)
_FILE: Final = click.Path(path_type=Path)

_WHOM = (
    click.option("--url", default=_DEMO, show_default=True, help="Base URL of the CDS service."),
    click.option("--service", metavar="ID", help="Which service, when the hook has several."),
    click.option(
        "--cds-issuer", metavar="URI", help="Sign tokens for the CDS service as this issuer; needs --cds-key."
    ),
    click.option("--cds-key", type=_FILE, metavar="FILE", help="Private key for them, JWK or PEM."),
    click.option("--cds-kid", default="", metavar="NAME", help="Name of that key, if it is not a JWK that says it."),
    click.option("--cds-tenant", default="", metavar="NAME", help="Tenant they speak for."),
)
_WHAT = (
    click.option("--example", metavar="SLUG", help="Send the demo's own call about one of its synthetic patients."),
    click.option("--replay", type=_FILE, metavar="FILE", help="Send a call that was kept with --save."),
    click.option("--fhir-server", metavar="URL", help="FHIR server of the EHR."),
    click.option("--patient", metavar="ID", help="Patient whose chart is open."),
    click.option("--hook", help="Hook to fire, such as order-select; with --example its own by default."),
    click.option(
        "--order",
        "orders",
        multiple=True,
        metavar="ORDER",
        help="A study (mri-abd-pel-wwo), a code (SYSTEM|CODE), a file (*.json) or ServiceRequest/ID. Repeatable.",
    ),
    click.option("--select", multiple=True, metavar="ID", help="order-select: just selected; default all. Repeatable."),
    click.option("--encounter", metavar="ID", help="Encounter of the call; encounter-discharge needs one."),
    click.option("--user", default=USER, show_default=True, metavar="TYPE/ID", help="Who is logged in."),
    click.option(
        "--performer", default=PERFORMER, show_default=True, metavar="TYPE/ID", help="order-dispatch: by whom."
    ),
    click.option(
        "--appointment-start", default="", metavar="TIME", help="appointment-book: 2026-12-01, or with T09:00:00Z."
    ),
)
_HOW = (
    click.option("--no-prefetch", is_flag=True, help="Send no prefetch; the service reads for itself."),
    click.option("--prefetch", "only", metavar="KEY,…", help="Fill these keys only."),
    click.option("--no-follow", is_flag=True, help="Send first pages of searches only."),
    click.option("--no-fhir-authorization", is_flag=True, help="Do not give the service the FHIR server's token."),
    click.option("--save", type=_FILE, metavar="FILE", help="Keep the call, without tokens, for --replay."),
    click.option("--json", "as_json", is_flag=True, help="Print the response as JSON."),
)
_AFTER = (
    click.option("--accept", multiple=True, metavar="N[.M]", help="Accept suggestion M of card N. Repeatable."),
    click.option("--override", multiple=True, metavar="N", help="Override card N. Repeatable."),
    click.option("--reason", metavar="CODE", help="Reason of --override, one the card offers."),
    click.option("--comment", metavar="TEXT", help="Own words for --override; never about a real patient."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed((*_WHAT, *_WHOM, *_HOW, *_AFTER)):
        command = option(command)
    return command


@click.command()
@_options
@token_options("system/*.read")
def call(**given: Any) -> None:
    """Play the EHR: fill prefetch from a FHIR server, fire a hook, show the cards, send feedback.

    The token for the FHIR server is that of PNET_CDS_FHIR_TOKEN, or is had by --client-id and --key. Exit status: 0 the
    service answered, 1 it or the FHIR server refused or did not answer, 2 wrong usage.
    """
    tokens = taken(given)
    _check(given)
    cds = CdsService(checked("--url", given["url"]), _sign(given))
    if given["example"]:
        request = cds.demo_request(given["example"], given["hook"])
    elif given["replay"]:
        request = kept(given["replay"])
    else:
        request = {"hook": given["hook"]}
    entry = choose(cds.discover(), request["hook"], given["service"])
    _complete(request, entry, given, tokens)
    if given["save"]:
        keep(request, given["save"])
    response = cds.call(entry["id"], request)
    if given["as_json"]:
        click.echo(json.dumps(response, ensure_ascii=False, indent=2))
    else:
        print_cards(Console(), response)
    _report(cds, entry["id"], response, given)


def _check(given: dict[str, Any]) -> None:
    """Refuse options that do not go together, before anything is asked.

    Raises:
        click.UsageError: with what to give instead.
    """
    live = not given["example"] and not given["replay"]
    hook, orders, starts = given["hook"], given["orders"], given["appointment_start"]
    about_orders = hook in _ABOUT_ORDERS
    on_server = all(order.startswith("ServiceRequest/") for order in orders)
    wrong = (
        (live and not given["fhir_server"], "Give one of --example, --replay and --fhir-server."),
        (given["example"] and (given["replay"] or given["fhir_server"]), "--example goes with no other call."),
        (live and not (given["patient"] and hook), "Give --patient and --hook."),
        (
            not live and any(given[name] for name in _MAKES_A_CALL),
            "--example and --replay bring their own call; leave out what it would be made of.",
        ),
        (given["replay"] and hook, "--replay brings its own hook; leave --hook out."),
        (live and about_orders and not orders, f"{hook} is about orders: give --order."),
        (live and not about_orders and orders, f"{hook} is about no order: leave --order out."),
        (
            hook == "order-dispatch" and not on_server,
            "order-dispatch names orders that the FHIR server holds: --order ServiceRequest/ID.",
        ),
        (
            live and hook == "encounter-discharge" and not given["encounter"],
            "encounter-discharge is about an encounter: give --encounter.",
        ),
        (given["no_prefetch"] and given["only"] is not None, "Give either --prefetch or --no-prefetch."),
        (
            starts and not _START.fullmatch(starts),
            "--appointment-start: expected a day, or a time with zone such as 2026-12-01T09:00:00Z.",
        ),
        ((given["cds_issuer"] is None) != (given["cds_key"] is None), "Give --cds-issuer and --cds-key together."),
        ((given["reason"] or given["comment"]) and not given["override"], "--reason and --comment go with --override."),
    )
    for holds, message in wrong:
        if holds:
            raise click.UsageError(message)


def _sign(given: dict[str, Any]) -> Callable[[str], str] | None:
    """What signs calls, if the options say as whom."""
    if not given["cds_key"]:
        return None
    client = signer("--cds-key", given["cds_key"], given["cds_issuer"], given["cds_kid"], given["cds_tenant"])
    return lambda url: client.token(url, time.time())


def _complete(request: dict[str, Any], entry: Any, given: dict[str, Any], tokens: TokenOptions) -> None:
    """Give the call an identifier of its own and, with a FHIR server, what is there to be sent from it."""
    request["hookInstance"] = str(uuid4())
    if not given["fhir_server"]:
        return
    server, granted = open_server(given["fhir_server"], tokens)
    request["fhirServer"] = server.url
    if granted and not given["no_fhir_authorization"]:
        request["fhirAuthorization"] = authorization(granted, tokens.client_id)
    if given["replay"]:
        return
    request["context"] = _context(given, server)
    if not given["no_prefetch"]:
        filled = fill_prefetch(
            entry.get("prefetch") or {},
            request["context"],
            given["user"],
            server,
            only=None if given["only"] is None else given["only"].split(","),
            follow=not given["no_follow"],
        )
        request["prefetch"] = filled.prefetch
        _tell(filled)


def _context(given: dict[str, Any], server: FhirServer) -> dict[str, Any]:
    patient, encounter = _bare(given["patient"], "Patient"), given["encounter"]
    server.one("Patient", patient)  # about nobody a service has nothing to say, which would look like good news
    chart = Chart(patient, encounter and _bare(encounter, "Encounter"), server)
    orders = draft_orders(given["orders"], chart, load_terminology())
    starts = given["appointment_start"]
    return hook_context(
        given["hook"],
        patient,
        orders,
        user=given["user"],
        encounter=chart.encounter,
        performer=given["performer"],
        starts=f"{starts}T09:00:00Z" if starts and "T" not in starts else starts,
        selections=selected(orders, given["select"]),
    )


def _bare(given: str, kind: str) -> str:
    identifier = given.removeprefix(f"{kind}/")
    if not identifier:
        raise CallInvalid(f"--{kind.lower()}: expected an id.")
    return identifier


def _tell(filled: Filled) -> None:
    for key, lack in filled.left_out.items():
        click.echo(f"left out of prefetch: {key} ({LACK_WORDS[lack]})", err=True)
    for key, lack in filled.cut.items():
        click.echo(f"not all pages in prefetch: {key} ({LACK_WORDS[lack]})", err=True)


def _report(cds: CdsService, service: str, response: dict[str, Any], given: dict[str, Any]) -> None:
    if not (given["accept"] or given["override"]):
        return
    told = feedback_on(
        response["cards"],
        accepted=given["accept"],
        overridden=given["override"],
        reason=given["reason"],
        comment=given["comment"],
        now=datetime.now(UTC),
    )
    cds.feedback(service, told)
    click.echo(f"Feedback on {len(told['feedback'])} cards was taken.", err=True)
