"""What is counted about calls and feedback, and that nothing a client sends becomes a label."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import values as library
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from cds_service import __version__
from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.domain.terms import Lack
from cds_service.errors import StoreError
from cds_service.fhir.client import Fetched
from cds_service.fhir.policy import Base, ReadPolicy
from cds_service.knowledge.model import Knowledge
from cds_service.metrics.counts import OTHER, Metrics
from cds_service.metrics.shared import shared_counts
from cds_service.protocol.authorization import FhirAccess
from cds_service.settings import load_settings
from cds_service.stages import Stage
from cds_service.store.base import Waiting
from cds_service.store.clients import GIVEN, open_clients
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.builders import AS_OF
from tests.calling import InProcess, MakeApp, post, synthetic_request
from tests.signing import key_set, public_jwk

SLUG = "incidental-tail-lesion"
SIGN = "pnet-order-sign"
HOSTILE = 'x"} 1\npnet_cds_evil{a="b'
Advertised = dict[str, dict[str, str]]


def counted(service: InProcess, name: str, /, **labels: str) -> float:
    """The sum of all samples of this name with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition(service))
        for sample in family.samples
        if sample.name == f"pnet_cds_{name}" and labels.items() <= sample.labels.items()
    )


def exposition(service: InProcess) -> str:
    """All numbers as Prometheus reads them."""
    answer = service.request("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.body.decode()


def values(service: InProcess) -> dict[str, set[str]]:
    """Every value of every label."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition(service)):
        for sample in family.samples:
            for name, value in sample.labels.items():
                found.setdefault(name, set()).add(value)
    return found


@pytest.fixture
def service(make_app: MakeApp) -> InProcess:
    """A service that has counted nothing yet."""
    return InProcess(make_app())


def test_what_runs_is_told(service: InProcess, knowledge: Knowledge) -> None:
    """Version of the service, version and hash of the knowledge."""
    told = {"version": __version__, "knowledge": knowledge.version, "knowledge_hash": knowledge.hash}
    assert counted(service, "build_info", **told) == 1


def test_what_alerts_wait_for_starts_at_zero(service: InProcess) -> None:
    """Faults of every service and failures of the store have a series before the first of them."""
    text = exposition(service)
    for found in SERVICES:
        assert f'pnet_cds_calls_total{{outcome="internal",service="{found.id}"}} 0.0' in text
    for effect in ("unrecorded", "refused"):
        assert f'pnet_cds_store_failures_total{{effect="{effect}"}} 0.0' in text


def test_an_answered_call_is_counted_once(service: InProcess, advertised: Advertised) -> None:
    """Calls, duration, scenario, cards, rules and inputs are those of the answer."""
    calls = 3
    for _ in range(calls):
        answer = post(service, "order-sign", synthetic_request(SLUG, "order-sign", advertised)).json()
    assert counted(service, "calls_total") == calls
    assert counted(service, "calls_total", service=SIGN, outcome="answered") == calls
    assert counted(service, "call_duration_seconds_count", service=SIGN) == calls
    assert counted(service, "call_duration_seconds_bucket", le="+Inf") == calls
    told = answer["extension"]["org.pnet-cds.assessment"]
    assert counted(service, "assessments_total", service=SIGN, scenario=told["scenario"]) == calls
    assert answer["cards"]
    for card in answer["cards"]:
        same = [other for other in answer["cards"] if other["indicator"] == card["indicator"]]
        assert counted(service, "cards_total", service=SIGN, indicator=card["indicator"]) == calls * len(same)
    assert counted(service, "rule_hits_total") > calls
    assert counted(service, "assessments_total", inputs="complete") == calls
    assert counted(service, "inputs_lacking_total") == 0


def test_an_input_that_was_not_sent_is_counted_as_such(service: InProcess, advertised: Advertised) -> None:
    """By its key, with the reason."""
    call = synthetic_request(SLUG, "order-sign", advertised)
    del call["prefetch"]["allergies"]
    assert post(service, "order-sign", call).status == 200
    assert counted(service, "inputs_lacking_total", input="allergies", reason=Lack.NOT_SENT) == 1
    assert counted(service, "inputs_lacking_total") == 1
    assert counted(service, "assessments_total", inputs="lacking") == 1


def test_damaged_resources_are_counted(service: InProcess, advertised: Advertised) -> None:
    """As many as the record of the call says were skipped."""
    call = synthetic_request(SLUG, "order-sign", advertised)
    call["prefetch"]["conditions"]["entry"].append({"resource": {"resourceType": "Condition", "id": 7, "code": 3}})
    assert post(service, "order-sign", call).status == 200
    assert counted(service, "skipped_resources_total") == 1


def test_nothing_to_say_is_an_answer(service: InProcess, advertised: Advertised) -> None:
    """It has no scenario."""
    call = synthetic_request(SLUG, "order-sign", advertised)
    call["context"]["draftOrders"] = {"resourceType": "Bundle", "entry": []}
    assert post(service, "order-sign", call).json() == {"cards": []}
    assert counted(service, "assessments_total", service=SIGN, scenario="not-assessed", inputs="not-assessed") == 1


@pytest.mark.parametrize(
    ("path", "body", "kind", "outcome"),
    [
        (f"/cds-services/{SIGN}", b"{", "text/plain", "media-type-unsupported"),
        (f"/cds-services/{SIGN}", b"{", "application/json", "body-not-json"),
        (f"/cds-services/{SIGN}", b"{}", "application/json", "request-invalid"),
        ("/cds-services/none", b"{}", "application/json", "service-unknown"),
    ],
)
def test_refusals_are_counted_by_slug(service: InProcess, path: str, body: bytes, kind: str, outcome: str) -> None:
    """And under their service, if there is one."""
    assert service.request("POST", path, body, kind).slug() == outcome
    name = SIGN if SIGN in path else OTHER
    assert counted(service, "calls_total", service=name, outcome=outcome) == counted(service, "calls_total") == 1
    assert counted(service, "call_duration_seconds_count") == 0


def test_other_requests_are_not_calls(service: InProcess) -> None:
    """Discovery, preflights, pages and what is not there."""
    for method, path in (("GET", "/cds-services"), ("OPTIONS", f"/cds-services/{SIGN}"), ("POST", "/nothing")):
        service.request(method, path)
    assert service.request("GET", f"/cds-services/{SIGN}").status == 405
    assert counted(service, "calls_total") == 0


def test_feedback_is_counted(service: InProcess) -> None:
    """Each entry by what became of the card; a refused body as a call only."""
    entry = {"card": "c", "outcome": "accepted", "acceptedSuggestions": [{"id": "s"}]}
    at = {"outcomeTimestamp": "2026-11-20T09:30:15Z"}
    said = [entry | at, {"card": "d", "outcome": "overridden"} | at, {"card": "e", "outcome": "overridden"} | at]
    path = f"/cds-services/{SIGN}/feedback"
    assert service.request("POST", path, json.dumps({"feedback": said}).encode()).status == 200
    assert service.request("POST", path, json.dumps({"feedback": [{"outcome": HOSTILE}]}).encode()).status == 400
    assert counted(service, "feedback_total", service=SIGN, outcome="accepted") == 1
    assert counted(service, "feedback_total", service=SIGN, outcome="overridden") == 2
    assert counted(service, "feedback_calls_total", service=SIGN, outcome="answered") == 1
    assert counted(service, "feedback_calls_total", service=SIGN, outcome="request-invalid") == 1
    assert counted(service, "calls_total") == 0


class _Broken:
    """A store that keeps nothing."""

    def __getattr__(self, _name: str) -> Any:
        def fail(*_: object) -> None:
            raise StoreError("full")

        return fail

    def pseudonym_key(self) -> bytes:
        return b"0" * 32

    def release(self) -> None:
        """Nothing is open."""

    def waiting(self) -> Waiting:
        """Nothing waits."""
        return Waiting()


def test_a_failing_store_is_counted(make_app: MakeApp, advertised: Advertised) -> None:
    """A call is answered without a record, feedback is refused."""
    service = InProcess(make_app(store=_Broken()))
    assert counted(service, "store_failures_total") == 0
    assert post(service, "order-sign", synthetic_request(SLUG, "order-sign", advertised)).status == 200
    said = {"feedback": [{"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:30:15Z"}]}
    assert service.request("POST", f"/cds-services/{SIGN}/feedback", json.dumps(said).encode()).status == 503
    assert counted(service, "store_failures_total", effect="unrecorded") == 1
    assert counted(service, "store_failures_total", effect="refused") == 1
    assert counted(service, "calls_total", outcome="answered") == 1
    assert counted(service, "feedback_calls_total", outcome="store-unavailable") == 1


def test_a_fault_of_our_own_is_counted(tmp_path: Path, advertised: Advertised) -> None:
    """As internal, also when it was answered in part."""

    def broken() -> str:
        raise RuntimeError

    service = InProcess(demo(tmp_path, new_id=broken))
    assert post(service, "order-sign", synthetic_request(SLUG, "order-sign", advertised)).status == 500
    assert counted(service, "calls_total", service=SIGN, outcome="internal") == counted(service, "calls_total") == 1


def demo(tmp_path: Path, **parts: Any) -> Flask:
    """A demo with some parts replaced."""
    given = load_settings(demo=True, database_url=f"sqlite:///{tmp_path}/x.sqlite")
    return create_app(given, today=lambda: AS_OF, **parts)


def busy(_access: FhirAccess, _base: Base, queries: Mapping[str, str], _policy: ReadPolicy) -> Mapping[str, Fetched]:
    """Every read fails."""
    return {key: Fetched(lack=Lack.BUSY) for key in queries}


def test_reads_from_fhir_servers_are_counted(tmp_path: Path, advertised: Advertised) -> None:
    """What was not sent is read, and counted with what came of it."""
    service = InProcess(demo(tmp_path, read=busy))
    call = synthetic_request(SLUG, "order-sign", advertised)
    del call["prefetch"]["allergies"]
    call["fhirServer"] = "http://127.0.0.1:9/fhir"
    call["fhirAuthorization"] = {
        "access_token": "t",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": "s",
    }
    assert post(service, "order-sign", call).status == 200
    assert counted(service, "fhir_reads_total", input="allergies", result="busy") == 1
    assert counted(service, "fhir_reads_total") == 1
    assert counted(service, "inputs_lacking_total", input="allergies", reason="busy") == 1


def test_keys_of_reads_are_our_own(knowledge: Knowledge) -> None:
    """Orders read by id are one input, however many there are; any other key is none of ours."""
    metrics = Metrics(SERVICES, knowledge)
    queries = dict.fromkeys(("allergies", "dispatchedOrders.0", "dispatchedOrders.17", HOSTILE), "q")
    access, base = FhirAccess("http://127.0.0.1/fhir", "t"), Base("http", "127.0.0.1", 80, "/fhir/")
    metrics.counting(busy)(access, base, queries, ReadPolicy())
    text = metrics.exposition().decode()
    for key, times in (("allergies", 1), ("dispatchedOrders", 2), (OTHER, 1)):
        assert f'pnet_cds_fhir_reads_total{{input="{key}",result="busy"}} {times}.0' in text


def test_counting_that_fails_is_in_nobodys_way(tmp_path: Path, advertised: Advertised) -> None:
    """The folder is swept away: answers go out all the same, and the log says so."""
    call = synthetic_request(SLUG, "order-sign", advertised)
    with shared_counts() as folder:
        service = InProcess(demo(tmp_path, counts_in=folder))
        assert list(folder.iterdir())
        shutil.rmtree(folder)
        with capture_logs() as logs:
            answer = post(service, "order-sign", call)
    assert (answer.status, len(answer.json()["cards"])) == (200, 1)
    assert [(line["event"], line["error"]) for line in logs if line["log_level"] == "error"] == [
        ("not counted", "FileNotFoundError")
    ]


def test_a_worker_that_ends_leaves_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the process that made it takes it away."""
    counting = shared_counts()
    folder = counting.__enter__()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        counting.__exit__(None, None, None)
    try:
        assert folder.is_dir()
    finally:
        shutil.rmtree(folder)
        library.ValueClass = library.MutexValue
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def test_labels_are_our_own_words(service: InProcess, advertised: Advertised) -> None:
    """Whatever clients send in places that are counted, and about every patient: no new value, no identifier."""
    for patient in synthetic_patients():
        for found in SERVICES:
            post(service, found.hook, synthetic_request(patient.slug, found.hook, advertised))
    before = values(service)
    assert before["rule"]
    assert OTHER not in set().union(*before.values())
    lines = len(exposition(service).splitlines())
    for number in range(20):
        call = synthetic_request(SLUG, "order-sign", advertised)
        call["hook"] = call["hookInstance"] = f"{HOSTILE}{number}"
        call["prefetch"][f"{HOSTILE}{number}"] = {"resourceType": HOSTILE}
        post(service, "order-sign", call)
        service.request("POST", f"/cds-services/evil{number}", b"{}")
        service.request("POST", f"/cds-services/evil{number}%22%7D/feedback", b"{}")
        service.request("POST", f"/cds-services/{SIGN}/feedback", json.dumps({"feedback": [{HOSTILE: 1}]}).encode())
    after = values(service)
    new = set().union(*after.values()) - set().union(*before.values())
    assert new <= {OTHER, "service-unknown", "request-invalid", "hook-not-offered"}
    assert len(exposition(service).splitlines()) <= lines + 10
    text = exposition(service)
    assert "evil" not in text
    assert not [patient.slug for patient in synthetic_patients() if patient.slug in text]


@pytest.mark.parametrize("setting", [None, "off", "open"])
def test_outside_the_demo_it_has_to_be_opened(tmp_path: Path, setting: str | None) -> None:
    """Off unless it is set; once it is open it needs no token, and unauthenticated calls are counted."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    clients = open_clients(url)
    clients.add(Client("ehr", "https://ehr.example.org"))
    clients.give_keys("ehr", read_key_set(key_set(public_jwk("es")), GIVEN).keys)
    clients.release()
    given = load_settings(database_url=url, public_url="https://cds.example.org", metrics=setting)
    service = InProcess(create_app(given))
    assert service.request("POST", f"/cds-services/{SIGN}", b"{}").status == 401
    documented = "/metrics" in service.request("GET", "/openapi.json").json()["paths"]
    assert documented is (setting == "open")
    if setting != "open":
        assert service.request("GET", "/metrics").status == 404
    else:
        assert counted(service, "calls_total", service=SIGN, outcome="unauthenticated") == 1


def test_the_demo_can_be_closed(make_app: MakeApp) -> None:
    """Off is off."""
    assert InProcess(make_app(metrics="off", today=date(2026, 11, 20))).request("GET", "/metrics").status == 404


def test_the_time_of_a_call_is_told_by_stage(service: InProcess, advertised: Advertised) -> None:
    """The stages of a call add up to the call, each is told, and one that leaves early has only the first of them."""
    assert post(service, "order-sign", synthetic_request(SLUG, "order-sign", advertised)).status == 200
    assert {stage for stage in Stage if counted(service, "stage_seconds_total", stage=stage)} == set(Stage)
    whole = counted(service, "call_duration_seconds_sum", service=SIGN)
    assert counted(service, "stage_seconds_total", service=SIGN) == pytest.approx(whole)
    call = synthetic_request(SLUG, "order-sign", advertised)
    call["context"]["draftOrders"] = {"resourceType": "Bundle", "entry": []}
    before = counted(service, "stage_seconds_total", stage=Stage.PREFETCH)
    assert post(service, "order-sign", call).json() == {"cards": []}
    assert counted(service, "stage_seconds_total", stage=Stage.PREFETCH) == before
