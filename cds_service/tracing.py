"""Traces for OpenTelemetry: a span for each call and feedback, and one within it for each stage of the call.

Spans hold our own words and the identifiers of the consult, never anything about the patient or from the body. Where
they go is set by the variables every OpenTelemetry service has (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``,
``OTEL_TRACES_SAMPLER``), which the library reads. The library is an extra: importing this module fails without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cds_service import __version__
from cds_service.stages import Laps

Attributes = Mapping[str, str | int]

_NAME: Final = "pnet-cds"
_TRACEPARENT: Final = "traceparent"


class Traces:
    """Makes spans. They are sent from a thread of their own, and the worker sends the last ones when it ends."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, name: str, traceparent: str | None) -> Trace:
        """A span that continues the trace of the caller, if it says which that is."""
        carrier = {_TRACEPARENT: traceparent} if traceparent else {}
        context = TraceContextTextMapPropagator().extract(carrier)
        return Trace(self._tracer, self._tracer.start_span(name, context, kind=SpanKind.SERVER))


class Trace:
    """The span of one call."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def id(self) -> str:
        """The identifier of the trace, 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, attributes: Attributes, laps: Laps, *, failed: bool) -> None:
        """The call is over; a call that is not sampled costs nothing more."""
        span = self._span
        if span.is_recording():
            span.set_attributes(dict(attributes))
            if failed:
                span.set_status(StatusCode.ERROR)
            began: int = span.start_time  # type: ignore[attr-defined] # every span that records has it
            within = set_span_in_context(span)
            for stage, start, end in laps.spans():
                self._tracer.start_span(stage, within, start_time=began + start).end(began + end)
        span.end()


def tracing() -> Traces:
    """Traces that are sent to the collector the environment names."""
    own: dict[str, Any] = {SERVICE_NAME: _NAME, SERVICE_VERSION: __version__}
    resource = Resource.create(own).merge(OTELResourceDetector().detect())  # what the environment says wins
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider.get_tracer(_NAME, __version__))
