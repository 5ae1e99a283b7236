"""Admission of a call: strict where the answer would be impossible or unsafe, generous otherwise.

Only the members that matter are decoded; prefetched resources stay as raw JSON until somebody needs them. What deviates
from the specification without harm becomes a *defect*: logged by its requirement number, never held against the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import msgspec

from cds_service.errors import HookMismatch, InvalidRequest, NotJson
from cds_service.protocol.authorization import FhirAccess, read_access
from cds_service.protocol.configuration import read_configuration
from cds_service.protocol.contexts import CONTEXTS
from cds_service.protocol.deviations import OLDER_NAMES, deviations, of_extension
from cds_service.protocol.glance import Glances, Prefetch
from cds_service.protocol.surrogates import MENDED, UNREADABLE, decode
from cds_service.protocol.written import drafts_as_written

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_BODY = msgspec.Raw(b"")
_NULL = msgspec.Raw(b"null")
_HEAD = 64
_NOT_JSON = "The body is not valid JSON in UTF-8."


class _Envelope(msgspec.Struct):
    hook: Any = None
    hookInstance: Any = None  # noqa: N815 - spelled as on the wire
    fhirServer: Any = None  # noqa: N815
    fhirAuthorization: Any = None  # noqa: N815
    context: msgspec.Raw = _NULL
    prefetch: msgspec.Raw = _NO_BODY
    extension: msgspec.Raw = _NULL


class _UsualEnvelope(_Envelope):
    """A call whose prefetch is an object, as nearly all are: its values are found in the same pass over the body."""

    prefetch: dict[str, msgspec.Raw] = {}  # type: ignore[assignment]


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_USUAL_ENVELOPES = msgspec.json.Decoder(_UsualEnvelope)


@cache
def _glancing(glances: Glances) -> msgspec.json.Decoder[_Envelope]:
    """Decodes a call whose prefetch is as a service asks for it."""
    found = [("prefetch", glances.values)]
    return msgspec.json.Decoder(msgspec.defstruct("GlancingEnvelope", found, bases=(_Envelope,), kw_only=True))


@dataclass(frozen=True, slots=True)
class HookRequest:
    """An admitted call.

    Attributes:
        patient_id: bare FHIR id.
        encounter_id: bare FHIR id, or None.
        drafts: resources of ``draftOrders``, as plain objects in the order sent.
        written: the same as they were written, by reference; none that had to be mended to be read.
        selections: references of the selected drafts (order-select).
        dispatched: references of the dispatched orders (order-dispatch).
        appointments: proposed appointments, as plain objects (appointment-book).
        prefetch: raw JSON by key; a key that is absent was not supplied.
        fhir: where the chart may be read; None when the call names no FHIR server.
        configuration: options the client sets for this call (CR-002).
        defects: requirement numbers the caller missed without harm.
    """

    hook: str
    hook_instance: str
    patient_id: str
    encounter_id: str | None
    user_id: str | None
    drafts: tuple[dict[str, Any], ...] = ()
    written: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    selections: tuple[str, ...] = ()
    dispatched: tuple[str, ...] = ()
    appointments: tuple[dict[str, Any], ...] = ()
    prefetch: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    fhir: FhirAccess | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    defects: tuple[str, ...] = ()

    @property
    def fhir_server(self) -> str:
        """Base URL of the client's FHIR server; empty when not given."""
        return self.fhir.server if self.fhir else ""


def parse_request(body: bytes, hook: str, glances: Glances | None = None) -> HookRequest:
    """Read and admit a call to a service of ``hook``.

    Args:
        body: as it came.
        hook: what the service answers.
        glances: what is looked at in prefetch while the body is read; nothing without it.

    Raises:
        NotJson: the body is no JSON object, or nested beyond reason.
        InvalidRequest: a member the answer depends on is missing or mistyped.
        HookMismatch: the call names another hook than the service's.
    """
    envelope, context, written, prefetch = _decode(body, glances)
    defects: list[str] = []
    _check_hook(envelope.hook, hook)
    instance = _instance(envelope.hookInstance, defects)
    if envelope.fhirAuthorization and not envelope.fhirServer:
        raise InvalidRequest("fhirAuthorization is given without fhirServer; send both or neither (CH-037).")
    if not isinstance(context, dict):
        raise InvalidRequest(
            "context is missing or not an object; the hook definition says what it must hold (CH-038)."
        )
    sent, context = context, _with_aliases(context)
    for name in CONTEXTS[hook].required:
        if context.get(name) in (None, ""):
            raise InvalidRequest(f"context.{name} is missing; {hook} requires it.")
    drafts = _resources("draftOrders", context.get("draftOrders"), defects)
    appointments = _resources("appointments", context.get("appointments"), defects)
    defects += deviations(sent, hook, drafts, appointments)
    defects += of_extension(envelope.extension)
    return HookRequest(
        hook=hook,
        hook_instance=instance,
        patient_id=_bare_id(context["patientId"], "Patient", "patientId", defects),
        encounter_id=_optional_id(context.get("encounterId"), defects),
        user_id=_text(context.get("userId")) or None,
        drafts=drafts,
        written=written,
        selections=_references("selections", context, hook),
        dispatched=_references("dispatchedOrders", context, hook),
        appointments=appointments,
        prefetch=_prefetch(prefetch, defects),
        fhir=read_access(envelope.fhirServer, envelope.fhirAuthorization, defects),
        configuration=read_configuration(envelope.extension),
        defects=tuple(defects),
    )


def _decode(
    body: bytes, glances: Glances | None
) -> tuple[_Envelope, Any, Mapping[str, msgspec.Raw], msgspec.Raw | Mapping[str, msgspec.Raw]]:
    """The call, its context as plain JSON, the drafts in it as they were written if they are read so, and prefetch."""
    try:
        envelope, whole = decode(partial(_envelope, glances=glances), body)
        context = msgspec.json.decode(envelope.context)
    except msgspec.ValidationError as error:
        raise NotJson(f"The body is JSON but cannot be read as an object: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotJson(_NOT_JSON) from None
    except RecursionError:
        raise NotJson("The body is nested too deeply to be a CDS Hooks request.") from None
    written = drafts_as_written(envelope.context)
    if whole is not body:
        written = {reference: raw for reference, raw in written.items() if MENDED not in bytes(raw)}
    found: Any = envelope.prefetch
    if glances is not None and isinstance(found, glances.values):
        found = Prefetch(found, glances, whole)
    return envelope, context, written, found


def _envelope(body: bytes, glances: Glances | None) -> _Envelope:
    """The call, read with as much about prefetch as its shape allows."""
    if glances is not None:
        with suppress(msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            return _glancing(glances).decode(body)
    try:
        return _USUAL_ENVELOPES.decode(body)
    except msgspec.ValidationError:
        return _ENVELOPES.decode(body)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _check_hook(given: object, hook: str) -> None:
    if not _text(given):
        raise InvalidRequest("hook is missing or not a string (CH-031).")
    if given != hook:
        raise HookMismatch(f"This service is offered for {hook} only; call the service of the hook you fire (CH-041).")


def _instance(given: object, defects: list[str]) -> str:
    if not _text(given):
        raise InvalidRequest("hookInstance is missing or not a string; send a UUID for every call (CH-032).")
    instance = _text(given)
    if not _UUID.fullmatch(instance):
        defects.append("CH-032 hookInstance is no UUID")
    return instance


def _bare_id(value: object, kind: str, name: str, defects: list[str]) -> str:
    """The id, also when it came as a reference (CH-034)."""
    given = _text(value)
    if not given:
        raise InvalidRequest(f"context.{name} is not a string.")
    if UNREADABLE in given:  # it could be the id of several
        raise InvalidRequest(f"context.{name} holds a character that cannot be read (CH-152).")
    if "/" in given:
        defects.append(f"CH-152 context.{name} is a reference")
        match = re.search(rf"(?:^|/){kind}/([^/?#]+)$", given)
        if match is None:
            raise InvalidRequest(f"context.{name} is neither an id nor a reference to a {kind} (CH-152).")
        return match.group(1)
    return given


def _optional_id(value: object, defects: list[str]) -> str | None:
    if not _text(value):
        return None
    try:
        return _bare_id(value, "Encounter", "encounterId", defects)
    except InvalidRequest:
        return None


def _with_aliases(context: dict[str, Any]) -> dict[str, Any]:
    """The context with members of older hook versions under their present names."""
    for name, older in OLDER_NAMES.items():
        found = next((context[alias] for alias in older if context.get(alias)), None)
        if name not in context and found is not None:
            context = {**context, name: found if isinstance(found, list) else [found]}
    return context


def _resources(name: str, value: object, defects: list[str]) -> tuple[dict[str, Any], ...]:
    """Resources of a Bundle in the context; a list of resources instead of a Bundle is accepted."""
    if value is None:
        return ()
    if isinstance(value, dict):
        if value and value.get("resourceType") != "Bundle":
            raise InvalidRequest(f"context.{name} is not a Bundle (CH-153).")
        if not isinstance(value.get("type"), str):
            defects.append(f"CH-153 {name} without type")
        entries = value.get("entry")
        items = entries if isinstance(entries, list) else []
        found = [item.get("resource") for item in items if isinstance(item, dict)]
    elif isinstance(value, list):
        defects.append(f"CH-153 {name} is a list")
        found = [item.get("resource", item) for item in value if isinstance(item, dict)]
    else:
        raise InvalidRequest(f"context.{name} is not a Bundle (CH-153).")
    return tuple(resource for resource in found if isinstance(resource, dict))


def _references(name: str, context: dict[str, Any], hook: str) -> tuple[str, ...]:
    """A list of references, when the hook has one."""
    if name not in CONTEXTS[hook].required:
        return ()
    value = context[name]
    if not isinstance(value, list):
        raise InvalidRequest(f"context.{name} is not a list of references.")
    return tuple(item.strip() for item in value if isinstance(item, str) and item.strip())


def _prefetch(sent: msgspec.Raw | Mapping[str, msgspec.Raw], defects: list[str]) -> Mapping[str, msgspec.Raw]:
    if isinstance(sent, Mapping):
        seen = sent.glances if isinstance(sent, Prefetch) else {}
        if not all(key in seen or _may_be_resource(sent[key]) for key in sent):
            defects.append("CH-039 a value of prefetch is no resource")
        return sent
    if sent not in (_NO_BODY, _NULL):
        defects.append("CH-039 prefetch is no object")
    return {}


def _may_be_resource(value: msgspec.Raw) -> bool:
    """Whether a value begins as an object or null does; the rest of it may be megabytes."""
    head = bytes(memoryview(value)[:_HEAD]).lstrip()
    return not head or head.startswith((b"{", b"null"))
