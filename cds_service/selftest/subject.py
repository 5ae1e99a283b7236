"""The service under test: what it offers, what it answers to a good call, and how it is called otherwise."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from cds_service.selftest.example import example
from cds_service.selftest.findings import Finding, Skipped
from cds_service.selftest.wire import JSON, NOT_JSON, Got, Silence, Wire, path_of
from cds_service.store.base import SyntheticPatient

MOST_SERVICES: Final = 40
"""Services that are called; a longer list is looked at, but not called in full."""

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was told.

    Attributes:
        services: ids of the services to be called; empty for all.
        requests: bodies of calls, by hook, to be used instead of the synthetic patient.
        slow: seconds from which on an answer is called slow.
        origin: origin of a page that has to be let in; empty when none has to.
        tokens: whether calls without a good token have to be refused.
    """

    services: frozenset[str] = frozenset()
    requests: Mapping[str, Request] = field(default_factory=dict)
    feedback: bool = True
    slow: float = 0.5
    origin: str = ""
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of discovery that can be called."""

    id: str
    hook: str
    prefetch: Mapping[str, Any] = field(hash=False)


@dataclass(slots=True)
class Subject:
    """The service, with what was learnt about it so far.

    Attributes:
        discovery: the answer to discovery, which holds entries of services.
        patient: whom calls are about, unless a request is given.
        answers: what was answered to the first good call of each service.
    """

    wire: Wire
    wishes: Wishes
    discovery: Got
    patient: SyntheticPatient
    today: date
    answers: dict[Service, Got | Silence] = field(default_factory=dict, init=False)
    offers: dict[Service, Got | Silence] = field(default_factory=dict, init=False)
    """What was answered to the first feedback of each service."""

    def entries(self) -> list[Any]:
        """The entries of discovery, whatever they are."""
        return entries_of(self.discovery.content())

    def services(self) -> list[Service]:
        """The entries that can be called and are asked for."""
        found = [_service(entry) for entry in self.entries()]
        wanted = [each for each in found if each and (not self.wishes.services or each.id in self.wishes.services)]
        return wanted[:MOST_SERVICES]

    def request(self, service: Service) -> Request | None:
        """A good call with an instance of its own, free to be changed; None when the context of the hook is unknown."""
        given = self.wishes.requests.get(service.hook)
        if given is not None:
            return copy.deepcopy(given) | {"hookInstance": str(uuid4())}
        return example(self.patient, service.hook, service.prefetch, self.today)

    def request_about(self, patient: SyntheticPatient, service: Service) -> Request | None:
        """A good call about another patient; None where calls are given."""
        given = service.hook in self.wishes.requests
        return None if given else example(patient, service.hook, service.prefetch, self.today)

    def call(self, service: Service, body: Any, *, media: str = JSON) -> Got | Silence:
        """Call a service."""
        return self.wire.send("POST", path_of(service.id), body, media=media)

    def answer(self, service: Service) -> Got | Silence | Skipped:
        """The answer to the first good call."""
        if service not in self.answers:
            request = self.request(service)
            if request is None:
                return Skipped(service.id, f"no call is known for {service.hook}; give one with --request")
            self.answers[service] = self.call(service, request)
        return self.answers[service]

    def working(self) -> Iterator[tuple[Service, Request] | Skipped]:
        """The services that answer a good call with 200, each with another good call; of others, why not."""
        for service in self.services():
            got = self.answer(service)
            request = self.request(service)
            if isinstance(got, Skipped) or request is None:
                yield got if isinstance(got, Skipped) else Skipped(service.id, "no call is known")
            elif isinstance(got, Silence) or got.status != HTTPStatus.OK:
                yield Skipped(service.id, f"a good call was answered with: {got.told()}", hindered=True)
            else:
                yield service, request

    def bodies(self) -> Iterator[tuple[Service, dict[str, Any]] | Skipped]:
        """What good calls were answered with, as far as it can be read."""
        for item in self.working():
            if isinstance(item, Skipped):
                yield item
                continue
            got = self.answers[item[0]]
            content = got.content() if isinstance(got, Got) else NOT_JSON
            if isinstance(content, dict):
                yield item[0], content
            else:
                yield Skipped(item[0].id, "the answer to a good call is no JSON object", hindered=True)


def entries_of(content: Any) -> list[Any]:
    """What looks like entries of services, also where the object around them is missing."""
    listed = content.get("services") if isinstance(content, dict) else content
    return listed if isinstance(listed, list) else []


def is_discovery(content: Any) -> bool:
    """Whether this is discovery, perhaps not a correct one."""
    if isinstance(content, dict):
        return isinstance(content.get("services"), list)
    return any(isinstance(entry, dict) and "hook" in entry for entry in entries_of(content))


def place_of(entry: Any, number: int) -> str:
    """How an entry of discovery is named in a report."""
    named = entry.get("id") if isinstance(entry, dict) else None
    return named if isinstance(named, str) and named else f"services[{number}]"


def _service(entry: Any) -> Service | None:
    if not isinstance(entry, dict):
        return None
    identifier, hook, prefetch = (entry.get(name) for name in ("id", "hook", "prefetch"))
    if not isinstance(identifier, str) or not identifier or not isinstance(hook, str):
        return None
    return Service(identifier, hook, prefetch if isinstance(prefetch, dict) else {})


def answered_with(where: str, got: Got | Silence, ok: bool, expected: str) -> Finding | Skipped:
    """A finding about an answer; one that was not even asked for is none."""
    if isinstance(got, Silence) and not got.tried:
        return Skipped(where, got.why, hindered=True)
    return Finding(where, ok and isinstance(got, Got), got.told(), expected)


def ok(got: Got | Silence) -> bool:
    """Whether a call was answered with 200."""
    return isinstance(got, Got) and got.status == HTTPStatus.OK


def dumped(value: Any) -> str:
    """A value in one spelling, to be compared."""
    return json.dumps(value, sort_keys=True)
