"""The one place that wires the parts together. Every part can be replaced by handing in another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask import Flask

from cds_service.auth.gate import Fetcher, Gate
from cds_service.clients import DEMO_CALLER, Caller, PamaPlacement
from cds_service.errors import SettingsError
from cds_service.fhir.client import Read, read
from cds_service.fhir.policy import ReadPolicy, read_policy
from cds_service.http_client import get_bounded
from cds_service.knowledge import Knowledge
from cds_service.metrics.counts import Metrics
from cds_service.pipeline import Parts
from cds_service.service import HookService
from cds_service.settings import Settings, load_settings
from cds_service.sites import knowledge_for
from cds_service.store.archive import Archive
from cds_service.store.base import ShownCard, Store
from cds_service.store.clients import ClientStore, open_clients
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.outage import RememberingClients
from cds_service.store.pseudonym import patient_pseudonym
from cds_service.store.spooled import SpooledStore
from cds_service.store.sql import SqlStore
from cds_service.web import (
    access,
    artefacts,
    cors,
    demo,
    demo_ehr,
    docs,
    edge,
    feedback,
    feedback_page,
    guideline,
    measuring,
    ops,
    order_entry,
    problems,
    smart,
    story,
)
from cds_service.web import services as cds_services
from fhir_profiles.synthetic import moved_to, resources, synthetic_patients
from fhir_profiles.terminology import Terminology, load_terminology
from hooks import SERVICES

if TYPE_CHECKING:
    from cds_service.tracing import Traces


def create_app(
    settings: Settings | None = None,
    *,
    services: tuple[HookService, ...] = SERVICES,
    knowledge: Knowledge | None = None,
    terminology: Terminology | None = None,
    store: Store | None = None,
    clients: ClientStore | None = None,
    fetch: Fetcher = get_bounded,
    today: Callable[[], date] = date.today,
    new_id: Callable[[], str] = lambda: str(uuid4()),
    read: Read = read,
    counts_in: Path | None = None,
) -> Flask:
    """The WSGI application; what it counts is kept in a folder if several processes are to count together.

    Raises:
        KnowledgeError, TerminologyError, SettingsError, StoreError: the service cannot start; the message says why.
    """
    settings = settings or load_settings()
    require_public_url(settings)
    terminology = terminology or load_terminology()
    knowledge = knowledge or knowledge_for(settings.site_file, terminology)
    store = store or open_store(settings)
    metrics = Metrics(services, knowledge, counts_in, store.waiting) if settings.serves_metrics else None
    shared = Parts(
        knowledge,
        terminology,
        today,
        new_id,
        settings.public_base,
        policy_of(settings),
        metrics.counting(read) if metrics else read,
        PamaPlacement(settings.pama_placement),
        settings.smart_client_id if settings.demo else "",
        settings.draft_members,
    )
    parts_for = _parts_by_client(shared)
    key = hash_key(settings, store)
    pseudonym = partial(patient_pseudonym, key)
    clients = None if settings.demo else clients or _open_clients(settings)

    def now() -> datetime:
        return datetime.now(UTC)

    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    edge.register(app, settings)
    problems.register(app)
    traces = _traces(settings)
    if metrics or traces:
        measuring.register(app, metrics, traces)
    if metrics:
        app.register_blueprint(measuring.blueprint(metrics))
    _admit(app, settings, clients, fetch)
    callers = partial(callers_of, clients)
    for caller in callers():
        parts_for(caller)
    app.register_blueprint(cds_services.blueprint(services, parts_for, store, now, pseudonym))
    app.register_blueprint(feedback.blueprint(services, store, now, comments=settings.store_comments))
    page = order_entry.page(knowledge, settings.public_base) if settings.demo else None
    app.register_blueprint(ops.blueprint(knowledge, store, page, without_store=settings.goes_on_without_store))
    app.register_blueprint(guideline.blueprint(knowledge, today, settings.public_base))
    app.register_blueprint(artefacts.blueprint(parts_for, shared, charts_of(store, today, demo=settings.demo)))
    app.register_blueprint(smart.blueprint(callers, parts_for, store, pseudonym, key, settings.public_base))
    app.register_blueprint(docs.blueprint(services, shared, demo=settings.demo, metrics=settings.serves_metrics))
    if settings.demo:
        app.register_blueprint(demo.blueprint(services, store, today))
        app.register_blueprint(order_entry.blueprint(shared))
        app.register_blueprint(story.blueprint(shared, store))
        app.register_blueprint(demo_ehr.blueprint(store, today, key, settings.public_base))
        app.register_blueprint(feedback_page.blueprint(partial(_shown_now, settings, store), shared))
    store.release()
    if clients:
        clients.release()
    return app


def _traces(settings: Settings) -> Traces | None:
    """Traces, if they are wanted.

    Raises:
        SettingsError: the extra is not installed.
    """
    if settings.tracing == "off":
        return None
    try:
        from cds_service.tracing import tracing  # noqa: PLC0415 - needs an extra
    except ImportError:
        raise SettingsError("PNET_CDS_TRACING: traces need the extra pnet-cds[otel], which is not installed") from None
    return tracing()


def _open_clients(settings: Settings) -> ClientStore:
    """The registered clients; where the service goes on without its database, they are remembered."""
    clients = open_clients(settings.database_url)
    return RememberingClients(clients, settings.spool_folder / "tokens") if settings.goes_on_without_store else clients


def callers_of(clients: ClientStore | None) -> tuple[Caller, ...]:
    """Everybody who may call: the demo's one caller, or the registered clients that are enabled, as they are now."""
    if clients is None:
        return (DEMO_CALLER,)
    return tuple(Caller(found.client) for found in clients.all() if found.client.enabled)


def require_public_url(settings: Settings) -> None:
    """Refuse to run for others without the address tokens are issued for.

    Raises:
        SettingsError: there is none.
    """
    if not settings.demo and settings.public_url is None:
        raise SettingsError(
            "PNET_CDS_PUBLIC_URL: needed to check the tokens of clients, such as https://cds.example.org; "
            "to try the service without clients: pnet-cds serve --demo"
        )


def _parts_by_client(shared: Parts) -> Callable[[Caller], Parts]:
    """What the call of a client is answered with: what all share, but for its site, FHIR servers, placement and app.

    A site file that cannot be used raises SiteError: the call fails rather than being answered by another policy.
    """

    @cache
    def parts_of(site_file: str | None, fhir_servers: tuple[str, ...], placement: PamaPlacement, app: str) -> Parts:
        knowledge = knowledge_for(site_file, shared.terminology) if site_file else shared.knowledge
        policy = shared.policy.only(fhir_servers) if fhir_servers else shared.policy
        return replace(shared, knowledge=knowledge, policy=policy, placement=placement, smart_client_id=app)

    def parts_for(caller: Caller) -> Parts:
        placement = shared.placement if caller is DEMO_CALLER else caller.client.pama
        app = shared.smart_client_id if caller is DEMO_CALLER else caller.client.smart_client_id or ""
        return parts_of(caller.client.site_file, caller.client.fhir_servers, placement, app)

    return parts_for


def _admit(app: Flask, settings: Settings, clients: ClientStore | None, fetch: Fetcher) -> None:
    """Open the demo, which knows no clients, to everybody, and anything else to registered clients only."""
    if clients is None:
        access.open_to_everybody(app)
        cors.allow_everybody(app)
        return
    if not any(found.keys or found.fetches for found in clients.all() if found.client.enabled):
        raise SettingsError("No client with a key is registered, so nobody could call: pnet-cds client add --help")
    gate = Gate(clients, fetch, lambda: datetime.now(UTC), settings.token_skew_seconds)
    access.protect(app, gate, settings.public_url or "", settings.rate_limit, settings.rate_limit_storage)
    cors.allow_clients(app, clients.origins)


def charts_of(store: Store, today: Callable[[], date], *, demo: bool) -> artefacts.Charts:
    """Charts held here: in demo mode those of the synthetic patients, moved to today; otherwise none."""

    def chart(patient_id: str) -> Mapping[str, Any] | None:
        for patient in store.synthetic() if demo else ():
            if any(r["resourceType"] == "Patient" and r["id"] == patient_id for r in resources(patient.bundle)):
                return moved_to(patient.bundle, date.fromisoformat(patient.as_of), today())
        return None

    return chart


def _shown_now(settings: Settings, store: Store) -> tuple[ShownCard, ...]:
    store.settle()
    return shown_cards(settings)


def shown_cards(settings: Settings) -> tuple[ShownCard, ...]:
    """Every card in the configured store; its connection is closed again, so that no forked process shares it."""
    engine = open_engine(settings.database_url)
    try:
        return tuple(Archive(engine).shown(None, None))
    finally:
        engine.dispose()


def hash_key(settings: Settings, store: Store) -> bytes:
    """The key of the patient hashes: the site's own or, without one, a random one the store keeps."""
    return settings.hash_key.get_secret_value().encode() if settings.hash_key else store.pseudonym_key()


def policy_of(settings: Settings) -> ReadPolicy:
    """The FHIR servers that may be read, as configured; the demo's own is one of them.

    Raises:
        SettingsError: a server or a range of addresses cannot be used.
    """
    servers = (
        f"{settings.fhir_servers} {demo_ehr.issuer(settings.public_base)}" if settings.demo else settings.fhir_servers
    )
    return read_policy(
        servers=servers,
        open_servers=settings.fhir_open_servers,
        networks=settings.fhir_networks,
        any_loopback=settings.demo,
        seconds=settings.fhir_seconds,
        max_pages=settings.fhir_max_pages,
        max_bytes=settings.fhir_max_bytes,
        ca_file=settings.fhir_ca_file,
    )


def open_store(settings: Settings) -> Store:
    """The configured store, brought to the current schema; in demo mode it holds the synthetic patients."""
    engine = open_engine(settings.database_url)
    migrate(engine)
    store = SpooledStore(
        SqlStore(engine), settings.spool_folder, settings.spool_bytes, strict=settings.store_mode == "strict"
    )
    store.prepare()
    if settings.demo:
        store.load_synthetic(synthetic_patients())
    return store
