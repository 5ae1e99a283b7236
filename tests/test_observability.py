"""Log lines: JSON, one per event, and nothing in them that must not be kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from cds_service.observability import HIDDEN, begin_call, configure_logging, logger, note_client, without_secrets
from tests.signing import claims, sign

TOKEN = sign(claims("https://ehr.example.org", "https://cds.example.org/cds-services"), "es")


Log = Callable[..., str]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """Logs an event as the service does and returns the line."""
    before = structlog.get_config()

    def write(event: str, **members: object) -> str:
        capsys.readouterr()
        configure_logging("info")
        logger().info(event, **members)
        return capsys.readouterr().err

    yield write
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "token",
        "access_token",
        "id_token",
        "cookie",
        "set_cookie",
        "password",
        "secret",
        "client_secret",
        "api_key",
        "x-api-key",
        "body",
        "prefetch",
        "patient",
        "patient_id",
        "patientId",
        "fhirAuthorization",
        "headers",
        "jwk",
        "credentials",
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_members_named_like_secrets_are_hidden(log: Log, name: str, nested: bool) -> None:
    """Wherever such a member is in an event, its value is not written."""
    value: object = {"deep": [{name: "s3cr3t"}]} if nested else "s3cr3t"
    line = log("event", **({"given": value} if nested else {name: value}))
    assert "s3cr3t" not in line
    assert HIDDEN in line


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"refused {TOKEN} of a client",
        f"Authorization: Bearer {TOKEN}",
        "Bearer s3cr3t.s3cr3t",
        "bearer s3cr3t+s3cr3t/==",
        "Basic s3cr3t",
        "see Patient/s3cr3t",
        "https://fhir.example.org/Patient/s3cr3t?x",
        "Condition?patient=Patient%2Fs3cr3t",
        "https://s3cr3t:s3cr3t@fhir.example.org",
    ],
)
def test_values_that_look_like_secrets_are_hidden(log: Log, text: str) -> None:
    """Tokens, credentials in addresses and references to patients are hidden in any text, however it is nested."""
    line = log(text, one=text, two=[text], three={"x": (text,)}, four=RuntimeError(text))
    assert "s3cr3t" not in line
    assert not any(part in line for part in TOKEN.split("."))
    assert len(line.splitlines()) == 1


def test_what_operators_need_stays(log: Log) -> None:
    """Identifiers, numbers, rules and issuers are written as they are."""
    begin_call("call-0123456789")
    note_client("ehr")
    members = {"cards": 2, "rules": ["R01-06", "PIT-02"], "issuer": "https://ehr.example.org", "ok": True, "none": None}
    line = json.loads(log("answered", **members))
    assert line.pop("timestamp")
    assert line.pop("process")
    assert line == {
        "event": "answered",
        "level": "info",
        "request_id": "call-0123456789",
        "client": "ehr",
        **members,
    }
    begin_call("call-9876543210")
    assert "client" not in json.loads(log("refused"))


@pytest.mark.usefixtures("log")
def test_lines_of_libraries_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """What the HTTP server logs on its own account, with arguments or a traceback, loses its secrets as well."""
    handler = logging.StreamHandler()
    library = logging.getLogger("gunicorn.error")
    library.addHandler(handler)
    try:
        configure_logging("info")
        library.error("bad header %s", f"Bearer {TOKEN}")
        try:
            raise RuntimeError(f"Bearer {TOKEN}")  # noqa: TRY301
        except RuntimeError:
            library.exception("failed")
    finally:
        library.removeHandler(handler)
    written = capsys.readouterr().err
    assert "bad header" in written
    assert "RuntimeError" in written
    assert not any(part in written for part in TOKEN.split("."))


def test_text_without_secrets_is_left_alone() -> None:
    """Ordinary messages are not touched."""
    for text in ("Needed to answer safely: conditions.", "client ehr, patient-view", "https://ehr.example.org/keys"):
        assert without_secrets(text) == text
