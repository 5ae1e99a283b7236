"""``pnet-cds selftest``: what can be seen from outside of a CDS Hooks service, ours or another's."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import click
from rich.console import Console

from cds_service.addresses import origin as one_origin
from cds_service.auth.signing import Signer, read_signer
from cds_service.errors import ClientInvalid
from cds_service.selftest.catalogue import CHECKS
from cds_service.selftest.report import as_junit, as_object, check_object, print_checks, print_report
from cds_service.selftest.runner import Report, examine
from cds_service.selftest.subject import Wishes
from cds_service.selftest.wire import DISCOVERY, Wire
from fhir_profiles.synthetic import synthetic_patients

_PATIENTS: Final = {patient.slug: patient for patient in synthetic_patients()}


@click.command()
@click.argument("url", required=False)
@click.option("--list", "only_list", is_flag=True, help="Print the checks and run none.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--junit", "junit", metavar="FILE", help="Write the result as JUnit XML, too.")
@click.option("--service", "services", multiple=True, metavar="ID", help="Call this service only. Repeatable.")
@click.option(
    "--patient",
    type=click.Choice(sorted(_PATIENTS)),
    metavar="SLUG",
    default="incidental-tail-lesion",
    show_default=True,
    help="The synthetic patient that calls are about.",
)
@click.option(
    "--request",
    "requests",
    type=click.File("rb"),
    multiple=True,
    metavar="FILE",
    help="Body of a good call (JSON), used for all services of its hook instead of the patient. Repeatable.",
)
@click.option("--no-feedback", is_flag=True, help="Send no feedback, so that a system in use counts nothing untrue.")
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=10, show_default=True, help="Seconds for one call.")
@click.option("--slow", type=click.FloatRange(0), default=0.5, show_default=True, help="Seconds from which to warn.")
@click.option("--origin", default="", help="Origin of a browser page that has to be let in.")
@click.option("--require-token", is_flag=True, help="Calls without a good token have to be refused.")
@click.option("--issuer", default="", metavar="URI", help="Sign calls as this client: the iss of its tokens.")
@click.option("--key", type=click.File("rb"), metavar="FILE", help="Its private key, PEM or JSON Web Key.")
@click.option("--kid", default="", help="Name of the key; default: the one in a JSON Web Key.")
@click.option("--jku", default="", metavar="URL", help="Address of its key set, if tokens have to name it.")
@click.option("--tenant", default="", help="Tenant, if tokens have to name one.")
@click.option("--audience", metavar="URL", help="Base URL as the service knows it, for tokens; default: URL.")
@click.option(
    "--ca-file", default="", metavar="FILE", help="Certificate authorities to trust instead of the usual ones."
)
def selftest(
    url: str | None,
    only_list: bool,
    as_json: bool,
    junit: str | None,
    services: tuple[str, ...],
    patient: str,
    requests: tuple[BinaryIO, ...],
    no_feedback: bool,
    timeout: float,
    slow: float,
    origin: str,
    require_token: bool,
    **client: Any,
) -> None:
    """Try what CDS Hooks requires, as far as it can be seen from outside, on the service at URL.

    URL is the base URL, with or without /cds-services. Exit status 0: nothing binding failed; 1: something did; 2: the
    service could not be tested, or not to the end.
    """
    if only_list:
        _list(as_json)
        return
    if url is None:
        raise click.UsageError("Give the URL of a service, or --list.")
    wishes = Wishes(
        services=frozenset(services),
        requests=_requests(requests),
        feedback=not no_feedback,
        slow=slow,
        origin=_origin(origin),
        tokens=require_token,
    )
    report = _run(_wire(_base(url), timeout, client), wishes, patient)
    if junit:
        _write(junit, as_junit(report))
    if as_json:
        click.echo(json.dumps(as_object(report), ensure_ascii=False))
    else:
        print_report(Console(), report)
    sys.exit(report.status)


def _run(wire: Wire, wishes: Wishes, patient: str) -> Report:
    """The run; a terminal is told which check is being tried."""
    today = datetime.now(UTC).date()
    with Console(stderr=True).status("discovery") as status:
        return examine(wire, wishes, _PATIENTS[patient], today, CHECKS, lambda check: status.update(check.id))


def _list(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([check_object(check) for check in CHECKS], ensure_ascii=False))
    else:
        print_checks(Console(), CHECKS)


def _base(url: str) -> str:
    """The base URL; a service in development may be reached by plain http, which a check remarks on."""
    base = url.rstrip("/").removesuffix(DISCOVERY).rstrip("/")
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter(f"{url!r} is no base URL such as https://cds.example.org")
    return base


def _origin(given: str) -> str:
    try:
        return one_origin(given) if given else ""
    except ValueError as error:
        raise click.BadParameter(f"--origin: {error}") from None


def _wire(base: str, timeout: float, client: dict[str, Any]) -> Wire:
    if bool(client["issuer"]) != (client["key"] is not None):
        raise click.UsageError("--issuer and --key go together.")
    if client["ca_file"] and not Path(client["ca_file"]).is_file():
        raise click.BadParameter("--ca-file: there is no such file.")
    audience = _base(client["audience"]) if client["audience"] else base
    return Wire(base, audience, time.time, timeout, _signer(client), client["ca_file"])


def _signer(client: dict[str, Any]) -> Signer | None:
    if client["key"] is None:
        return None
    try:
        return read_signer(client["key"].read(), client["issuer"], client["kid"], client["jku"], client["tenant"])
    except ClientInvalid as error:
        raise click.BadParameter(str(error)) from None


def _requests(given: tuple[BinaryIO, ...]) -> dict[str, dict[str, Any]]:
    """Bodies of calls by their hooks."""
    found: dict[str, dict[str, Any]] = {}
    for file in given:
        try:
            body = json.load(file)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("hook"), str):
            raise click.BadParameter(f"--request {file.name}: no JSON object with a hook.")
        if not isinstance(body.get("context"), dict):
            raise click.BadParameter(f"--request {file.name}: the context is missing.")
        found[body["hook"]] = body
    return found


def _write(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
