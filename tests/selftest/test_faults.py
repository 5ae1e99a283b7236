"""Each fault a service may have is found, and nothing else is said to be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.selftest.examining import examined, found
from tests.selftest.toy import DISCOVERY, Object, Toy, serving

ORIGIN: Final = "https://pages.example.org"
Plant = Callable[[Toy], None]


@dataclass(frozen=True)
class Fault:
    """A fault, and the checks that have to find it; each is a test of its own."""

    name: str
    plant: Plant
    checks: tuple[str, ...]
    signed: bool = False
    origin: str = ""


def entry(change: Callable[[Object], Any], number: int = 0) -> Plant:
    """Something is wrong with an entry of discovery."""

    def plant(toy: Toy) -> None:
        toy.found = lambda document, _: change(document["services"][number])

    return plant


def document(change: Callable[[Object], Any]) -> Plant:
    """Something is wrong with discovery."""

    def plant(toy: Toy) -> None:
        toy.found = lambda body, _: change(body)

    return plant


def answer(change: Callable[[Object], Any]) -> Plant:
    """Something is wrong with answers about drafts."""

    def plant(toy: Toy) -> None:
        toy.answered = lambda body, _: change(body) if "systemActions" in body else None

    return plant


def card(**members: Any) -> Plant:
    """Something is wrong with a card: members are other ones, or (None) missing."""
    return answer(lambda body: changed(body["cards"][0], members))


def changed(holder: Object, members: Object) -> None:
    """Other members, or (None) none."""
    for name, value in members.items():
        holder.pop(name, None)
        if value is not None:
            holder[name] = value


def within(*path: str | int, **members: Any) -> Plant:
    """Something is wrong with an object in the first card."""

    def change(body: Object) -> None:
        holder: Any = body["cards"][0]
        for step in path:
            holder = holder[step]
        changed(holder, members)

    return answer(change)


def status(what: str, code: int) -> Plant:
    """Something out of the ordinary gets a wrong status."""
    return lambda toy: toy.statuses.update({what: code})


def attribute(**values: Any) -> Plant:
    """The toy is another one."""

    def plant(toy: Toy) -> None:
        for name, value in values.items():
            setattr(toy, name, value)

    return plant


def guarded(*unchecked: str, **values: Any) -> Plant:
    """Tokens are needed, but something about them is not checked."""
    return attribute(protected=True, unchecked=frozenset(unchecked), **values)


def mapping(name: str, **values: str | None) -> Plant:
    """Headers are other ones."""

    def plant(toy: Toy) -> None:
        changed(getattr(toy, name), {key.replace("_", "-"): value for key, value in values.items()})

    return plant


def other_advice(when: Callable[[Toy, int], bool]) -> Plant:
    """Advice depends on what has nothing to do with the call."""

    def plant(toy: Toy) -> None:
        def change(body: Object, number: int) -> None:
            if when(toy, number) and body["cards"]:
                body["cards"][0]["summary"] = f"Call {uuid4().hex}"

        toy.answered = change

    return plant


def action(number: int, **members: Any) -> Plant:
    """Something is wrong with an action of the first suggestion."""
    return within("suggestions", 0, "actions", number, **members)


def twice(body: Object) -> None:
    """A card is there twice, under the same uuids."""
    body["cards"].append(body["cards"][0])


LINK: Final = ("links", 0)
FAULTS: Final = (
    Fault("discovery is 203", status("discovery", 203), ("discovery-status",)),
    Fault("discovery is text", attribute(types={"discovery": "text/plain"}), ("discovery-type",)),
    Fault(
        "discovery in Latin-1", attribute(types={"discovery": "application/json; charset=latin1"}), ("discovery-type",)
    ),
    Fault(
        "discovery changes",
        lambda toy: setattr(toy, "found", lambda body, number: body["services"][0].update(title=f"Toy {number}")),
        ("discovery-stable",),
    ),
    Fault("an entry is text", document(lambda body: body["services"].append("toy")), ("discovery-entries",)),
    Fault("no hook", entry(lambda e: e.pop("hook"), 2), ("discovery-hook",)),
    Fault("a hook nobody published", entry(lambda e: e.update(hook="toy-hook"), 2), ("discovery-hook-name",)),
    Fault("no id", entry(lambda e: e.pop("id")), ("discovery-id",)),
    Fault("no description", entry(lambda e: e.pop("description")), ("discovery-description",)),
    Fault("no title", entry(lambda e: e.pop("title")), ("discovery-title",)),
    Fault(
        "discovery fails without a token",
        attribute(protected=True, statuses={"discovery-no-token": 500}),
        ("discovery-without-token",),
        signed=True,
    ),
    Fault(
        "a bare list of services",
        attribute(raw={"discovery": json.dumps(DISCOVERY["services"]).encode()}),
        ("discovery-object",),
    ),
    Fault(
        "an id with a blank",
        lambda toy: toy.discovery["services"][0].update(id="toy view"),
        ("discovery-id-path",),
    ),
    Fault("the same twice", document(lambda body: body["services"].append(body["services"][0])), ("discovery-unique",)),
    Fault("null in discovery", entry(lambda e: e.update(note=None)), ("discovery-nothing-empty",)),
    Fault("prefetch is a list", entry(lambda e: e.update(prefetch=["Patient"])), ("discovery-prefetch",)),
    Fault(
        "an absolute template",
        entry(lambda e: e["prefetch"].update(far="https://fhir.example.org/Patient/{{context.patientId}}")),
        ("discovery-templates",),
    ),
    Fault(
        "a token without context",
        entry(lambda e: e["prefetch"].update(odd="Encounter?subject={{patientId}}")),
        ("discovery-tokens",),
    ),
    Fault(
        "a token that is a resource",
        entry(lambda e: e["prefetch"].update(odd="Task?focus={{context.draftOrders}}"), 1),
        ("discovery-tokens",),
    ),
    Fault(
        "an include",
        entry(
            lambda e: e["prefetch"].update(odd="Condition?patient={{context.patientId}}&_include=Condition:asserter")
        ),
        ("discovery-subset",),
    ),
    Fault("requirements as a list", entry(lambda e: e.update(usageRequirements=["x"])), ("discovery-requirements",)),
    Fault("a FHIR extension", entry(lambda e: e.update(extension=[{"url": "x"}])), ("discovery-extension",)),
    Fault("an error for a call", status("call", 500), ("call-answered",)),
    Fault("an answer as HTML", attribute(types={"call": "text/html"}), ("call-type",)),
    Fault("an answer that is no JSON", attribute(raw={"call": b"{cards: []}"}), ("call-json",)),
    Fault(
        "an answer in Latin-1", attribute(raw={"call": b'{"cards": [], "extension": {"a": "\xe9"}}'}), ("call-json",)
    ),
    Fault("a bare list", attribute(raw={"call": b"[]"}), ("call-json",)),
    Fault("extensions refused", status("extension", 400), ("call-extension",)),
    Fault("unknown members refused", status("strangers", 400), ("call-unknown-members",)),
    Fault("null refused", status("null", 412), ("call-null-prefetch",)),
    Fault("no hits refused", status("no-hits", 412), ("call-no-hits",)),
    Fault("an outcome breaks it", status("failed", 500), ("call-failed-prefetch",)),
    Fault("another key refused", status("another-key", 400), ("call-unrequested-key",)),
    Fault("missing prefetch is 500", status("no-prefetch", 500), ("call-without-prefetch",)),
    Fault("missing prefetch is 400", status("no-prefetch", 400), ("call-without-prefetch",)),
    Fault("a charset refused", status("charset", 415), ("call-charset",)),
    Fault("two megabytes refused", status("large", 413), ("call-large",)),
    Fault("slow", attribute(pause=0.12), ("call-time",)),
    Fault("no cards", answer(lambda body: body.pop("cards")), ("card-list",)),
    Fault("null in a card", card(extension=None, detail=[]), ("card-nothing-empty", "card-detail")),
    Fault("empty links", card(links=[]), ("card-nothing-empty",)),
    Fault("empty system actions", answer(lambda body: body.update(systemActions=[])), ("card-nothing-empty",)),
    Fault("a member of their own", card(priority=1), ("card-members",)),
    Fault("a summary of 140", card(summary="s" * 140), ("card-summary",)),
    Fault("no summary", card(summary=None), ("card-summary",)),
    Fault("detail as an object", card(detail={"text": "x"}), ("card-detail",)),
    Fault("HTML", card(detail="a<br/>b"), ("card-markdown",)),
    Fault("hard-stop", card(indicator="hard-stop"), ("card-indicator",)),
    Fault("no indicator", card(indicator=None), ("card-indicator",)),
    Fault("no source", card(source=None), ("card-source",)),
    Fault("no label", within("source", label=None), ("card-source",)),
    Fault("a relative source", within("source", url="/about"), ("card-source-url",)),
    Fault("a broken address", within("source", url="http://["), ("card-source-url",)),
    Fault("a relative icon", within("source", icon="icon.png"), ("card-source-icon",)),
    Fault("a topic without system", within("source", "topic", system=None), ("card-topic",)),
    Fault("no uuid", card(uuid=None), ("card-uuid",)),
    Fault("a uuid twice", answer(twice), ("card-uuids-unique",)),
    Fault("reasons as an object", card(overrideReasons={"code": "x"}), ("card-lists",)),
    Fault("no selectionBehavior", card(selectionBehavior=None), ("card-selection",)),
    Fault("selectionBehavior all", card(selectionBehavior="all"), ("card-selection",)),
    Fault("two recommended", within("suggestions", 1, isRecommended=True), ("card-recommended",)),
    Fault("recommended as text", within("suggestions", 1, isRecommended="true"), ("card-is-recommended",)),
    Fault("a suggestion without label", within("suggestions", 1, label=None), ("card-suggestion",)),
    Fault("a suggestion without uuid", within("suggestions", 1, uuid=None), ("card-suggestion-uuid",)),
    Fault("one action, no list", within("suggestions", 1, actions={"type": "delete"}), ("card-actions",)),
    Fault("an action replaces", action(0, type="replace"), ("card-action-type",)),
    Fault("an action without words", action(2, description=None), ("card-action-description",)),
    Fault("nothing to create", action(0, resource=None), ("card-action-resource",)),
    Fault("a resource as text", action(0, resource='{"resourceType": "Task"}'), ("card-action-resource",)),
    Fault("an update of nothing", action(1, resource={"resourceType": "Task"}), ("card-update-id",)),
    Fault("a list of deletions", action(2, resourceId=["ServiceRequest/1"]), ("card-delete",)),
    Fault("a stranger deleted", action(2, resourceId="ServiceRequest/other"), ("card-action-target",)),
    Fault("a stranger updated", action(1, resource={"resourceType": "Task", "id": "x"}), ("card-action-target",)),
    Fault("a reason without display", within("overrideReasons", 0, display=None), ("card-override-reason",)),
    Fault("a link without label", within(*LINK, label=None), ("card-link-label",)),
    Fault("a relative link", within(*LINK, url="/page"), ("card-link-url",)),
    Fault("a link of no type", within(*LINK, type=None), ("card-link-type",)),
    Fault("context for a page", within(*LINK, appContext="handle"), ("card-app-context",)),
    Fault("autolaunchable as text", within(*LINK, autolaunchable="yes"), ("card-autolaunchable",)),
    Fault("an extension as a list", card(extension=[{"url": "x"}]), ("card-extension",)),
    Fault(
        "one system action, no list",
        answer(lambda body: body.update(systemActions=body["systemActions"][0])),
        ("card-system-actions",),
    ),
    Fault(
        "a system action without words",
        answer(lambda body: body["systemActions"][0].pop("description")),
        ("card-system-description",),
    ),
    Fault(
        "advice by chance",
        other_advice(lambda _toy, _number: True),
        ("call-repeated", "call-same-instance", "call-stateless", "call-concurrent"),
    ),
    *(
        Fault(f"{what} is answered", status(what, 200), (check,))
        for what, check in {
            "not-json": "error-not-json",
            "no-body": "error-no-body",
            "not-an-object": "error-not-an-object",
            "not-utf8": "error-not-utf8",
            "nested": "error-nested",
            "hook": "error-hook-missing",
            "hookInstance": "error-instance-missing",
            "context": "error-context-missing",
            "patient": "error-patient-missing",
            "token-without-server": "error-token-without-server",
            "wrong-hook": "error-wrong-hook",
            "media": "error-media-type",
            "unknown-service": "error-unknown-service",
            "unknown-path": "error-unknown-path",
            "method": "error-method",
            "feedback-not-json": "feedback-not-json",
            "feedback-no-list": "feedback-no-list",
            "feedback-card": "feedback-no-card",
            "feedback-outcome": "feedback-outcome",
            "feedback-timestamp": "feedback-timestamp",
            "unknown-feedback": "feedback-unknown-service",
        }.items()
    ),
    *(
        Fault(f"{what} is refused", status(what, 500), (check,))
        for what, check in {
            "feedback-accepted": "feedback-accepted",
            "feedback-reason": "feedback-overridden",
            "feedback-several": "feedback-several",
            "feedback-unknown-card": "feedback-unknown-card",
            "feedback-strangers": "feedback-unknown-members",
        }.items()
    ),
    Fault("an error for a missing context", status("context", 500), ("error-context-missing",)),
    Fault("an error after a wrong call", attribute(sulks=True), ("error-recovers",)),
    Fault("no Allow", attribute(without=("allow",)), ("error-method",)),
    Fault("a refusal of their own", attribute(outcome={"error": "no"}), ("error-outcome",)),
    Fault("preflights refused", status("preflight", 405), ("security-preflight",)),
    Fault("POST not allowed", mapping("preflight", Access_Control_Allow_Methods="GET"), ("security-cors-allows",)),
    Fault(
        "Authorization not allowed", mapping("preflight", Access_Control_Allow_Headers="*"), ("security-cors-allows",)
    ),
    Fault("refusals unreadable", attribute(refusal_headers={}), ("security-cors-answers",)),
    Fault(
        "one origin without Vary",
        attribute(
            headers={"Access-Control-Allow-Origin": ORIGIN}, refusal_headers={"Access-Control-Allow-Origin": ORIGIN}
        ),
        ("security-cors-vary",),
        origin=ORIGIN,
    ),
    Fault("credentials", mapping("headers", Access_Control_Allow_Credentials="true"), ("security-cors-credentials",)),
    Fault("no token needed", guarded("missing", "feedback"), ("security-no-token", "security-feedback"), signed=True),
    Fault("no token needed for feedback", guarded("feedback"), ("security-feedback",), signed=True),
    Fault("rubbish taken", guarded("rubbish"), ("security-rubbish",), signed=True),
    Fault("unsigned taken", guarded("unsigned"), ("security-unsigned",), signed=True),
    Fault("symmetric taken", guarded("symmetric"), ("security-symmetric",), signed=True),
    Fault("signatures unchecked", guarded("signature"), ("security-stranger",), signed=True),
    Fault("expiry unchecked", guarded("exp"), ("security-expired",), signed=True),
    Fault("audience unchecked", guarded("aud"), ("security-audience",), signed=True),
    Fault("future unchecked", guarded("iat"), ("security-future",), signed=True),
    Fault("jti not needed", guarded("jti"), ("security-no-identity",), signed=True),
    Fault("replay possible", guarded("replay"), ("security-replayed",), signed=True),
    Fault("no challenge", guarded(challenge=""), ("security-challenge",), signed=True),
    Fault("reasons told", guarded(reasons=True), ("security-silent",), signed=True),
)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_is_found_and_nothing_else(fault: Fault) -> None:
    """One fault in a correct service: exactly the checks named say so. One of its services is called, to save time."""
    with serving(Toy()) as toy:
        fault.plant(toy)
        slow = 0.1 if toy.pause else 5.0
        one = frozenset({"toy-sign"})
        report = examined(toy, signed=fault.signed, origin=fault.origin, slow=slow, services=one)
    assert report.stopped == ""
    assert found(report) == set(fault.checks)
