"""A site file over HTTP: the answer follows it and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.errors import SiteError
from tests.calling import InProcess, MakeApp, assessment, post, synthetic_request, templates
from tests.validity import assert_valid_response

SITE = """
name = "North"
[studies]
unavailable = ["mri"]
[orders]
code_systems = ["cpt"]
[defaults]
duplicate_days = 14
"""


def test_the_answer_follows_the_site_file(make_app: MakeApp, tmp_path: Path) -> None:
    """What the site does not have is not suggested but named; its code system is written; its values are listed."""
    file = tmp_path / "site.toml"
    file.write_text(SITE, encoding="utf-8")
    service = InProcess(make_app(site_file=str(file)))
    request = synthetic_request("incidental-tail-lesion", "order-sign", templates(service))
    answer = post(service, "order-sign", request)
    card = assert_valid_response(answer, request)["cards"][0]
    created = [action["resource"] for action in card["suggestions"][0]["actions"] if action["type"] == "create"]
    assert [order["code"]["coding"] for order in created] == [
        [{"system": "http://www.ama-assn.org/go/cpt", "code": "74177"}]
    ]
    assert "not available here (site setting)" in card["detail"]
    site = assessment(answer)["knowledge"]["site"]
    assert (site["name"], site["settings"]) == ("North", {"duplicate_days": 14})


def test_a_service_with_a_wrong_site_file_does_not_start(make_app: MakeApp, tmp_path: Path) -> None:
    """Rather no service than one that silently ignores the policy."""
    file = tmp_path / "site.toml"
    file.write_text('[studies]\nsstr_tracer = "tracer-fdg"\n', encoding="utf-8")
    with pytest.raises(SiteError, match="sstr_tracer"):
        make_app(site_file=str(file))
