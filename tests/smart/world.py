"""An EHR, a protected service that is registered with it, and a browser's way between the two."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import requests
from flask import Flask

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.knowledge import load_knowledge
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from fhir_profiles.synthetic import resources, synthetic_patients
from tests.builders import AS_OF
from tests.calling import HOOK_INSTANCE
from tests.conftest import served
from tests.serving import free_port
from tests.signing import claims, key_set, public_jwk, sign
from tests.smart.ehr import Ehr

ISSUER: Final = "https://ehr.example.org"
SLUG: Final = "incidental-tail-lesion"


def chart_of(slug: str) -> list[dict[str, Any]]:
    """The chart of a synthetic patient, to be changed at will."""
    return copy.deepcopy(resources(next(patient.bundle for patient in synthetic_patients() if patient.slug == slug)))


@dataclass
class World:
    """A protected service and an EHR that has registered the app.

    Attributes:
        app: public address of the service.
        browser: keeps cookies as a browser does.
        flask: the service itself.
    """

    app: str
    ehr: Ehr
    clients: SqlClients
    browser: requests.Session
    flask: Flask

    def open(self, **told: Any) -> requests.Response:
        """The whole launch from the EHR; the page it ends on."""
        return self.browser.get(self.ehr.start(self.app, **told), timeout=30)

    def get(self, path: str, **more: Any) -> requests.Response:
        """One request of the browser to the service, without following where it leads."""
        return self.browser.get(f"{self.app}{path}", allow_redirects=False, timeout=30, **more)

    def change(self, **changes: Any) -> None:
        """Change the registration of the EHR while the service runs."""
        self.clients.change(replace(self.clients.get("ehr").client, **changes))

    def order_select(self, **more: Any) -> Any:
        """The answer to the drafts of the story, as the EHR gets it, with a token of its own."""
        drafts = [one for one in self.ehr.chart if one.get("status") == "draft"]
        held = {kind: [one for one in self.ehr.chart if one["resourceType"] == kind] for kind in _PREFETCHED.values()}
        body = {
            "hook": "order-select",
            "hookInstance": HOOK_INSTANCE,
            "fhirServer": self.ehr.fhir,
            "context": {
                "userId": "Practitioner/1",
                "patientId": self.ehr.patient,
                "selections": [f"ServiceRequest/{one['id']}" for one in drafts],
                "draftOrders": _bundle(drafts),
            },
            "prefetch": {key: _bundle(held[kind]) for key, kind in _PREFETCHED.items()},
        }
        path = "/cds-services/pnet-order-select"
        token = sign(claims(ISSUER, self.app + path), "ehr")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = self.flask.test_client().post(path, json=body | more, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json


_PREFETCHED: Final = {"conditions": "Condition", "laboratory": "Observation"}


def _bundle(held: list[Any]) -> Any:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in held]}


@contextmanager
def a_world(ehr: Ehr, folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[World]:
    """The service, registered with a running EHR; with TLS it has another site than the EHR."""
    url, port = f"sqlite:///{folder}/store.sqlite", free_port()
    app = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{port}"
    clients = open_clients(url)
    registration: dict[str, Any] = {"smart_client_id": ehr.client_id, "frame_origins": (ehr.base,)}
    clients.add(Client("ehr", ISSUER, fhir_servers=(ehr.fhir,), **registration))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("ehr")), GIVEN).keys)
    ehr.redirect_uri = f"{app}/smart/callback"
    given = {"database_url": url, "public_url": app, "fhir_networks": "127.0.0.1/32", "fhir_seconds": 20.0}
    made = create_app(Settings(**given), knowledge=load_knowledge(), today=lambda: AS_OF)  # type: ignore[arg-type]
    for _ in served(made, port, tls):
        with requests.Session() as browser:
            browser.trust_env = False
            yield World(app, ehr, clients, browser, made)
    clients.release()
