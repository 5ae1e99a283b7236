"""Two instances are one service: what one knows the other knows, and either can stop without anybody noticing."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import requests
from sqlalchemy import func, select

from cds_service.settings import Settings
from cds_service.store.tables import card, consult, feedback
from tests.deployment.conftest import LIMITED, SIGN, Deployment, ask, token
from tests.instance import Instance

DISCOVERY: Final = "/cds-services"
_CLIENTS: Final = 4
_PAUSE_SECONDS: Final = 0.02
_SOON_SECONDS: Final = 20
_TRUSTED_AGAIN_SECONDS: Final = 3
"""A second more than the proxy leaves an instance alone that did not answer."""


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true: records are in the database a moment after the answer."""
    until = time.monotonic() + _SOON_SECONDS
    while not what() and time.monotonic() < until:
        time.sleep(0.1)
    return what()


def test_a_token_used_at_one_instance_is_refused_by_the_other(deployment: Deployment) -> None:
    """CH-135: in whatever order they are asked, a token opens one door once."""
    one, other = deployment.instances
    for first, second in ((one, other), (other, one)):
        used = token(DISCOVERY)
        answers = [ask(instance.base, DISCOVERY, bearer=used).status_code for instance in (first, second, first)]
        assert answers == [HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED]


def test_calls_are_counted_together(deployment: Deployment) -> None:
    """Five calls are agreed: five are answered, whoever is asked, and the sixth by nobody."""
    one, other = deployment.instances
    asked = (one, other, other, one, other, one, other)
    got = [ask(instance.base, DISCOVERY, bearer=token(DISCOVERY, LIMITED)) for instance in asked]
    assert [answer.status_code for answer in got] == [HTTPStatus.OK] * 5 + [HTTPStatus.TOO_MANY_REQUESTS] * 2
    assert int(got[-1].headers["Retry-After"]) > 0


def test_feedback_on_a_card_of_the_other_instance(deployment: Deployment) -> None:
    """A card shown by one instance is known to the other one: the feedback stands beside it in the store."""
    one, other = deployment.instances
    shown = ask(one.base, SIGN, bearer=token(SIGN), body=deployment.call()).json()["cards"][0]
    path = f"{SIGN}/feedback"
    said = {"card": shown["uuid"], "outcome": "accepted", "outcomeTimestamp": datetime.now(UTC).isoformat()}
    taken = [{"id": shown["suggestions"][0]["uuid"]}]
    body = json.dumps({"feedback": [said | {"acceptedSuggestions": taken}]}).encode()
    assert ask(other.base, path, bearer=token(path), body=body).status_code == HTTPStatus.OK
    joined = select(func.count()).select_from(feedback.join(card, feedback.c.card_uuid == card.c.uuid))

    def kept() -> bool:
        with deployment.engine.connect() as connection:
            return connection.execute(joined.where(card.c.uuid == shown["uuid"])).scalar_one() == 1

    assert soon(kept)


def test_the_proxy_shows_the_service_and_nothing_behind_it(deployment: Deployment) -> None:
    """Numbers and probes stay inside; the log of the proxy has neither query nor token."""
    proxy = deployment.proxy
    bearer = token(DISCOVERY)
    answer = ask(proxy.base, f"{DISCOVERY}?secret=s3cr3t", bearer=bearer, verify=proxy.authority)
    assert answer.status_code == HTTPStatus.OK
    for path in ("/metrics", "/healthz", "/readyz", "/demo/patients", "/cds-services-of-others", "/"):
        assert requests.get(proxy.base + path, verify=proxy.authority, timeout=30).status_code == HTTPStatus.NOT_FOUND
    for path in ("/openapi.json", "/docs", "/guideline", "/fhir/metadata"):
        assert requests.get(proxy.base + path, verify=proxy.authority, timeout=30).status_code == HTTPStatus.OK
    log = proxy.log.read_text("utf-8")
    assert DISCOVERY in log
    assert answer.headers["X-Request-Id"] in log
    assert "s3cr3t" not in log
    assert bearer.split(".")[1] not in log
    refused = ask(proxy.base, DISCOVERY, bearer=bearer, verify=proxy.authority).headers["X-Request-Id"]
    assert refused in proxy.log.read_text("utf-8")
    assert any(refused in instance.log.read_text("utf-8") for instance in deployment.instances)


def test_a_token_too_long_is_refused_by_the_service_also_behind_the_proxy(deployment: Deployment) -> None:
    """The proxy has no answer of its own for it."""
    got = ask(deployment.proxy.base, DISCOVERY, bearer="x" * 20_000, verify=deployment.proxy.authority)
    assert (got.status_code, got.content) == (HTTPStatus.UNAUTHORIZED, b"")


def test_what_is_too_large_is_said_by_the_service(deployment: Deployment) -> None:
    """A body just over the limit passes the proxy and is refused as ever; the largest is read, and kept in memory."""
    proxy = deployment.proxy
    limit = Settings.model_fields["max_body_bytes"].default
    call = deployment.call()
    for size, slug in ((limit + 1, "body-too-large"), (limit, None)):
        body = call + b" " * (size - len(call))
        got = ask(proxy.base, SIGN, bearer=token(SIGN), body=body, verify=proxy.authority)
        assert got.status_code == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE if slug else HTTPStatus.OK)
        if slug:
            assert got.json()["issue"][0]["details"]["coding"][0]["code"] == slug
    assert "temporary file" not in proxy.errors.read_text("utf-8")


@dataclass
class Told:
    """What clients were answered."""

    cards: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)


def calling(deployment: Deployment, told: Told) -> None:
    """An EHR that calls through the proxy all the time, on one connection."""
    with requests.Session() as session:
        while not told.stop.is_set():
            try:
                got = ask(
                    deployment.proxy.base,
                    SIGN,
                    bearer=token(SIGN),
                    body=deployment.call(),
                    session=session,
                    verify=deployment.proxy.authority,
                )
            except requests.RequestException as error:
                told.seen[type(error).__name__] += 1
                continue
            told.seen[str(got.status_code)] += 1
            if got.ok:
                told.cards += [shown["uuid"] for shown in got.json()["cards"]]
            time.sleep(_PAUSE_SECONDS)


def restart(instance: Instance) -> None:
    """One step of a rolling restart, as docs/deployment.md describes it."""
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 0
    instance.start()
    time.sleep(_TRUSTED_AGAIN_SECONDS)


def nothing_waits(deployment: Deployment) -> bool:
    """Whether everything is in the database that was in the spools of the instances."""
    spools = [path for instance in deployment.instances for path in instance.spool.glob("*.spool")]
    return bool(spools) and sum(path.stat().st_size for path in spools) == 0


def consults(deployment: Deployment) -> dict[str, Any]:
    """What is recorded: consults by the moment of their end, and cards."""
    with deployment.engine.connect() as connection:
        return {
            "consults": connection.execute(select(func.count()).select_from(consult)).scalar_one(),
            "cards": set(connection.execute(select(card.c.uuid)).scalars()),
        }


def test_a_rolling_restart_under_load_loses_no_call_and_no_record(deployment: Deployment) -> None:
    """One instance after the other stops and starts, then both reload; clients see answers only, each recorded once."""
    assert soon(lambda: nothing_waits(deployment))
    before = consults(deployment)
    told = Told()
    threads = [threading.Thread(target=calling, args=(deployment, told)) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        for instance in deployment.instances:
            restart(instance)
        for instance in deployment.instances:
            instance.signal(signal.SIGHUP)
        time.sleep(3)
    finally:
        told.stop.set()
        for thread in threads:
            thread.join()
    assert set(told.seen) == {"200"}, (told.seen, deployment.proxy.errors.read_text("utf-8")[-2000:])
    assert soon(lambda: nothing_waits(deployment))
    after = consults(deployment)
    assert after["consults"] - before["consults"] == told.seen["200"]
    assert sorted(told.cards) == sorted(after["cards"] - before["cards"])
    for instance in deployment.instances:
        log = instance.log.read_text("utf-8")
        assert log.count('"reloaded"') == 1
        assert "not recorded" not in log
    assert told.seen["200"] > 100
