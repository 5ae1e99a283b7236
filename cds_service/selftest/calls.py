"""Good calls: that they are answered, whatever else is in the call, and each by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.discovery import is_json
from cds_service.selftest.findings import Finding, Sights, Skipped, must
from cds_service.selftest.subject import Request, Service, Subject, answered_with, dumped, ok
from cds_service.selftest.wire import JSON, NOT_JSON, Got, Silence
from fhir_profiles.synthetic import synthetic_patients

_LARGE: Final = 2 * 1024 * 1024
_AT_ONCE: Final = 4
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")
_OF_ITS_OWN: Final = ("uuid", "appContext", "extension")
"""Members that differ from call to call, or may hold what does."""

_UNKNOWN: Final = "org.example.selftest"
_STATUS_200: Final = "status 200, as without the change"


def _answered(subject: Subject) -> Sights:
    for service in subject.services():
        got = subject.answer(service)
        if isinstance(got, Skipped):
            yield got
        elif isinstance(got, Got) and got.status == HTTPStatus.PRECONDITION_FAILED:
            why = "it needs data that it does not ask for as prefetch (412); give a call with --request"
            yield Skipped(service.id, why, hindered=True)
        else:
            yield answered_with(service.id, got, ok(got), "status 200")


def _type(subject: Subject) -> Sights:
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
        elif isinstance(got := subject.answers[item[0]], Got):
            yield is_json(item[0].id, got)


def _json(subject: Subject) -> Sights:
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
        elif isinstance(got := subject.answers[item[0]], Got):
            content = got.content()
            told = "no JSON" if content is NOT_JSON else type(content).__name__
            yield must(item[0].id, isinstance(content, dict), told, "a JSON object in UTF-8")


def _still(change: Callable[[Request], bool], media: str = JSON, also: tuple[int, ...] = ()) -> Look:
    """A look at calls that are changed in a way that must not keep them from being answered."""

    def look(subject: Subject) -> Sights:
        for item in subject.working():
            if isinstance(item, Skipped):
                yield item
                continue
            service, request = item
            if change(request):
                got = subject.call(service, request, media=media)
                fine = ok(got) or (isinstance(got, Got) and got.status in also)
                yield answered_with(service.id, got, fine, _STATUS_200 + "".join(f", or {code}" for code in also))

    return look


def _extended(request: Request) -> bool:
    request["extension"] = {**_object(request.get("extension")), f"{_UNKNOWN}.any": {"value": 1}}
    return True


def _with_strangers(request: Request) -> bool:
    request["selftestMember"] = {"value": [1, "two", None]}
    request["context"] = {**request["context"], "selftestField": "value"}
    return True


def _searches(request: Request) -> list[str]:
    """Keys whose value is the result of a search, but for those with what the call is about, such as its orders."""
    about = set(_named(request["context"]))
    return [
        key
        for key, value in _object(request.get("prefetch")).items()
        if _object(value).get("resourceType") == "Bundle"
        and not any(f"{each.get('resourceType')}/{each.get('id')}" in about for each in _resources(value))
    ]


def _named(context: dict[str, Any]) -> Iterator[str]:
    """The references at the root of a context."""
    for value in context.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))


def _resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry")
    return [_object(_object(entry).get("resource")) for entry in (entries if isinstance(entries, list) else [])]


def _put(value: Any) -> Callable[[Request], bool]:
    """Every search is answered by this."""

    def change(request: Request) -> bool:
        found = _searches(request)
        for key in found:
            request["prefetch"][key] = value
        return bool(found)

    return change


def _one_failed(request: Request) -> bool:
    for key in _searches(request)[:1]:
        issue = {"severity": "error", "code": "exception", "diagnostics": "The search failed."}
        request["prefetch"][key] = {"resourceType": "OperationOutcome", "issue": [issue]}
        return True
    return False


def _with_another_key(request: Request) -> bool:
    if "prefetch" not in request:
        return False
    request["prefetch"]["selftestKey"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    return True


def _without_prefetch(request: Request) -> bool:
    return request.pop("prefetch", None) is not None and "fhirServer" not in request


def _unchanged(_request: Request) -> bool:
    return True


def _large(request: Request) -> bool:
    request["extension"] = {**_object(request.get("extension")), f"{_UNKNOWN}.padding": "x" * _LARGE}
    return True


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def advice(content: Any) -> str:
    """What an answer says, without identifiers and moments, to be compared with another answer."""
    if not isinstance(content, dict):
        return ""
    said = _lasting({name: content.get(name) for name in ("cards", "systemActions")})
    return _MOMENT.sub("then", _UUID.sub("any", dumped(said)))


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(item) for name, item in value.items() if name not in _OF_ITS_OWN}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


def _same(again: Callable[[Subject, Service, Request], Iterator[Got | Silence]]) -> Look:
    """A look at whether a good call is answered as the first one was."""

    def look(subject: Subject) -> Sights:
        for item in subject.working():
            if isinstance(item, Skipped):
                yield item
                continue
            service, request = item
            first = subject.answers[service]
            expected = "the advice the same call was given before"
            for got in again(subject, service, request):
                if ok(got) and _advice(got) != _advice(first):
                    yield Finding(service.id, ok=False, seen="other advice", expected=expected)
                else:
                    yield answered_with(service.id, got, ok(got), expected)

    return look


def _advice(got: Got | Silence) -> str:
    return advice(got.content()) if isinstance(got, Got) else ""


def _twice(subject: Subject, service: Service, request: Request) -> Iterator[Got | Silence]:
    yield subject.call(service, request)


def _same_instance(subject: Subject, service: Service, request: Request) -> Iterator[Got | Silence]:
    request["hookInstance"] = str(uuid4())
    for _ in range(2):
        yield subject.call(service, request)


def _after_another(subject: Subject, service: Service, request: Request) -> Iterator[Got | Silence]:
    """The call after one about somebody else."""
    other = next(each for each in synthetic_patients() if each.slug != subject.patient.slug)
    between = subject.request_about(other, service)
    if between is not None:
        subject.call(service, between)
        yield subject.call(service, request)


def _at_once(subject: Subject, service: Service, request: Request) -> Iterator[Got | Silence]:
    requests = [request | {"hookInstance": str(uuid4())} for _ in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda body: subject.call(service, body), requests)


def _time(subject: Subject) -> Sights:
    """The faster of two calls counts: the first one may have had to wake something up."""
    limit = subject.wishes.slow
    for item in subject.working():
        if isinstance(item, Skipped):
            yield item
            continue
        calls = [subject.answers[item[0]], subject.call(*item)]
        taken = min(got.seconds for got in calls if isinstance(got, Got))
        yield Finding(item[0].id, taken <= limit, f"{taken:.2f} s", f"an answer within {limit:g} s (--slow)")


CHECKS: Final = (
    Check(
        "call-answered",
        Level.SHALL,
        ("CH-014", "CH-030", "CH-031", "CH-045", "CH-080"),
        "A good call about a synthetic patient, with prefetch as advertised, is answered with 200.",
        _answered,
    ),
    Check("call-type", Level.SHALL, ("CH-001",), "The answer to a call is declared as JSON in UTF-8.", _type),
    Check("call-json", Level.SHALL, ("CH-001", "CH-080"), "The answer to a call is a JSON object.", _json),
    Check(
        "call-extension",
        Level.SHALL,
        ("CH-040", "CH-110", "CH-111"),
        "An extension the service does not know changes nothing.",
        _still(_extended),
    ),
    Check(
        "call-unknown-members",
        Level.SHOULD,
        ("CH-007", "CH-150"),
        "Members the service does not know, in the call and in its context, change nothing.",
        _still(_with_strangers),
    ),
    Check(
        "call-null-prefetch",
        Level.SHOULD,
        ("CH-006", "CH-057"),
        "null for a search means that there is nothing, and is no reason to refuse.",
        _still(_put(None)),
    ),
    Check(
        "call-no-hits",
        Level.SHOULD,
        ("CH-049", "CH-057"),
        "Searches without hits are no reason to refuse.",
        _still(_put({"resourceType": "Bundle", "type": "searchset", "total": 0})),
    ),
    Check(
        "call-failed-prefetch",
        Level.SHOULD,
        ("CH-057",),
        "An OperationOutcome in place of a search is understood as data that could not be had.",
        _still(_one_failed, also=(HTTPStatus.PRECONDITION_FAILED,)),
    ),
    Check(
        "call-unrequested-key",
        Level.SHOULD,
        ("CH-057",),
        "A prefetch key that was not asked for is ignored.",
        _still(_with_another_key),
    ),
    Check(
        "call-without-prefetch",
        Level.SHALL,
        ("CH-046", "CH-057", "CH-061"),
        "Without prefetch and FHIR server a call is answered with 200, or with 412.",
        _still(_without_prefetch, also=(HTTPStatus.PRECONDITION_FAILED,)),
    ),
    Check(
        "call-charset",
        Level.SHOULD,
        ("CH-001", "CH-048.415"),
        "application/json; charset=utf-8 is taken as JSON.",
        _still(_unchanged, media=f"{JSON}; charset=utf-8"),
    ),
    Check("call-large", Level.SHOULD, ("CH-048.413",), "A call of two megabytes is answered.", _still(_large)),
    Check("call-repeated", Level.SHOULD, ("CH-044",), "The same call again gets the same advice.", _same(_twice)),
    Check(
        "call-same-instance",
        Level.SHOULD,
        ("CH-043",),
        "A hookInstance that was used before is no reason to answer otherwise.",
        _same(_same_instance),
    ),
    Check(
        "call-stateless",
        Level.SHOULD,
        ("CH-044",),
        "A call about another patient in between changes nothing.",
        _same(_after_another),
    ),
    Check("call-concurrent", Level.SHOULD, ("CH-044",), "Calls at the same time get the same advice.", _same(_at_once)),
    Check("call-time", Level.SHOULD, ("CH-042",), "A call is answered in the order of half a second.", _time),
)
