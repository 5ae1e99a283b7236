"""TNM categories and stage groups from the staging tables.

For each system the rows of an axis are tried in order; the first one known to be true is the category. A row before it
that is unknown only reports what is missing, so "at least T2" is said, and a smaller category is never assumed from
silence. Unknown metastases give no stage (TNM-25).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cds_service.clinical.conditions import evaluate
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Stage
from cds_service.knowledge.model import Knowledge, NodeStation, Row, Rule, StagingRow

SITE_NOT_STATED = "site-not-stated"
_CARCINOMA_GRADES = ("NEC", "MiNEN")
READS = frozenset(
    {
        "primary_site",
        "nen_status",
        "differentiation",
        "grade_2019",
        "diagnosis_year",
        "pancreas_subsite",
        "metastases",
        "nodes",
        "recorded_t",
        "recorded_edition",
    }
)
"""What decides about systems, stations and the recorded T, beside what the rows of the tables test."""


@dataclass(frozen=True, slots=True)
class Staging:
    """Categories and stage per system, with the rows applied and what was missing."""

    tnm: Mapping[str, Stage]
    primary_system: str | None
    rows: tuple[Row, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Facts that could have changed a category, by the rule that asks for them."""
    distant_metastases: bool | None = None
    """Whether there is distant disease: regional nodes named among the sites are not (TNM-22)."""


class _Axis:
    """Outcome of one axis of one system; ``missing`` pairs a rule with a fact it lacked."""

    __slots__ = ("missing", "row", "value")

    def __init__(self, rules: Iterable[Rule[StagingRow]], situation: Mapping[str, Any]) -> None:
        self.row: StagingRow | None = None
        self.missing: list[tuple[str, str]] = []
        for rule in rules:
            outcome = evaluate(rule.condition, situation)
            if outcome.value:
                self.row = rule.row
                break
            self.missing += [(rule.row.rule_id, name) for name in outcome.lacking]
        self.value = self.row.value if self.row else None


def staging(facts: Facts, situation: Mapping[str, Any], knowledge: Knowledge) -> Staging:
    """Stage in every system that has a table for the site and applies to the differentiation (TNM-34)."""
    site = facts.primary_site
    if site is None or facts.nen_status not in ("confirmed", "highly-suspected"):
        return Staging({}, None)
    systems = [system for system in _applicable(situation, site, knowledge) if (site, system, "T") in knowledge.staging]
    seen = dict(situation) | _nodes_by_station(facts, knowledge)
    tnm: dict[str, Stage] = {}
    rows: list[Row] = []
    missing: list[tuple[str, str]] = []
    for system in systems:
        tnm[system] = _stage(site, system, seen, knowledge, rows, missing)
    if systems:
        rows.append(knowledge.applicability)
    if any(stage.m is None for stage in tnm.values()):
        rows.append(knowledge.rows["TNM-25"])
    if _undecided_stations(facts, knowledge):
        missing = [(rule, _open_by_part(name, facts)) for rule, name in missing]
        missing.append((knowledge.nodes.rule_id, "pancreas_subsite"))
    primary = _primary(facts, situation, tnm, knowledge)
    return Staging(tnm, primary, tuple(rows), _by_rule(missing), _distant(seen.get("metastases"), tnm))


def _distant(metastases: tuple[str, ...] | None, tnm: Mapping[str, Stage]) -> bool | None:
    if any((stage.m or "").startswith("M1") for stage in tnm.values()):
        return True
    return None if metastases is None else bool(metastases)


def _by_rule(missing: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for rule, name in missing:
        found.setdefault(rule, {})[name] = None
    return {rule: tuple(names) for rule, names in found.items()}


def _applicable(situation: Mapping[str, Any], site: str, knowledge: Knowledge) -> list[str]:
    row = knowledge.applicability
    if is_carcinoma(situation):
        return row.carcinoma if site == "pancreas" else []
    if situation.get("grade_2019") == "high-grade-undetermined":
        return row.undetermined
    return row.net


def is_carcinoma(situation: Mapping[str, Any]) -> bool:
    """NEC or mixed neoplasm: outside the NET chapters."""
    return situation.get("differentiation") in ("poor", "mixed") or situation.get("grade_2019") in _CARCINOMA_GRADES


def _primary(facts: Facts, situation: Mapping[str, Any], tnm: Mapping[str, Stage], knowledge: Knowledge) -> str | None:
    """The system shown first (TNM-35), if it was computed at all."""
    row = knowledge.primary_system
    if is_carcinoma(situation):
        system = row.carcinoma
    elif facts.diagnosis_year is None:
        system = row.default
    else:
        system = next(band.system for band in row.years if band.holds(facts.diagnosis_year))
    return system if system in tnm else None


def _nodes_by_station(facts: Facts, knowledge: Knowledge) -> dict[str, Any]:
    """Count celiac and porta-hepatis nodes as regional or distant by the part of the pancreas (TNM-22).

    A station whose meaning is open is neither, and leaves open what it could change: regional nodes recorded as
    negative, and beside the liver alone the subcategory of M1 (TNM-24).
    """
    if not _named_stations(facts, knowledge):
        return {}
    regional = _stations_for(facts, knowledge.nodes.regional)
    undecided = _undecided_stations(facts, knowledge)
    others = tuple(site for site in facts.metastases or () if site not in regional)
    nodes = "positive" if regional else facts.nodes
    if not undecided:
        return {"metastases": others, "nodes": nodes}
    if nodes == "negative":
        nodes = None
    rest = tuple(site for site in others if site not in undecided)
    if rest == ("liver",):
        rest = (*rest, SITE_NOT_STATED)
    return {"metastases": rest or None, "nodes": nodes}


def _named_stations(facts: Facts, knowledge: Knowledge) -> frozenset[str]:
    """Node stations among the sites of a pancreatic tumour."""
    if facts.primary_site != "pancreas":
        return frozenset()
    stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
    return frozenset(stations.intersection(facts.metastases or ()))


def _stations_for(facts: Facts, entries: Iterable[NodeStation]) -> set[str]:
    """The named stations among the entries that hold for the part of the pancreas."""
    return {entry.site for entry in entries if facts.pancreas_subsite in entry.subsites}.intersection(
        facts.metastases or ()
    )


def _open_by_part(name: str, facts: Facts) -> str:
    """What to ask for when a fact on record was left open by a station: the part of the pancreas."""
    return name if getattr(facts, name) is None else "pancreas_subsite"


def _undecided_stations(facts: Facts, knowledge: Knowledge) -> frozenset[str]:
    """Named stations of which neither regional nor distant can be claimed."""
    decided = _stations_for(facts, (*knowledge.nodes.distant, *knowledge.nodes.regional))
    return _named_stations(facts, knowledge) - decided


def _stage(
    site: str,
    system: str,
    situation: Mapping[str, Any],
    knowledge: Knowledge,
    rows: list[Row],
    missing: list[tuple[str, str]],
) -> Stage:
    t, n, m = (_Axis(knowledge.staging.get((site, system, axis), ()), situation) for axis in ("T", "N", "M"))
    for axis in (t, n, m):
        missing += axis.missing
        if axis.row:
            rows.append(axis.row)
    t_value, as_recorded = t.value or "TX", False
    if t.value is None and _recorded_fits(situation, system, knowledge):
        t_value, as_recorded = situation["recorded_t"], True
    n_value = n.value or "NX"
    group, row = stage_group(site, system, t_value, n_value, m.value, knowledge)
    if_m0 = None
    if m.value is None:
        if_m0, row = stage_group(site, system, t_value, n_value, "M0", knowledge)
    if row:
        rows.append(row)
    count_unknown = n.value == "N1" and any(name == "nodes_positive_count" for _, name in n.missing)
    return Stage(t_value, n_value, m.value, group, if_m0, as_recorded, count_unknown)


def _recorded_fits(situation: Mapping[str, Any], system: str, knowledge: Knowledge) -> bool:
    """A recorded T is used for the edition it was recorded in; without an edition, for the current default only."""
    if situation.get("recorded_t") is None:
        return False
    return system == (situation.get("recorded_edition") or knowledge.primary_system.default)


def stage_group(
    site: str, system: str, t: str, n: str, m: str | None, knowledge: Knowledge
) -> tuple[str | None, Row | None]:
    """Stage group and the row that gives it; a combination without a row cannot be grouped."""
    if m is None:
        return None, None
    for rule in knowledge.staging.get((site, system, "stage"), ()):
        row = rule.row
        if (not row.t or t in row.t) and (not row.n or n in row.n) and (not row.m or m in row.m):
            return row.value, row
    return None, None
