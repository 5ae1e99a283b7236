"""Every T with every N and M has one stage group, and none exactly where the specification has none.

Rules TNM-30 to TNM-33 and TNM-57 to TNM-61.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from cds_service.clinical.staging import stage_group
from cds_service.domain.terms import STAGING_SYSTEMS
from cds_service.knowledge.model import Knowledge
from cds_service.proof.findings import Trial
from cds_service.proof.specified import KINDS, specified

NO_ROW: Final = {"T": {"TX", "T0"}, "N": {"NX"}, "M": set[str]()}
"""Categories that an axis may have without a row that gives them."""


def groups(trial: Trial, knowledge: Knowledge) -> set[tuple[str, str]]:
    """Try every site in every system that it has; the rows that gave a group, by site."""
    return {(site, row) for site, system in _tables() for row in _groups(trial, site, system, knowledge)}


def _tables() -> Iterator[tuple[str, str]]:
    """Every site with every system that it has for some kind of tumour."""
    for site in specified().sites:
        for system in STAGING_SYSTEMS:
            if any(system in specified().systems(site, kind) for kind in KINDS):
                yield site, system


def _groups(trial: Trial, site: str, system: str, knowledge: Knowledge) -> set[str]:
    """Every T with every N and M: one group, none exactly where the specification has none; the rows that gave one."""
    rule, open_pairs = specified().no_stage(site, system)
    fired: set[str] = set()
    for t, n, m in product(*(_categories(site, system, axis, knowledge) for axis in NO_ROW)):
        trial.covered()
        found, row = stage_group(site, system, t, n, m, knowledge)
        if row:
            fired.add(row.id)
        told = {"primary_site": site, "system": system, "T": t, "N": n, "M": m}
        if m != "M0":
            trial.expect(found == "IV", told, "IV", found or "undetermined", [rule])
            continue
        is_open = f"{t} {n}" in open_pairs
        trial.expect(found is None or not is_open, told, "undetermined", found, [rule])
        trial.expect(found is not None or is_open, told, "a stage group", "undetermined", [rule])
        _one_group(trial, site, system, told, knowledge)
    return fired


def _categories(site: str, system: str, axis: str, knowledge: Knowledge) -> list[str]:
    """What an axis can say: the values of its rows, and those that have no row."""
    said = {rule.row.value for rule in knowledge.staging.get((site, system, axis), ())}
    bare = {value[:-1] for value in said if value[-1:].isalpha() and value[1:2].isdigit() and axis == "T"}
    return sorted(said | bare | NO_ROW[axis])


def _one_group(trial: Trial, site: str, system: str, told: Mapping[str, Any], knowledge: Knowledge) -> None:
    """No two rows give different groups to the same categories."""
    given: dict[str, str] = {}
    for rule in knowledge.staging.get((site, system, "stage"), ()):
        row = rule.row
        if all(not names or told[axis] in names for axis, names in (("T", row.t), ("N", row.n), ("M", row.m))):
            given[row.id] = row.value
    trial.expect(len(set(given.values())) <= 1, told, "one stage group", ", ".join(given.values()), given)
