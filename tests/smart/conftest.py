"""An EHR, a service that is registered with it, and a browser's way between the two."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.knowledge import Knowledge
from cds_service.settings import Settings
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from fhir_profiles.synthetic import resources, synthetic_patients
from fhir_profiles.terminology import Terminology
from tests.builders import AS_OF
from tests.conftest import served
from tests.serving import free_port
from tests.signing import claims, key_set, public_jwk, sign
from tests.smart.ehr import Ehr, running

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
    """

    app: str
    ehr: Ehr
    clients: SqlClients
    browser: requests.Session

    def open(self, **told: Any) -> requests.Response:
        """The whole launch from the EHR; the page it ends on."""
        return self.browser.get(self.ehr.start(self.app, **told), timeout=30)

    def get(self, path: str, **more: Any) -> requests.Response:
        """One request of the browser to the service, without following where it leads."""
        return self.browser.get(f"{self.app}{path}", allow_redirects=False, timeout=30, **more)

    def call(self, hook: str, body: dict[str, Any]) -> Any:
        """A call of the EHR, with a token of its own."""
        url = f"{self.app}/cds-services/pnet-{hook}"
        token = sign(claims(ISSUER, url), "ehr")
        answer = requests.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    """An EHR with the chart of one story."""
    with running(Ehr(chart_of(SLUG))) as made:
        yield made


@pytest.fixture
def world(ehr: Ehr, tmp_path: Path, knowledge: Knowledge, terminology: Terminology) -> Iterator[World]:
    """The two, each knowing the other."""
    url, port = f"sqlite:///{tmp_path}/store.sqlite", free_port()
    app = f"http://127.0.0.1:{port}"
    clients = open_clients(url)
    clients.add(
        Client("ehr", ISSUER, fhir_servers=(ehr.fhir,), smart_client_id=ehr.client_id, frame_origins=(ehr.base,))
    )
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("ehr")), GIVEN).keys)
    ehr.redirect_uri = f"{app}/smart/callback"
    settings = {"database_url": url, "public_url": app, "fhir_networks": "127.0.0.1/32", "fhir_seconds": 20.0}
    given = Settings(**settings)  # type: ignore[arg-type]
    made = create_app(given, knowledge=knowledge, terminology=terminology, today=lambda: AS_OF)
    for _ in served(made, port):
        with requests.Session() as browser:
            browser.trust_env = False
            yield World(app, ehr, clients, browser)
    clients.release()
