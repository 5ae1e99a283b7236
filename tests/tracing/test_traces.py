"""Traces as a collector receives them from the running service, and that no patient is in them."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cds_service import __version__
from cds_service.errors import SettingsError
from cds_service.stages import Laps, Stage
from tests.calling import MakeApp, OverHttp, post, synthetic_request, templates
from tests.metrics.test_processes import Running, wait_until_ready
from tests.serving import free_port, serving

SLUG: Final = "incidental-tail-lesion"
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = "b7ad6b7169203331"
_SECONDS: Final = 60


class Collector:
    """What an OpenTelemetry collector was sent, over HTTP."""

    def __init__(self) -> None:
        self.received: list[ExportTraceServiceRequest] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Answers on its behalf."""
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                received.append(ExportTraceServiceRequest.FromString(plain))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def spans(self) -> list[Span]:
        """Every span, in the order in which they came."""
        return [
            span
            for request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, str]:
        """What the sender says of itself."""
        return {pair.key: pair.value.string_value for pair in self.received[0].resource_spans[0].resource.attributes}


@contextmanager
def service(tmp_path: Path, **more: str) -> Iterator[Running]:
    """``pnet-cds serve --demo`` with traces; leaving it ends the service as an operator does."""
    port, log = free_port(), tmp_path / "log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PNET_CDS_", "OTEL_"))}
    environment = kept | {
        "PNET_CDS_DATABASE_URL": f"sqlite:///{tmp_path}/store.sqlite",
        "PNET_CDS_PORT": str(port),
        "PNET_CDS_TRACING": "otlp",
        **more,
    }
    with log.open("wb") as written:
        command = [sys.executable, "-m", "cds_service", "serve", "--demo"]
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=written, stderr=written)
        running = Running(f"http://127.0.0.1:{port}", process, log, tmp_path)
        try:
            wait_until_ready(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_SECONDS)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collector, Path, dict[str, Any]]:
    """A call with a card in a trace of its caller, one that is refused, and feedback; the service has ended."""
    collector, folder = Collector(), tmp_path_factory.mktemp("traces")
    with serving(collector.handler()) as endpoint, service(folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as running:
        caller = requests.Session()
        over = OverHttp(running.base, caller)
        call = synthetic_request(SLUG, "order-sign", templates(over))
        caller.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        answer = post(over, "order-sign", call).json()
        del caller.headers["traceparent"]
        assert post(over, "order-sign", b"{}").status == 400
        at = "2026-11-20T09:30:15Z"
        said = {"feedback": [{"card": answer["cards"][0]["uuid"], "outcome": "overridden", "outcomeTimestamp": at}]}
        assert over.request("POST", "/cds-services/pnet-order-sign/feedback", json.dumps(said).encode()).status == 200
        over.request("GET", "/cds-services")
        signal_and_wait(running)
    return collector, running.log, call


def signal_and_wait(running: Running) -> None:
    """End the service; it sends what it has."""
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(_SECONDS)


def attributes(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def roots(collector: Collector) -> list[Span]:
    """The spans of whole calls."""
    return [span for span in collector.spans() if span.name.startswith("POST ")]


def test_a_call_is_a_span_of_its_callers_trace(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """With what came of it, in our own words."""
    span = roots(traced[0])[0]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.kind == Span.SPAN_KIND_SERVER
    said = attributes(span)
    assert said["http.route"] == "/cds-services/<service_id>"
    assert (said["http.response.status_code"], said["pnet_cds.outcome"]) == (200, "answered")
    assert (said["pnet_cds.service"], said["pnet_cds.cards"], said["pnet_cds.kept"]) == ("pnet-order-sign", 1, "True")
    assert said["pnet_cds.scenario"].startswith("pnet-")


def test_its_stages_are_spans_within_it(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """All of them, one after the other, none longer than the call."""
    root = roots(traced[0])[0]
    stages = [span for span in traced[0].spans() if span.parent_span_id == root.span_id]
    stages.sort(key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in stages] == list(Stage)
    times = [moment for span in stages for moment in (span.start_time_unix_nano, span.end_time_unix_nano)]
    assert times == sorted(times)
    assert root.start_time_unix_nano <= times[0]
    assert times[-1] - times[0] <= root.end_time_unix_nano - root.start_time_unix_nano + 1_000_000


def test_refusals_and_feedback_are_traced(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """Each in a trace of its own; nothing else is."""
    _, refused, feedback = roots(traced[0])
    assert attributes(refused)["pnet_cds.outcome"] == "request-invalid"
    assert attributes(feedback)["http.route"] == "/cds-services/<service_id>/feedback"
    assert len({span.trace_id for span in roots(traced[0])}) == 3


def test_the_service_says_who_it_is(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """Unless the environment says otherwise."""
    told = traced[0].resource()
    assert (told["service.name"], told["service.version"]) == ("pnet-cds", __version__)


def test_nothing_about_the_patient_is_traced(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """No identifier and no name of the record."""
    sent = b"".join(request.SerializeToString() for request in traced[0].received)
    call = traced[2]
    patient = call["prefetch"]["patient"]
    private = [patient["id"], patient["name"][0]["family"], patient["birthDate"], call["hookInstance"]]
    assert not [text for text in private if text.encode() in sent]


def test_log_lines_name_their_trace(traced: tuple[Collector, Path, dict[str, Any]]) -> None:
    """So that one leads to the other."""
    lines = [json.loads(line) for line in traced[1].read_text("utf-8").splitlines() if line.startswith("{")]
    answered = [line for line in lines if line["event"] == "answered"]
    assert [line["trace_id"] for line in answered] == [TRACE]


def test_a_collector_that_is_down_delays_nobody(tmp_path: Path) -> None:
    """Calls are answered; the traces are lost, and the log says so without what was in them."""
    nobody = f"http://127.0.0.1:{free_port()}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": nobody, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with service(tmp_path, OTEL_EXPORTER_OTLP_TIMEOUT="1", **environment) as running:
        over = OverHttp(running.base, requests.Session())
        call = synthetic_request(SLUG, "order-sign", templates(over))
        started = time.monotonic()
        assert {post(over, "order-sign", call).status for _ in range(5)} == {200}
        assert time.monotonic() - started < _SECONDS / 2


def test_what_the_sampler_leaves_out_is_not_sent(tmp_path: Path) -> None:
    """The sampler of the environment decides; the log still names the trace."""
    collector = Collector()
    with (
        serving(collector.handler()) as endpoint,
        service(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_SAMPLER="always_off") as running,
    ):
        over = OverHttp(running.base, requests.Session())
        assert post(over, "order-sign", synthetic_request(SLUG, "order-sign", templates(over))).status == 200
        signal_and_wait(running)
    assert collector.received == []


def test_laps_follow_one_another() -> None:
    """Each stage begins where the one before it ended."""
    ticks = iter((1000, 1010, 1030, 1060))
    laps = Laps(lambda: next(ticks))
    for stage in (Stage.RECEIVE, Stage.REQUEST, Stage.PREFETCH):
        laps.done(stage)
    assert list(laps.spans()) == [(Stage.RECEIVE, 0, 10), (Stage.REQUEST, 10, 30), (Stage.PREFETCH, 30, 60)]


def test_without_the_extra_the_service_does_not_start(monkeypatch: pytest.MonkeyPatch, make_app: MakeApp) -> None:
    """And says what to install."""
    monkeypatch.delitem(sys.modules, "cds_service.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"PNET_CDS_TRACING: .*pnet-cds\[otel\]"):
        make_app(tracing="otlp")
