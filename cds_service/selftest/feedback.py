"""Feedback: good reports are taken, bad ones refused; nothing of it applies where feedback is not offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from cds_service.selftest.cards import cards, is_text, listed
from cds_service.selftest.check import Check, Level, Look
from cds_service.selftest.errors import refused
from cds_service.selftest.findings import Sights, Skipped
from cds_service.selftest.subject import Service, Subject, answered_with
from cds_service.selftest.wire import Got, Silence, path_of

_NOT_OFFERED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_REASON: Final = {"system": "https://example.org/selftest", "code": "selftest", "display": "Self-test"}
_STRANGE: Final = {"selftestMember": [1]}
Entry = dict[str, Any]


def _taken(got: Got | Silence) -> bool:
    return isinstance(got, Got) and HTTPStatus.OK <= got.status < HTTPStatus.MULTIPLE_CHOICES


def _send(subject: Subject, service: Service, body: Any) -> Got | Silence:
    return subject.wire.send("POST", path_of(service.id, "feedback"), body)


def _offer(subject: Subject, service: Service) -> Got | Silence:
    """The answer to the first feedback of a service, which shows whether it takes any."""
    if service not in subject.offers:
        subject.offers[service] = _send(subject, service, {"feedback": [_overridden(subject, service)]})
    return subject.offers[service]


def _offered(subject: Subject) -> Iterator[Service | Skipped]:
    """The services that take feedback; of others, why nothing can be said."""
    for service in subject.services():
        if not subject.wishes.feedback:
            yield Skipped(service.id, "not wanted (--no-feedback)")
            continue
        got = _offer(subject, service)
        if isinstance(got, Silence):
            yield Skipped(service.id, got.told(), hindered=True)
        elif got.status not in _NOT_OFFERED:
            yield service


def _card(subject: Subject, service: Service) -> tuple[str, str]:
    """A card of the service and a suggestion, best one on that card; invented ones where there are none."""
    got = subject.answer(service)
    body = got.content() if isinstance(got, Got) else None
    shown = [card for _, card in cards("", body) if is_text(card.get("uuid"))] if isinstance(body, dict) else []
    for card in shown:
        for _, suggestion in listed("", card, "suggestions"):
            if is_text(suggestion.get("uuid")):
                return card["uuid"], suggestion["uuid"]
    return (shown[0]["uuid"] if shown else str(uuid4())), str(uuid4())


def _entry(subject: Subject, card: str, outcome: str) -> Entry:
    now = datetime.fromtimestamp(subject.wire.clock(), UTC)
    return {"card": card, "outcome": outcome, "outcomeTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _accepted(subject: Subject, service: Service) -> Entry:
    card, suggestion = _card(subject, service)
    return _entry(subject, card, "accepted") | {"acceptedSuggestions": [{"id": suggestion}]}


def _overridden(subject: Subject, service: Service) -> Entry:
    return _entry(subject, _card(subject, service)[0], "overridden")


def _with_reason(subject: Subject, service: Service) -> Entry:
    return _overridden(subject, service) | {"overrideReason": {"reason": _REASON, "userComment": "self-test"}}


def _takes(body: Callable[[Subject, Service], Any], *, unusual: bool = False) -> Look:
    """A look at whether every service takes a good report; an unusual one only where a plain one is taken."""

    def look(subject: Subject) -> Sights:
        for service in _offered(subject):
            if isinstance(service, Skipped):
                yield service
            elif unusual and not _taken(subject.offers[service]):
                yield Skipped(service.id, "a plain report is not taken", hindered=True)
            else:
                got = _send(subject, service, body(subject, service))
                yield answered_with(service.id, got, _taken(got), "a status of success, such as 200")

    return look


def _refuses(body: Callable[[Subject, Service], Any]) -> Look:
    """A look at whether every service refuses a bad report."""

    def look(subject: Subject) -> Sights:
        for service in _offered(subject):
            if isinstance(service, Skipped):
                yield service
            else:
                got = _send(subject, service, body(subject, service))
                yield answered_with(service.id, got, refused(got), "a refusal of the 4xx kind, such as 400")

    return look


def _spoilt(**changes: Any) -> Callable[[Subject, Service], Any]:
    """An accepted card with changed members; None leaves one out."""

    def body(subject: Subject, service: Service) -> Any:
        entry = _accepted(subject, service) | changes
        return {"feedback": [{name: value for name, value in entry.items() if value is not None}]}

    return body


def _unknown_service(subject: Subject) -> Sights:
    if not subject.wishes.feedback:
        yield Skipped("", "not wanted (--no-feedback)")
        return
    where = path_of("selftest-no-such-service", "feedback")
    got = subject.wire.send("POST", where, {"feedback": [_entry(subject, str(uuid4()), "overridden")]})
    yield answered_with(where, got, isinstance(got, Got) and got.status == HTTPStatus.NOT_FOUND, "status 404")


_BINDING: Final = ("CH-121", "CH-122", "CH-123", "CH-126")

CHECKS: Final = (
    Check(
        "feedback-accepted",
        Level.SHALL,
        (*_BINDING, "CH-120", "CH-124"),
        "That a suggestion was accepted is taken.",
        _takes(lambda subject, service: {"feedback": [_accepted(subject, service)]}),
    ),
    Check(
        "feedback-overridden",
        Level.SHALL,
        (*_BINDING, "CH-125"),
        "That a card was overridden, with a reason the service may not have offered and a comment, is taken.",
        _takes(lambda subject, service: {"feedback": [_with_reason(subject, service)]}),
    ),
    Check(
        "feedback-without-reason",
        Level.SHALL,
        (*_BINDING, "CH-125"),
        "That a card was overridden without a reason is taken.",
        _takes(lambda subject, service: {"feedback": [_overridden(subject, service)]}),
    ),
    Check(
        "feedback-several",
        Level.SHALL,
        ("CH-121",),
        "Several reports at a time, also on one card, are taken.",
        _takes(lambda subject, service: {"feedback": [_overridden(subject, service)] * 2}, unusual=True),
    ),
    Check(
        "feedback-repeated",
        Level.SHOULD,
        ("CH-120", "CH-121"),
        "The same report a second time is taken.",
        _takes(lambda subject, service: {"feedback": [_overridden(subject, service)]}, unusual=True),
    ),
    Check(
        "feedback-unknown-card",
        Level.SHOULD,
        ("CH-120",),
        "A report on a card the service does not know is taken, because the client cannot mend it.",
        _takes(lambda subject, _: {"feedback": [_entry(subject, str(uuid4()), "overridden")]}, unusual=True),
    ),
    Check(
        "feedback-unknown-members",
        Level.SHOULD,
        ("CH-007",),
        "Members the service does not know change nothing.",
        _takes(lambda subject, service: {"feedback": [_overridden(subject, service) | _STRANGE]}, unusual=True),
    ),
    Check(
        "feedback-not-json",
        Level.SHOULD,
        ("CH-120", "CH-047"),
        "A body that is no JSON is refused.",
        _refuses(lambda _subject, _service: b"{"),
    ),
    Check(
        "feedback-no-list",
        Level.SHOULD,
        ("CH-120", "CH-121"),
        "A body without the list `feedback` is refused.",
        _refuses(_accepted),
    ),
    Check(
        "feedback-no-card",
        Level.SHOULD,
        ("CH-120", "CH-122"),
        "A report that names no card is refused.",
        _refuses(_spoilt(card=None)),
    ),
    Check(
        "feedback-outcome",
        Level.SHOULD,
        ("CH-120", "CH-123"),
        "An outcome other than accepted and overridden is refused.",
        _refuses(_spoilt(outcome="ignored")),
    ),
    Check(
        "feedback-timestamp",
        Level.SHOULD,
        ("CH-120", "CH-126"),
        "A report without its time is refused.",
        _refuses(_spoilt(outcomeTimestamp=None)),
    ),
    Check(
        "feedback-unknown-service",
        Level.SHOULD,
        ("CH-048.404",),
        "Feedback for a service that is not there is answered with 404.",
        _unknown_service,
    ),
)
