"""A small CDS service that is not ours, correct unless a fault is planted in it."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import jwt

from tests.signing import public_pem

ISSUER = "https://ehr.example.org"
KID = "toy-client"
Object = dict[str, Any]
_OUTCOME: Object = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
_MARK = "org.example.selftest"

DISCOVERY: Object = {
    "services": [
        {
            "id": "toy-view",
            "hook": "patient-view",
            "title": "Toy",
            "description": "Says hello.",
            "usageRequirements": "None.",
            "prefetch": {
                "patient": "Patient/{{context.patientId}}",
                "user": "{{context.userId}}",
                "me": "Practitioner/{{userPractitionerId}}",
                "conditions": "Condition?patient={{context.patientId}}&clinical-status=active&_sort=-recorded-date",
                "results": "Observation?patient={{context.patientId}}&date=ge2020-01-01&_count=50",
            },
            "extension": {"org.example.toy": {"any": None}},
        },
        {
            "id": "toy-sign",
            "hook": "order-sign",
            "title": "Toy",
            "description": "Looks at orders.",
            "prefetch": {"conditions": "Condition?patient={{context.patientId}}"},
        },
        {"id": "toy-own", "hook": "org.example.toy-hook", "title": "Own", "description": "A hook of its own."},
    ]
}

CARD: Object = {
    "uuid": "2d7c1f0e-6a51-4d9e-9d35-6f1f6f0f8a01",
    "summary": "s" * 139,
    "detail": "**Bold**, `<code>` and <https://toy.example.org/page>; 3 < 4 > 2",
    "indicator": "info",
    "source": {
        "label": "Toy",
        "url": "https://toy.example.org",
        "icon": "https://toy.example.org/icon.png",
        "topic": {"system": "https://toy.example.org/topics", "code": "toy", "display": "Toy"},
    },
    "suggestions": [
        {"label": "Do it", "uuid": "first", "isRecommended": True, "actions": []},
        {"label": "Leave it", "uuid": "second"},
    ],
    "selectionBehavior": "at-most-one",
    "overrideReasons": [{"code": "no", "system": "https://toy.example.org/reasons", "display": "No"}],
    "links": [
        {"label": "Page", "url": "https://toy.example.org/page", "type": "absolute"},
        {
            "label": "App",
            "url": "https://toy.example.org/launch",
            "type": "smart",
            "appContext": "handle",
            "autolaunchable": False,
        },
    ],
    "extension": {"org.example.toy": {"empty": []}},
}


def answer_to(request: Object) -> Object:
    """A card; with drafts also what could be done about the first one."""
    drafts = request["context"].get("draftOrders", {}).get("entry", [])
    if not drafts:
        card = {name: value for name, value in CARD.items() if name not in ("suggestions", "selectionBehavior")}
        return {"cards": [copy.deepcopy(card)]}
    draft = drafts[0]["resource"]
    card = copy.deepcopy(CARD)
    card["suggestions"][0]["actions"] = [
        {"type": "create", "description": "Order", "resource": {"resourceType": "ServiceRequest", "status": "draft"}},
        {"type": "update", "description": "Change", "resource": draft},
        {"type": "delete", "description": "Remove", "resourceId": f"ServiceRequest/{draft['id']}"},
    ]
    system = [{"type": "update", "description": "Note", "resource": draft}]
    return {"cards": [card], "systemActions": system, "extension": {"org.example.toy": {"any": 1}}}


@dataclass
class Toy:
    """The service. Everything it does may be changed.

    Attributes:
        statuses: by what is out of the ordinary about a call (see ``_what``), the status it is answered with.
        types: media types of discovery, of calls and of refusals.
        raw: by ``discovery`` and ``call``, bytes to be sent instead of what there is to say.
        answered: changes an answer before it is sent, and knows how many there were before.
        headers: sent with every answer, in the preflight and otherwise.
        protected: whether calls need a token, and what of it is not checked.
    """

    base: str = ""
    discovery: Object = field(default_factory=lambda: copy.deepcopy(DISCOVERY))
    statuses: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    answered: Callable[[Object, int], None] = lambda body, number: None  # noqa: ARG005
    found: Callable[[Object, int], None] = lambda body, number: None  # noqa: ARG005
    preflight: dict[str, str] = field(
        default_factory=lambda: {
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
        }
    )
    headers: dict[str, str] = field(default_factory=lambda: {"Access-Control-Allow-Origin": "*"})
    refusal_headers: dict[str, str] = field(default_factory=lambda: {"Access-Control-Allow-Origin": "*"})
    without: tuple[str, ...] = ()
    outcome: Object = field(default_factory=lambda: dict(_OUTCOME))
    pause: float = 0.0
    protected: bool = False
    unchecked: frozenset[str] = frozenset()
    challenge: str = "Bearer"
    reasons: bool = False
    sulks: bool = False
    hurt: bool = False
    calls: int = 0
    asked: int = 0
    used: set[str] = field(default_factory=set)

    def status(self, what: str, usual: int) -> int:
        """The status for something out of the ordinary."""
        return self.statuses.get(what, usual)


@dataclass
class Said:
    """What is answered to one request."""

    status: int
    body: bytes
    media: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request is not answered as asked."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


def respond(toy: Toy, method: str, path: str, headers: Any, body: bytes) -> Said:
    """The answer to a request."""
    if method == "OPTIONS":
        return Said(toy.status("preflight", 204), b"", headers=toy.headers | toy.preflight)
    try:
        if path == "/cds-services" and method == "GET":
            return _discover(toy, known="Authorization" in headers)
        return _post(toy, method, path, headers, body)
    except Refusal as refusal:
        content = json.dumps(toy.outcome).encode()
        if refusal.status == 401:
            content = str(len(headers.get("Authorization") or "")).encode() if toy.reasons else b""
        return Said(refusal.status, content, headers=toy.refusal_headers | refusal.headers)


def _discover(toy: Toy, *, known: bool) -> Said:
    if not known and "discovery-no-token" in toy.statuses:
        raise Refusal(toy.statuses["discovery-no-token"])
    document = copy.deepcopy(toy.discovery)
    toy.found(document, toy.asked)
    toy.asked += 1
    content = toy.raw.get("discovery", json.dumps(document).encode())
    media = toy.types.get("discovery", "application/json; charset=utf-8")
    return Said(toy.status("discovery", 200), content, media, toy.headers)


def _post(toy: Toy, method: str, path: str, headers: Any, body: bytes) -> Said:
    known = [entry.get("id") for entry in toy.discovery["services"] if isinstance(entry, dict)]
    steps = [unquote(step) for step in path.removeprefix("/cds-services/").split("/")]
    if steps[0] not in known:
        raise Refusal(toy.status("unknown-feedback" if "feedback" in steps else "unknown-service", 404))
    if len(steps) > 1 and steps[1:] != ["feedback"]:
        raise Refusal(toy.status("unknown-path", 404))
    if method != "POST":
        raise Refusal(toy.status("method", 405), **({} if "allow" in toy.without else {"Allow": "POST"}))
    if toy.protected:
        _check_token(toy, headers.get("Authorization"), toy.base + path, feedback=len(steps) > 1)
    if len(steps) > 1:
        return Said(_feedback(toy, body), b"{}", headers=toy.headers)
    return _call(toy, steps[0], headers.get("Content-Type", ""), body)


def _call(toy: Toy, service: str, media: str, body: bytes) -> Said:
    for what, status in _what(toy, service, media, body):
        toy.hurt = toy.sulks and what == "not-json"
        if toy.status(what, status) != 200:
            raise Refusal(toy.status(what, status))
    if toy.hurt:
        raise Refusal(500)
    toy.calls += 1
    time.sleep(toy.pause)
    try:
        request = json.loads(body)
        answer = answer_to(request)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError, RecursionError):
        answer = {"cards": []}
    toy.answered(answer, toy.calls)
    media = toy.types.get("call", "application/json")
    return Said(toy.status("call", 200), toy.raw.get("call", json.dumps(answer).encode()), media, toy.headers)


def _what(toy: Toy, service: str, media: str, body: bytes) -> Iterator[tuple[str, int]]:
    """What is out of the ordinary about a call, and the status a correct service gives it."""
    if not media.startswith("application/json"):
        yield "media", 415
        return
    if "charset" in media:
        yield "charset", 200
    request, wrong = _read(body)
    if wrong:
        yield wrong, 400
        return
    hooks = [e.get("hook") for e in toy.discovery["services"] if isinstance(e, dict) and e.get("id") == service]
    if request["hook"] not in hooks:
        yield "wrong-hook", 400
    if "patientId" not in request["context"]:
        yield "patient", 400
    if "fhirAuthorization" in request and "fhirServer" not in request:
        yield "token-without-server", 400
    yield from _tolerated(service, request, len(body))


def _read(body: bytes) -> tuple[Object, str]:
    """A call, or what makes it none."""
    try:
        request = json.loads(body.decode())
    except UnicodeDecodeError:
        return {}, "not-utf8"
    except RecursionError:
        return {}, "nested"
    except ValueError:
        return {}, "not-json" if body else "no-body"
    if not isinstance(request, dict):
        return {}, "not-an-object"
    return request, next((name for name in ("hook", "hookInstance", "context") if name not in request), "")


def _tolerated(service: str, request: Object, size: int) -> Iterator[tuple[str, int]]:
    if f"{_MARK}.any" in request.get("extension", {}):
        yield "extension", 200
    if "selftestMember" in request or "selftestField" in request["context"]:
        yield "strangers", 200
    if size > 1_000_000:
        yield "large", 200
    prefetch = request.get("prefetch")
    if prefetch is None:
        yield "no-prefetch", 412 if service == "toy-sign" else 200
        return
    value = prefetch.get("conditions")
    if "selftestKey" in prefetch:
        yield "another-key", 200
    if value is None:
        yield "null", 200
    elif value.get("resourceType") == "OperationOutcome":
        yield "failed", 412
    elif not value.get("entry"):
        yield "no-hits", 200


def _feedback(toy: Toy, body: bytes) -> int:
    if "feedback-none" in toy.statuses:
        return toy.statuses["feedback-none"]
    try:
        entries = json.loads(body)["feedback"]
    except ValueError:
        return toy.status("feedback-not-json", 400)
    except KeyError:
        return toy.status("feedback-no-list", 400)
    if len(entries) > 1 and toy.status("feedback-several", 200) != 200:
        return toy.statuses["feedback-several"]
    return max((_entry(toy, entry) for entry in entries), default=400)


def _entry(toy: Toy, entry: Object) -> int:
    for name, what in (("card", "feedback-card"), ("outcomeTimestamp", "feedback-timestamp")):
        if name not in entry:
            return toy.status(what, 400)
    if entry["outcome"] not in ("accepted", "overridden"):
        return toy.status("feedback-outcome", 400)
    if "selftestMember" in entry:
        return toy.status("feedback-strangers", 200)
    if entry["outcome"] == "accepted":
        return toy.status("feedback-accepted", 200)
    if "overrideReason" in entry:
        return toy.status("feedback-reason", 200)
    known = entry["card"] == CARD["uuid"]
    return toy.status("feedback-plain" if known else "feedback-unknown-card", 200)


def _check_token(toy: Toy, authorization: str | None, audience: str, *, feedback: bool) -> None:
    """Refuse what is no good token, but for what is not checked."""
    skipped = toy.unchecked
    if (authorization is None and "missing" in skipped) or (feedback and "feedback" in skipped):
        return
    token = (authorization or "").removeprefix("Bearer ")
    refusal = Refusal(
        toy.status("unauthenticated", 401), **{"WWW-Authenticate": toy.challenge} if toy.challenge else {}
    )
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        if "rubbish" in skipped and authorization:
            return
        raise refusal from None
    for alg, what in (("none", "unsigned"), ("HS256", "symmetric")):
        if header["alg"] == alg and what in skipped:
            return
    options: Any = {f"verify_{name}": name not in skipped for name in ("exp", "iat", "aud", "signature")}
    options["verify_jti"] = False
    options["require"] = [name for name in ("iss", "aud", "exp", "iat", "jti") if name not in skipped]
    key, known = public_pem(KID), header["alg"] == "ES384"
    try:
        claims = jwt.decode(token, key, ["ES384"], options, audience=audience) if known else None
    except jwt.PyJWTError:
        raise refusal from None
    if claims is None or (claims["jti"] in toy.used and "replay" not in skipped):
        raise refusal
    toy.used.add(claims["jti"])


@contextmanager
def served(answer: Callable[[str, str, Any, bytes], Said]) -> Iterator[str]:
    """A running server that answers by a function of method, path, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = answer(self.command, self.path, self.headers, body)
            self.send_response(said.status)
            if said.body or said.status != 204:
                self.send_header("Content-Type", said.media)
                self.send_header("Content-Length", str(len(said.body)))
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST = do_PUT = do_OPTIONS = handle_any  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with running(Handler) as base:
        yield base


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on this machine, by its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(toy: Toy) -> Iterator[Toy]:
    """The toy, running."""
    with served(lambda *request: respond(toy, *request)) as base:
        toy.base = base
        yield toy
