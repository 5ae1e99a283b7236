"""Two instances behind nginx, with PostgreSQL and Redis, all real and all on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import requests
from sqlalchemy import Engine

from cds_service.auth.keys import read_key_set
from cds_service.clients import Client
from cds_service.store.clients import GIVEN, open_clients
from cds_service.store.connect import open_engine
from cds_service.store.migrate import migrate
from tests.calling import synthetic_request
from tests.instance import Instance, running
from tests.postgres import PostgresServer
from tests.proxy import Proxy, running_proxy
from tests.redis_server import running_redis
from tests.signing import claims, key_set, public_jwk, sign

PUBLIC: Final = "https://cds.example.org"
SIGN: Final = "/cds-services/pnet-order-sign"
EHR: Final = "ehr"
LIMITED: Final = "limited"


@dataclass(frozen=True)
class Deployment:
    """What an operator has."""

    instances: tuple[Instance, Instance]
    proxy: Proxy
    engine: Engine
    body: bytes

    def call(self) -> bytes:
        """A call of an EHR about an order; every one is another."""
        return json.dumps(json.loads(self.body) | {"hookInstance": str(uuid4())}).encode()


def token(path: str, client: str = EHR) -> str:
    """A token of a client for a path, good for one call."""
    return sign(claims(f"https://{client}.example.org", PUBLIC + path), client)


def ask(
    base: str, path: str, *, bearer: str, body: bytes | None = None, session: Any = requests, **more: Any
) -> requests.Response:
    """A call with a token."""
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    method = "GET" if body is None else "POST"
    answer: requests.Response = session.request(method, base + path, data=body, headers=headers, timeout=30, **more)
    return answer


def register(url: str) -> None:
    """Two clients, one of which may call five times a day."""
    clients = open_clients(url)
    for client in (
        Client(EHR, f"https://{EHR}.example.org"),
        Client(LIMITED, f"https://{LIMITED}.example.org", rate_limit="5/day"),
    ):
        clients.add(client)
        clients.give_keys(client.id, read_key_set(key_set(public_jwk(client.id)), GIVEN).keys)
    clients.release()


@pytest.fixture(scope="module")
def deployment(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, advertised: dict[str, dict[str, str]]
) -> Iterator[Deployment]:
    """Everything runs."""
    folder: Path = tmp_path_factory.mktemp("deployment")
    url = postgres.new_database()
    engine = open_engine(url)
    migrate(engine)
    register(url)
    with ExitStack() as stack:
        settings = {
            "PNET_CDS_DATABASE_URL": url,
            "PNET_CDS_PUBLIC_URL": PUBLIC,
            "PNET_CDS_RATE_LIMIT": "9999/second",
            "PNET_CDS_RATE_LIMIT_STORAGE": stack.enter_context(running_redis(folder)).url,
            "PNET_CDS_TRUSTED_PROXIES": "1",
        }
        one, two = ({**settings, "PNET_CDS_SPOOL_DIR": str(folder / name)} for name in ("one", "two"))
        instances = (Instance(folder, one), Instance(folder, two))
        for instance in instances:
            stack.enter_context(running(instance))
        proxy = stack.enter_context(running_proxy(folder, [instance.port for instance in instances]))
        body = json.dumps(synthetic_request("incidental-tail-lesion", "order-sign", advertised)).encode()
        yield Deployment(instances, proxy, engine, body)
    engine.dispose()
