"""The alternative follow-up profiles of FUP-09: which interval each gives, and where it gives none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from cds_service.clinical.assess import assess
from cds_service.domain.facts import Facts
from cds_service.knowledge import Knowledge, Site, knowledge_at, load_knowledge
from cds_service.knowledge.site import SiteFollowup

AT: Final[dict[str, Knowledge]] = {
    profile: knowledge_at(Site(followup=SiteFollowup(profile=profile)))
    for profile in ("default", "commnets", "esmo", "norway")
}
RESECTED: Final = Facts(
    age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well", curative_resection=True
)
G1: Final[dict[str, Any]] = {"ki67_percent": 1.0, "mitoses": 0.0}
G2: Final[dict[str, Any]] = {"ki67_percent": 4.0, "mitoses": 3.0}
G3: Final[dict[str, Any]] = {"ki67_percent": 30.0, "mitoses": 25.0}
NEC: Final[dict[str, Any]] = {"ki67_percent": 70.0, "mitoses": 40.0, "differentiation": "poor"}
RECTUM: Final[dict[str, Any]] = {"primary_site": "rectum", "residual_disease": False, "recurrence": "none"}

Expected = tuple[float, float] | None
CASES: Final[tuple[tuple[str, str, dict[str, Any], Expected], ...]] = (
    ("commnets", "FUP-09.commnets.none", {**G1, "nodes": "negative", "size_mm": 19.9}, None),
    ("commnets", "FUP-09.commnets.nodes", {**G1, "nodes": "positive", "months_resection_to_last_imaging": 12.0}, None),
    ("commnets", "FUP-09.commnets.ki67", {**G2, "ki67_percent": 5.1, "nodes": "negative"}, None),
    (
        "commnets",
        "FUP-09.commnets.early",
        {**G2, "ki67_percent": 5.0, "months_resection_to_last_imaging": 29.9},
        (12, 12),
    ),
    ("commnets", "FUP-09.commnets.early", {**G1, "size_mm": 20.0, "months_resection_to_last_imaging": 12.0}, (12, 12)),
    ("commnets", "FUP-09.commnets.later", {**G2, "months_resection_to_last_imaging": 30.0}, (12, 24)),
    ("commnets", "FUP-09.commnets.first", {**G2, "months_since_resection": 3.0}, (12, 12)),
    ("commnets", "FUP-09.commnets.ended", {**G2, "months_since_resection": 120.1}, None),
    ("commnets", "FUP-09.commnets.open", {**G2, "months_since_last_imaging": 3.0}, None),
    ("esmo", "FUP-09.esmo.net", {**G1, "months_since_resection": 60.0}, (6, 12)),
    ("esmo", "FUP-09.esmo.net", {**G2, "months_since_resection": 2.0}, (6, 12)),
    ("esmo", "FUP-09.esmo.late", {**G2, "months_since_resection": 60.1}, (12, 24)),
    ("esmo", "FUP-09.esmo.nec", {**NEC, "months_since_resection": 10.0}, (2, 3)),
    ("esmo", "FUP-09.esmo.open", {**G3, "months_since_resection": 10.0}, None),
    ("esmo", "FUP-09.esmo.open", {**G1}, None),
    ("esmo", "FUP-09.esmo.none", {**G1, **RECTUM, "size_mm": 9.9, "months_since_resection": 10.0}, None),
    ("esmo", "FUP-09.esmo.net", {**G1, **RECTUM, "size_mm": 10.0, "months_since_resection": 10.0}, (6, 12)),
    ("norway", "FUP-09.norway.net-none-yet", {**G2, "months_since_resection": 2.0}, (6, 6)),
    ("norway", "FUP-09.norway.net-first-year", {**G3, "months_resection_to_last_imaging": 8.9}, (6, 6)),
    ("norway", "FUP-09.norway.net-yearly", {**G1, "months_resection_to_last_imaging": 9.0}, (12, 12)),
    ("norway", "FUP-09.norway.net-yearly", {**G1, "months_resection_to_last_imaging": 53.9}, (12, 12)),
    ("norway", "FUP-09.norway.net-two-yearly", {**G1, "months_resection_to_last_imaging": 54.0}, (24, 24)),
    ("norway", "FUP-09.norway.net-last", {**G1, "months_resection_to_last_imaging": 96.0}, (36, 36)),
    ("norway", "FUP-09.norway.net-ended", {**G1, "months_resection_to_last_imaging": 126.0}, None),
    ("norway", "FUP-09.norway.nec-none-yet", {**NEC, "months_since_resection": 2.0}, (3, 3)),
    ("norway", "FUP-09.norway.nec-first", {**NEC, "months_resection_to_last_imaging": 4.4}, (3, 3)),
    ("norway", "FUP-09.norway.nec-half-yearly", {**NEC, "months_resection_to_last_imaging": 4.5}, (6, 6)),
    ("norway", "FUP-09.norway.nec-half-yearly", {**NEC, "months_resection_to_last_imaging": 32.9}, (6, 6)),
    ("norway", "FUP-09.norway.nec-yearly", {**NEC, "months_resection_to_last_imaging": 33.0}, (12, 12)),
    ("norway", "FUP-09.norway.nec-ended", {**NEC, "months_resection_to_last_imaging": 54.0}, None),
    ("norway", "FUP-09.norway.open", {"months_resection_to_last_imaging": 12.0}, None),
    ("norway", "FUP-09.norway.net-yearly", {**G2, **RECTUM, "months_resection_to_last_imaging": 12.0}, (12, 12)),
)
ROWS: Final = [row.id for row in load_knowledge().rows.values() if row.rule_id == "FUP-09"]


@pytest.mark.parametrize(("profile", "row", "facts", "interval"), CASES)
def test_the_profile_gives_its_interval(profile: str, row: str, facts: dict[str, Any], interval: Expected) -> None:
    """Each row answers for its band, the limits of bands belong to the later one, and no interval is no status."""
    found = assess(replace(RESECTED, **facts), (), AT[profile]).followup
    assert (found.rule, found.row, found.interval_months) == ("FUP-09", row, interval)
    assert found.sstr_interval_months is None
    if interval is None:
        assert found.status == "not-evaluated"


def test_every_row_of_the_profiles_has_a_case() -> None:
    """No row of FUP-09 without a case, and no case of a row that is gone."""
    assert {row for _, row, _, _ in CASES} == set(ROWS)


@pytest.mark.parametrize("profile", ["commnets", "esmo", "norway"])
def test_treatment_goes_before_any_profile(profile: str) -> None:
    """FUP-12: imaging every 3 months under chemotherapy or targeted treatment, whatever the schedule of the site."""
    facts = replace(RESECTED, **G1, current_treatments=("targeted",), months_resection_to_last_imaging=12.0)
    found = assess(facts, (), AT[profile])
    assert (found.scenario, found.followup.rule) == ("pnet-post-resection-surveillance", "FUP-03")


@pytest.mark.parametrize("profile", ["commnets", "esmo", "norway"])
def test_what_a_profile_could_not_tell_is_missing(profile: str) -> None:
    """A resected patient of whom nothing else is known has no status, and what would give one is asked for."""
    found = assess(RESECTED, (), AT[profile])
    assert found.followup.status == "not-evaluated"
    assert {"months_since_resection", "months_resection_to_last_imaging"}.intersection(found.missing)


def test_only_one_profile_is_in_force() -> None:
    """The rows of a profile that the site did not choose never answer."""
    for profile, knowledge in AT.items():
        assert {rule.row.profile for rule in knowledge.followup} == {None, profile}
        assert set(knowledge.rows) == set(AT["default"].rows)
