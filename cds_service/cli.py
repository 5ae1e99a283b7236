"""The command line: ``pnet-cds serve | assess | explain | check``, and those of ``commands``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from functools import partial
from importlib import import_module
from typing import Any, Final

import click
from rich.console import Console

from cds_service import __version__
from cds_service.checks import find_problems, overdue
from cds_service.consult import Consulted, from_bundle, from_facts
from cds_service.errors import FactsError, PnetCdsError
from cds_service.explain import print_assessment
from cds_service.installation import check_installation
from cds_service.knowledge import Knowledge
from cds_service.observability import configure_logging
from cds_service.proof import Proof, proving
from cds_service.settings import Settings, load_settings
from cds_service.sites import knowledge_for
from fhir_profiles.terminology import load_terminology

GROUPS: Final = {
    "audit": "audit",
    "call": "call",
    "client": "client",
    "db": "db",
    "export-fhir": "export",
    "feedback": "feedback",
    "sandbox": "sandbox",
    "selftest": "selftest",
}
"""Commands of ``cds_service.commands`` and their modules, which are loaded when one of them is wanted."""


class Commands(click.Group):
    """The commands; each loads no more than it needs, which is half of the time of a short one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return sorted((*super().list_commands(ctx), *GROUPS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"cds_service.commands.{GROUPS[cmd_name]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pnet-cds")
def cli() -> None:
    """Decision support for imaging of neuroendocrine tumours (CDS Hooks 2.0 over FHIR R4)."""


@cli.command()
@click.option("--demo", is_flag=True, default=None, help="Open demo with synthetic patients; loopback only.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def serve(demo: bool | None, host: str | None, port: int | None) -> None:
    """Run the service for registered clients (pnet-cds client add), or with --demo for everybody on this machine."""
    from cds_service.app import create_app  # noqa: PLC0415 - the web parts load only when they serve
    from cds_service.metrics.shared import shared_counts  # noqa: PLC0415
    from cds_service.server import Server  # noqa: PLC0415

    check_installation()
    settings = load_settings(demo=demo, host=host, port=port)
    configure_logging(settings.log_level)
    _refuse_open_network(settings)
    with shared_counts() if settings.serves_metrics else nullcontext() as counts_in:
        server = Server(partial(create_app, settings, counts_in=counts_in), settings, counts_in)
        server.wsgi()
        _banner(settings)
        server.run()


def _refuse_open_network(settings: Settings) -> None:
    if settings.demo and settings.host not in ("127.0.0.1", "localhost", "::1"):
        raise click.ClickException("Demo mode is open to everybody and listens on loopback only; leave --host out.")


def _banner(settings: Settings) -> None:
    base = f"http://{settings.host}:{settings.port}"
    if not settings.demo:
        click.echo(f"pnet-cds {__version__} listens at {base} for registered clients of {settings.public_url}.")
        return
    click.echo(
        f"""
pnet-cds {__version__} is starting in DEMO mode at {base}
Open: no client authentication, invented patients only. Never point real data at it.

Open {base} in a browser: order imaging for invented patients, and see what the service says.
Or try this in another terminal:

  curl -s {base}/demo/requests/incidental-tail-lesion \\
    | curl -s -H 'Content-Type: application/json' --data-binary @- {base}/cds-services/pnet-order-sign

or, to read the card as a person would:

  .venv/bin/pnet-cds call --example incidental-tail-lesion

What there is:  {base}/cds-services   {base}/guideline   {base}/docs   {base}/demo/patients   {base}/readyz
Stop with Ctrl-C.
"""
    )


def _consultations(
    facts: str | None, bundle: str | None, order: tuple[str, ...], as_of: date, site: str
) -> Iterator[Consulted | tuple[str | None, FactsError]]:
    """One consultation per object given; what does not fit is passed on as its error, and the rest goes on."""
    knowledge = _knowledge(site).on(as_of)
    if (facts is None) == (bundle is None):
        raise click.UsageError("Give either --facts or --bundle.")
    if bundle is not None:
        yield from_bundle(_read(bundle), order, as_of, knowledge, load_terminology())
        return
    given = _read(facts or "-")
    for item in given if isinstance(given, list) else [given]:
        try:
            yield from_facts(item, knowledge)
        except FactsError as error:
            yield (str(item.get("id")) if isinstance(item, dict) and "id" in item else None, error)


def _knowledge(site: str) -> Knowledge:
    return knowledge_for(site or load_settings().site_file, load_terminology())


def _read(path: str) -> Any:
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise FactsError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise FactsError(f"{path}: not valid JSON") from None


_facts = click.option("--facts", metavar="FILE|-", help='One {"id"?, "facts", "orders"} or a list of them.')
_bundle = click.option("--bundle", metavar="FILE", help="A FHIR R4 Bundle with one patient.")
_order = click.option(
    "--order", metavar="REF", multiple=True, help="ServiceRequest in the Bundle; default: all drafts."
)
_as_of = click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day to assess for, YYYY-MM-DD; default: today."
)
_site = click.option("--site", metavar="FILE", default="", help="Site policy (TOML); default: PNET_CDS_SITE_FILE.")


@cli.command()
@_facts
@_bundle
@_order
@_as_of
@_site
def assess(facts: str | None, bundle: str | None, order: tuple[str, ...], as_of: Any, site: str) -> None:
    """Print one assessment per line as JSON. Exit status 1 if any input did not fit."""
    failed = False
    for result in _consultations(facts, bundle, order, as_of.date() if as_of else date.today(), site):
        if isinstance(result, Consulted):
            click.echo(json.dumps(result.as_object(), ensure_ascii=False))
            continue
        failed = True
        identifier, error = result
        problem: dict[str, Any] = {"error": error.slug, "message": str(error)}
        click.echo(json.dumps(({"id": identifier} if identifier else {}) | problem, ensure_ascii=False))
    sys.exit(int(failed))


@cli.command()
@_facts
@_bundle
@_order
@_as_of
@_site
def explain(facts: str | None, bundle: str | None, order: tuple[str, ...], as_of: Any, site: str) -> None:
    """Print the same for people: facts with evidence, rules that fired, rules that nearly fired and on what."""
    console = Console()
    failed = False
    day = as_of.date() if as_of else date.today()
    for result in _consultations(facts, bundle, order, day, site):
        if isinstance(result, Consulted):
            print_assessment(console, result, day)
        else:
            failed = True
            console.print(f"{result[0] or 'input'}: {result[1]}", markup=False)
    sys.exit(int(failed))


@cli.command()
@click.option("--quick", is_flag=True, help="Leave out the proof of the tables, which takes about twenty seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_site
def check(quick: bool, as_json: bool, site: str) -> None:
    """Check installation, guideline tables, code tables and what is written, and prove that the tables hold together.

    Exit status 1 if anything is wrong.
    """
    check_installation()
    knowledge, terminology = _knowledge(site), load_terminology()
    problems = find_problems(knowledge, terminology)
    result: dict[str, Any] = {
        "knowledge": {"version": knowledge.version, "hash": knowledge.hash},
        "rows": len(knowledge.rows),
        "rules": len(knowledge.rule_rows),
        "sources": len(knowledge.sources),
        "concepts": len(terminology.concepts),
        "codes": sum(len(concept.codes) for concept in terminology.concepts.values()),
        "past_review": overdue(knowledge, date.today()),
        "problems": problems,
    }
    if not as_json:
        click.echo(
            f"knowledge {knowledge.version} ({knowledge.hash}): {result['rows']} rows for {result['rules']} rules\n"
            f"every row cites one of {result['sources']} sources\n"
            f"{result['codes']} codes for {result['concepts']} concepts, each with one meaning\n"
            f"past their review date: {', '.join(result['past_review']) or 'none'}\n"
            f"problems: {len(problems)}"
        )
        for problem in problems:
            click.echo(f"  {problem}")
    proofs = _proofs(knowledge, quick, shown=not as_json)
    if as_json:
        result["proofs"] = None if quick else [proof.as_object() for proof in proofs]
        click.echo(json.dumps(result))
    sys.exit(int(bool(problems) or any(proof.counter_examples for proof in proofs)))


def _proofs(knowledge: Knowledge, quick: bool, shown: bool) -> list[Proof]:
    """Prove the tables, saying each property as soon as it is tried."""
    proofs: list[Proof] = []
    for proof in () if quick else proving(knowledge.on(date.today())):
        proofs.append(proof)
        if shown:
            click.echo(str(proof))
            for example in proof.counter_examples:
                click.echo("  does not hold for\n" + "".join(f"    {line}\n" for line in example.lines()))
    return proofs


def main() -> None:
    """Entry point: our own errors become a message and exit status 1, never a stack trace."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except PnetCdsError as error:
        click.echo(f"pnet-cds: {error} [{error.slug}]", err=True)
        sys.exit(1)
