"""The one place that wires the parts together. Every part can be replaced by handing in another one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from uuid import uuid4

from flask import Flask

from cds_service.domain.policy import PamaPlacement
from cds_service.knowledge import Knowledge, knowledge_at, load_knowledge, load_site
from cds_service.pipeline import Parts
from cds_service.service import HookService
from cds_service.settings import Settings, load_settings
from cds_service.store.base import Store
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from cds_service.store.sql import SqlStore
from cds_service.web import demo, ops, problems
from cds_service.web import services as cds_services
from fhir_profiles.drafts import check_tracer
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import Terminology, load_terminology
from hooks import SERVICES


def create_app(
    settings: Settings | None = None,
    *,
    services: tuple[HookService, ...] = SERVICES,
    knowledge: Knowledge | None = None,
    terminology: Terminology | None = None,
    store: Store | None = None,
    today: Callable[[], date] = date.today,
    new_id: Callable[[], str] = lambda: str(uuid4()),
) -> Flask:
    """The WSGI application.

    Raises:
        KnowledgeError, TerminologyError, SettingsError, StoreError: the service cannot start; the message says why.
    """
    settings = settings or load_settings()
    terminology = terminology or load_terminology()
    knowledge = knowledge or knowledge_for(settings.site_file, terminology)
    store = store or open_store(settings)
    parts = Parts(knowledge, terminology, today, new_id, PamaPlacement(settings.pama_placement), settings.draft_members)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    problems.register(app)
    app.register_blueprint(cds_services.blueprint(services, parts, store, lambda: datetime.now(UTC)))
    app.register_blueprint(ops.blueprint(knowledge, store))
    if settings.demo:
        app.register_blueprint(demo.blueprint(services, store, today))
    return app


def knowledge_for(site_file: str, terminology: Terminology) -> Knowledge:
    """The knowledge as it holds at the site of a site file.

    Raises:
        SiteError: the site file cannot be used.
    """
    if not site_file:
        return load_knowledge()
    site = load_site(site_file)
    knowledge = knowledge_at(site)
    check_tracer(knowledge.order_writing, terminology)
    return knowledge


def open_store(settings: Settings) -> Store:
    """The configured store, brought to the current schema; in demo mode it holds the synthetic patients."""
    engine = open_engine(settings.database_url)
    migrate(engine)
    store = SqlStore(engine)
    if settings.demo:
        store.load_synthetic(synthetic_patients())
    return store
