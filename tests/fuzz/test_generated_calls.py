"""Calls generated from the OpenAPI document, right and wrong ones, over the real server: it says what may be answered.

``FUZZ_EXAMPLES`` sets how many calls are generated for each operation; ``make fuzz`` runs several thousand.
"""

from __future__ import annotations

import os
import socket
from http import HTTPStatus
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts
from cds_service.web.openapi import document
from fhir_profiles.terminology import load_terminology
from hooks import SERVICES
from tests.builders import AS_OF
from tests.calling import OverHttp
from tests.conftest import NetworkForbiddenError

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Generated calls for each operation; 0 for the few, and the selection, of the usual run."""
FEW: Final = 8
THOROUGH: Final = ("pnet-order-sign", "pnet-appointment-book")
"""Services of whose calls every member is varied in the usual run as well."""
BEYOND_SCHEMAS: Final = {"artefact-unknown", "patient-mismatch", "fhir-version-unsupported", "prefetch-missing"}
"""Why a call that is right by its schema may still be refused."""
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


def documented() -> Any:
    """The document of the demo."""
    parts = Parts(load_knowledge(), load_terminology(), lambda: AS_OF, str, "http://127.0.0.1")
    quick = [] if EXAMPLES else [service.id for service in SERVICES if service.id not in THOROUGH]
    phases: dict[str, dict[str, Any]] = {name: {"coverage": {"enabled": False}} for name in quick}
    # the tool cannot draw some of the wrong lists it thinks of for tasks; wrong values of each member are tried anyway
    phases.setdefault("pnet-order-dispatch", {})["fuzzing"] = {"generation": {"mode": "positive"}}
    config = SchemathesisConfig.from_dict(
        {
            "generation": {"deterministic": True, "max-examples": EXAMPLES or FEW},
            "phases": {
                # what was answered does not change what is asked, so that every run is the same
                name: {"extra-data-sources": {"responses": False}}
                for name in ("examples", "fuzzing")
            },
            "operations": [{"include-path": f"/cds-services/{name}", "phases": held} for name, held in phases.items()],
        }
    )
    return schemathesis.openapi.from_dict(document(SERVICES, parts, demo=True, metrics=True), config=config)


def is_right(case: schemathesis.Case[Any]) -> bool:
    """Whether everything about the call is as the document says."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


@pytest.fixture(autouse=True)
def no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated names of FHIR servers are names of nothing."""
    look_up = socket.getaddrinfo

    def unknown(host: Any, *rest: Any, **more: Any) -> Any:
        try:
            return look_up(host, *rest, **more)
        except NetworkForbiddenError:
            raise socket.gaierror(socket.EAI_NONAME, "unknown") from None

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@documented().parametrize()  # type: ignore[untyped-decorator]
def test_every_answer_is_a_documented_one(case: schemathesis.Case[Any], live: OverHttp) -> None:
    """Whatever is sent: no failure of ours; status, content type, headers and body are those of the document.

    A call that is right by its schema is refused for what no schema can say, and for nothing else.
    """
    answer = case.call_and_validate(base_url=live.base, session=live.session, checks=CHECKS)
    if is_right(case) and case.method == "POST" and answer.status_code != HTTPStatus.OK:
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] in BEYOND_SCHEMAS, answer.text
