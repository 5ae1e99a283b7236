"""What surrounds every call: browser pages, rates, headers, identifiers, proxies, and how the service starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.auth.keys import read_key_set
from cds_service.clients import Client, PamaPlacement
from cds_service.errors import SettingsError, SiteError, StoreError
from cds_service.settings import Settings, load_settings
from cds_service.store.clients import GIVEN, SqlClients, open_clients
from cds_service.store.tables import consult, feedback
from tests.calling import synthetic_request
from tests.signing import claims, key_set, public_jwk, sign

PUBLIC: Final = "https://cds.example.org"
DISCOVERY: Final = f"{PUBLIC}/cds-services"
PAGE: Final = "https://pages.example.org"
OTHER: Final = "https://other.example.org:8443"


@dataclass(frozen=True)
class Protected:
    """A protected service in this process, and its clients."""

    url: str
    clients: SqlClients

    def app(self, **settings: Any) -> Flask:
        """The application with some settings."""
        given = {"demo": False, "database_url": self.url, "public_url": PUBLIC, **settings}
        return create_app(Settings(**given))

    def register(self, name: str, **settings: Any) -> None:
        """Register a client whose one key has its name."""
        self.clients.add(Client(name, f"https://{name}.example.org", **settings))
        self.clients.give_keys(name, read_key_set(key_set(public_jwk(name)), GIVEN).keys)


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Protected]:
    """Two clients, each with pages of its own."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    made = Protected(url, open_clients(url))
    made.register("ehr", cors_origins=(PAGE,))
    made.register("two", cors_origins=(OTHER,))
    made.register("off", cors_origins=("https://off.example.org",), enabled=False)
    yield made
    made.clients.release()


def get(app: Flask, client: str | None = None, path: str = "/cds-services", **headers: str) -> TestResponse:
    """A call, with a token of a client if one is named."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if client:
        given["Authorization"] = f"Bearer {sign(claims(f'https://{client}.example.org', PUBLIC + path), client)}"
    return app.test_client().get(path, headers=given)


def preflight(app: Flask, origin: str, path: str = "/cds-services", **headers: str) -> TestResponse:
    """What a browser asks before a page may call."""
    given = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return app.test_client().options(path, headers=given)


def slug(answer: TestResponse) -> str:
    """The identifier of an error."""
    return str(json.loads(answer.data)["issue"][0]["details"]["coding"][0]["code"])


# --- browser pages ----------------------------------------------------------------------------------------------------

PATHS: Final = ("/cds-services", "/cds-services/pnet-order-sign", "/cds-services/pnet-order-sign/feedback")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [PAGE, OTHER])
def test_a_page_of_a_client_may_ask(protected: Protected, path: str, origin: str) -> None:
    """CH-140, CH-141: the preflight needs no token; it allows the methods and headers clients use,
    and no credentials.
    """
    got = preflight(protected.app(), origin, path)
    assert (got.status_code, got.data) == (204, b"")
    assert got.headers["Access-Control-Allow-Origin"] == origin
    assert got.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
    assert {"authorization", "content-type", "accept"} <= set(
        got.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    )
    assert "Access-Control-Allow-Credentials" not in got.headers
    assert "Origin" in got.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    ["https://pages.example.org.attacker.org", "http://pages.example.org", "https://off.example.org", "null", "*", ""],
)
def test_other_pages_may_not(protected: Protected, origin: str) -> None:
    """CH-141: an origin that no enabled client is registered with is not allowed, and not reflected."""
    got = preflight(protected.app(), origin)
    assert "Access-Control-Allow-Origin" not in got.headers
    assert "Access-Control-Allow-Methods" not in got.headers


def test_a_page_reads_answers_of_its_own_client_only(protected: Protected) -> None:
    """With a token of a client its own pages may read the answer; those of another client may not."""
    app = protected.app()
    assert get(app, "ehr", Origin=PAGE).headers["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Origin" not in get(app, "ehr", Origin=OTHER).headers
    assert get(app, "ehr").headers["Vary"] == "Origin"


def test_a_page_reads_refusals_as_well(protected: Protected) -> None:
    """CH-141: a page is told that its call was refused, instead of seeing a failure of the network."""
    app = protected.app()
    refused = get(app, Origin=PAGE)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, PAGE)
    missing = get(app, "ehr", path="/cds-services/none/feedback/none", Origin=PAGE)
    assert (missing.status_code, missing.headers["Access-Control-Allow-Origin"]) == (404, PAGE)


def test_other_paths_have_no_cors(protected: Protected) -> None:
    """Pages have no business with the paths for operators."""
    assert "Access-Control-Allow-Origin" not in get(protected.app(), path="/readyz", Origin=PAGE).headers


@pytest.mark.parametrize("path", PATHS)
def test_every_page_may_call_the_demo(app: Flask, path: str) -> None:
    """CH-140: the public CDS Hooks sandbox works with the demo, also from the public network to this machine."""
    got = preflight(app, "https://sandbox.cds-hooks.org", path, Access_Control_Request_Private_Network="true")
    assert got.status_code == 204
    assert got.headers["Access-Control-Allow-Origin"] == "*"
    assert got.headers["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Credentials" not in got.headers
    assert get(app, Origin="https://sandbox.cds-hooks.org").headers["Access-Control-Allow-Origin"] == "*"


# --- rates ------------------------------------------------------------------------------------------------------------


def test_a_client_has_the_rate_agreed(protected: Protected) -> None:
    """CH-048.429: the call after the last is answered with 429, when to come back, and a body; other clients are not
    held up.
    """
    protected.register("slow", rate_limit="3/hour")
    app = protected.app(rate_limit="5/hour")
    assert [get(app, "slow").status_code for _ in range(4)] == [200, 200, 200, 429]
    got = get(app, "slow", Origin=PAGE)
    assert 0 < int(got.headers["Retry-After"]) <= 3601
    assert slug(got) == "rate-limited"
    assert got.headers["X-Request-Id"]
    assert [get(app, "ehr").status_code for _ in range(6)] == [200] * 5 + [429]


def test_strangers_are_counted_by_address(protected: Protected) -> None:
    """Calls that prove nothing count against the address they come from, also those to paths that do not exist."""
    app = protected.app(rate_limit="3/hour")
    paths = ("/cds-services", "/cds-services/none", "/cds-services/a/b/c", "/cds-services")
    assert [get(app, path=path).status_code for path in paths] == [401, 401, 401, 429]
    assert get(app, "ehr").status_code == 200
    assert get(app, path="/readyz").status_code == 200


def test_a_changed_rate_holds_at_once(protected: Protected) -> None:
    """The rate of a client is that of its registration at the moment of the call."""
    app = protected.app(rate_limit="100/hour")
    assert get(app, "ehr").status_code == 200
    protected.clients.change(Client("ehr", "https://ehr.example.org", rate_limit="1/day"))
    assert [get(app, "ehr").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("storage", ["nowhere://", "memcached://x", "text"])
def test_a_place_to_count_that_there_is_not_is_said(protected: Protected, storage: str) -> None:
    """The service does not start without the counter it was told to use."""
    with pytest.raises(SettingsError, match="PNET_CDS_RATE_LIMIT_STORAGE"):
        protected.app(rate_limit_storage=storage)


# --- headers and identifiers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/readyz", "/cds-services", "/none"])
def test_every_answer_is_hardened(protected: Protected, path: str) -> None:
    """Nothing is guessed, framed, referred to or kept; browsers come back over TLS."""
    got = get(protected.app(), "ehr", path)
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert got.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert got.headers["Strict-Transport-Security"] == "max-age=31536000"
    expected = "private, max-age=300" if path == "/cds-services" else "no-store"
    assert got.headers["Cache-Control"] == expected


def test_plain_http_promises_no_tls(app: Flask) -> None:
    """Without a public address over https browsers are not told to insist on it."""
    assert "Strict-Transport-Security" not in get(app, path="/").headers


@pytest.mark.parametrize("given", ["call-0123456789", "A.b_c-12", "x" * 64])
def test_an_identifier_that_is_given_comes_back(app: Flask, given: str) -> None:
    """A safe identifier of the caller is kept, in the answer and in the log."""
    assert get(app, X_Request_Id=given).headers["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "with space in it", "<script>alert</script>", "-starts-wrong"]
)
def test_another_identifier_is_replaced(app: Flask, given: str) -> None:
    """Whatever could do harm in a log or a header is replaced by an identifier of our own."""
    first, second = (get(app, X_Request_Id=given).headers["X-Request-Id"] for _ in range(2))
    assert given not in {first, second}
    assert first != second


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_forwarding_headers_are_not_believed(protected: Protected) -> None:
    """CH-002: without a proxy configured nobody gets a fresh count by naming another address."""
    app = protected.app(rate_limit="2/hour")
    codes = [get(app, X_Forwarded_For=f"198.51.100.{number}").status_code for number in range(3)]
    assert codes == [401, 401, 429]


def test_a_configured_proxy_is_believed(protected: Protected) -> None:
    """CH-002: with one proxy the last address it added counts; what the caller wrote before it does not."""
    app = protected.app(rate_limit="2/hour", trusted_proxies=1)
    codes = [get(app, X_Forwarded_For=f"198.51.100.{number}, 203.0.113.9").status_code for number in range(3)]
    assert codes == [401, 401, 429]
    assert get(app, X_Forwarded_For="203.0.113.10").status_code == 401


# --- starting ---------------------------------------------------------------------------------------------------------


def test_nobody_could_call_without_a_client(tmp_path: Path) -> None:
    """CH-130: without a client that is enabled and has a key the service does not start, and says what to do."""
    url = f"sqlite:///{tmp_path}/store.sqlite"
    made = Protected(url, open_clients(url))
    with pytest.raises(SettingsError, match="pnet-cds client add"):
        made.app()
    made.clients.add(Client("bare", "https://bare.example.org"))
    made.register("off", enabled=False)
    with pytest.raises(SettingsError, match="pnet-cds client add"):
        made.app()
    made.register("ehr")
    assert get(made.app()).status_code == 401
    made.clients.release()


def test_tokens_need_a_public_address(protected: Protected) -> None:
    """CH-133: without the address tokens are issued for the service does not start outside demo mode."""
    with pytest.raises(SettingsError, match="PNET_CDS_PUBLIC_URL"):
        protected.app(public_url=None)


@pytest.mark.parametrize(
    "url",
    [
        "http://cds.example.org",
        "cds.example.org",
        "https://",
        "https://u:p@cds.example.org",
        "https://x/?q",
        "https://x/#f",
        "https://x:99999",
        "https://x y",
        "ftp://x",
        "https://ünïcode.example.org",
        "",
    ],
)
def test_a_public_address_is_one(url: str) -> None:
    """CH-002: plain http (but on this machine), credentials, queries and fragments are refused by name."""
    with pytest.raises(SettingsError, match="PNET_CDS_PUBLIC_URL"):
        load_settings(public_url=url)


@pytest.mark.parametrize("url", ["https://cds.example.org/", "https://cds.example.org//", "https://cds.example.org"])
def test_a_public_address_has_one_spelling(url: str) -> None:
    """Slashes at the end make no difference."""
    assert load_settings(public_url=url).public_url == PUBLIC
    assert load_settings(public_url="http://127.0.0.1:8080/").public_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("rate", ["600", "0/minute", "600/fortnight", "600 per minute", "1/minute;2/hour", "-1/day"])
def test_a_rate_is_one(rate: str) -> None:
    """A rate of another form is refused by name."""
    with pytest.raises(SettingsError, match="PNET_CDS_RATE_LIMIT"):
        load_settings(rate_limit=rate)


# --- the client's own site --------------------------------------------------------------------------------------------


def test_each_client_is_answered_by_its_own_site(
    protected: Protected, tmp_path: Path, advertised: dict[str, dict[str, str]]
) -> None:
    """The policy of the client that calls decides; the other client gets that of the service."""
    file = tmp_path / "site.toml"
    file.write_text('name = "North"\n[studies]\nunavailable = ["mri"]\n', encoding="utf-8")
    protected.register("north", site_file=str(file))
    app = protected.app()
    path = "/cds-services/pnet-order-sign"
    body = json.dumps(synthetic_request("incidental-tail-lesion", "order-sign", advertised))

    def ask(client: str) -> str:
        token = sign(claims(f"https://{client}.example.org", PUBLIC + path), client)
        headers = {"Authorization": f"Bearer {token}"}
        got = app.test_client().post(path, data=body, content_type="application/json", headers=headers)
        assert got.status_code == 200
        return str(got.get_json()["cards"][0]["detail"])

    for _ in range(2):
        assert "not available here (site setting)" in ask("north")
        assert "not available here" not in ask("ehr")


def test_each_client_finds_ratings_where_it_looks(protected: Protected, advertised: dict[str, dict[str, str]]) -> None:
    """PM-012: the placement a client is registered with, and not that of the demo."""
    protected.register("sandbox", pama=PamaPlacement.ARGONAUT)
    app = protected.app()
    path = "/cds-services/pnet-order-sign"
    body = json.dumps(synthetic_request("incidental-tail-lesion", "order-sign", advertised))
    places: dict[str, tuple[bool, bool]] = {}
    for client in ("sandbox", "ehr"):
        token = sign(claims(f"https://{client}.example.org", PUBLIC + path), client)
        headers = {"Authorization": f"Bearer {token}"}
        got = app.test_client().post(path, data=body, content_type="application/json", headers=headers).get_json()
        places[client] = ("systemActions" in got, "systemActions" in got["extension"])
    assert places == {"sandbox": (False, True), "ehr": (True, False)}


def test_a_site_file_that_is_gone_is_not_replaced_by_another(protected: Protected, tmp_path: Path) -> None:
    """Rather no answer than one by a policy that is not the client's: at the start, and for a client added later."""
    gone = str(tmp_path / "gone.toml")
    app = protected.app()
    protected.register("late", site_file=gone)
    path = "/cds-services/pnet-order-sign"
    headers = {"Authorization": f"Bearer {sign(claims('https://late.example.org', PUBLIC + path), 'late')}"}
    with capture_logs():
        got = app.test_client().post(path, data=b"{}", content_type="application/json", headers=headers)
    assert (got.status_code, slug(got)) == (500, "site-invalid")
    with pytest.raises(SiteError):
        protected.app()


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_consults_and_feedback_name_their_client(protected: Protected, advertised: dict[str, dict[str, str]]) -> None:
    """Who was answered, and who reported back, is on record under the name the client is registered with."""
    app = protected.app(store_mode="strict")
    body = json.dumps(synthetic_request("incidental-tail-lesion", "order-sign", advertised))
    path = "/cds-services/pnet-order-sign"

    def post(path: str, content: str) -> TestResponse:
        token = sign(claims("https://ehr.example.org", PUBLIC + path), "ehr")
        headers = {"Authorization": f"Bearer {token}"}
        return app.test_client().post(path, data=content, content_type="application/json", headers=headers)

    card = post(path, body).get_json()["cards"][0]["uuid"]
    outcome = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-25T12:00:00Z"}
    assert post(f"{path}/feedback", json.dumps({"feedback": [outcome]})).status_code == 200
    with protected.clients.engine.connect() as connection:
        assert connection.execute(select(consult.c.client)).scalars().all() == ["ehr"]
        assert connection.execute(select(feedback.c.client)).scalars().all() == ["ehr"]


class _Broken:
    """Clients that cannot be read once the service runs."""

    def __init__(self, working: SqlClients) -> None:
        self.all, self.release = working.all, working.release

    def with_issuer(self, _issuer: str) -> None:
        raise StoreError("The clients could not be read.")

    def origins(self) -> frozenset[str]:
        raise StoreError("The clients could not be read.")


def test_a_store_that_fails_lets_nobody_in(protected: Protected) -> None:
    """CH-048.500: when it cannot be found out who calls, nobody is let in, and the answer says it is not the caller's
    fault.
    """
    settings = Settings(demo=False, database_url=protected.url, public_url=PUBLIC)  # type: ignore[call-arg]
    app = create_app(settings, clients=_Broken(protected.clients))  # type: ignore[arg-type]
    with capture_logs():
        got = get(app, "ehr", Origin=PAGE)
    assert (got.status_code, slug(got)) == (503, "store-unavailable")
    assert "Access-Control-Allow-Origin" not in got.headers
    assert preflight(app, PAGE).status_code == 204
