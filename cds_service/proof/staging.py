"""T, N, M and stage are total over their inputs; undetermined only where the specification says so (TNM rules).

Every axis is tried over all states of the facts its rows read, with the other axes fixed; then one state of each kind
found so is combined with those of the other axes, which shows that the axes do not disturb one another. What may be
undetermined is read from ``undetermined.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from cds_service.clinical.conditions import evaluate
from cds_service.clinical.situation import patient_situation, with_defaults
from cds_service.clinical.staging import Staging, stage_group
from cds_service.clinical.staging import staging as staged
from cds_service.domain.facts import FACTS, Facts
from cds_service.domain.findings import Stage
from cds_service.knowledge.model import Condition, Knowledge, Op, Test
from cds_service.proof.axes import Axes, axes, limits, numbers
from cds_service.proof.explore import Failed, attempt, grid
from cds_service.proof.findings import Proof, Trial
from cds_service.proof.groups import groups
from cds_service.proof.specified import Specified, specified

State = dict[str, Any]

NO_VALUE: Final = (None, "TX", "NX")
TUMOURS: Final[Mapping[str, State]] = {
    "net": {"differentiation": "well"},
    "carcinoma": {"differentiation": "poor"},
    "undetermined": {"grade_2019": "high-grade-undetermined"},
}
"""A tumour of each kind."""
OTHERS: Final[Mapping[str, State]] = {
    "T": {"nodes": "negative", "metastases": ()},
    "N": {"size_mm": 15.0, "depth": "submucosa", "extension": (), "metastases": ()},
    "M": {"size_mm": 15.0, "depth": "submucosa", "extension": (), "nodes": "negative"},
}
"""The other axes while one of them is tried."""


class _Site:
    """The proof for one site and one kind of tumour."""

    def __init__(self, trial: Trial, site: str, kind: str, knowledge: Knowledge) -> None:
        self.trial = trial
        self.site = site
        self.kind = kind
        self.knowledge = knowledge
        self.specified: Specified = specified()
        self.systems = self.specified.systems(site, kind)
        self.fired: set[str] = set()

    def stage(self, state: State) -> tuple[Staging | Failed, Mapping[str, Any]]:
        """The stage of a state, and the situation that rows saw."""
        state = {"nen_status": "confirmed", "primary_site": self.site, **TUMOURS[self.kind], **state}
        signals = {"grade_2019": state.pop("grade_2019", None)}
        facts = with_defaults(Facts(**state))
        situation = patient_situation(facts, (), self.knowledge) | signals
        self.trial.covered()
        answer = attempt(lambda: staged(facts, situation, self.knowledge))
        if isinstance(answer, Failed):
            self.trial.expect(False, self.told(state), "a stage, or none", f"no answer ({answer.reason})")
        else:
            self.fired.update(row.id for row in answer.rows)
            found = sorted(answer.tnm)
            self.trial.expect(
                found == sorted(self.systems), self.told(state), f"systems {sorted(self.systems)}", found, ["TNM-34"]
            )
        return answer, situation

    def told(self, state: State, system: str = "") -> State:
        """The state as a counter-example shows it."""
        return {"primary_site": self.site, **({"system": system} if system else {}), **TUMOURS[self.kind], **state}

    def along(self, axis: str) -> dict[tuple[str | None, ...], State]:
        """Try every state of one axis; a state for each combination of what the systems say."""
        witnesses: dict[tuple[str | None, ...], State] = {}
        for state in grid(self.axes(axis)):
            answer, situation = self.stage(OTHERS[axis] | state)
            if isinstance(answer, Failed):
                continue
            for system, stage in answer.tnm.items():
                self.may_be_open(axis, system, stage, state, situation)
            witnesses.setdefault(tuple(_value(stage, axis) for stage in answer.tnm.values()), state)
        return witnesses

    def axes(self, axis: str) -> Axes:
        """The facts that rows of the axis and the specification read."""
        conditions = [
            rule.condition for s in self.systems for rule in self.knowledge.staging.get((self.site, s, axis), ())
        ]
        conditions += [gap.condition for s in self.systems for gap in self.specified.gaps(self.site, s, axis)]
        if axis == "M" and self.site == "pancreas":
            conditions += _stations(self.knowledge)
        return axes(conditions)

    def may_be_open(self, axis: str, system: str, stage: Stage, state: State, situation: Mapping[str, Any]) -> None:
        """Undetermined where the specification says so, and nowhere else."""
        gaps = list(self.specified.gaps(self.site, system, axis))
        apply = [gap for gap in gaps if evaluate(gap.condition, situation).value]
        found = _value(stage, axis)
        told = self.told(state, system)
        rules = sorted({gap.rule for gap in apply or gaps})
        self.trial.expect(
            found not in NO_VALUE or apply,
            told,
            f"a category of {axis}; none only if {' or '.join(gap.why for gap in gaps)}",
            found or "undetermined",
            rules,
        )
        demanded = [gap for gap in apply if gap.always and not (axis == "T" and state.get("extension"))]
        self.trial.expect(
            found in NO_VALUE or not demanded,
            told,
            f"{axis} undetermined: {' or '.join(gap.why for gap in demanded)}",
            found,
            rules,
        )

    def together(self, witnesses: Mapping[str, Mapping[tuple[str | None, ...], State]]) -> None:
        """Combine what the axes can say: each says the same beside the others, and the group follows from them."""
        for (t, t_state), (n, n_state), (m, m_state) in product(*(found.items() for found in witnesses.values())):
            state = t_state | n_state | m_state
            answer, _ = self.stage(state)
            if isinstance(answer, Failed):
                continue
            regional = _names_a_station(state, self.knowledge)
            for place, (system, stage) in enumerate(answer.tnm.items()):
                expected = (t[place], stage.n if regional else n[place], m[place])
                told = self.told(state, system)
                found = (stage.t, stage.n, stage.m)
                self.trial.expect(found == expected, told, f"{_tnm(expected)} as each axis says alone", _tnm(found))
                self.grouped(system, stage, told)

    def grouped(self, system: str, stage: Stage, told: State) -> None:
        """The group that T, N and M have; with M unknown none, and the one for M0 as a condition (TNM-25)."""
        group = stage_group(self.site, system, stage.t, stage.n, stage.m or "M0", self.knowledge)[0]
        expected = (group, None) if stage.m else (None, group)
        found = (stage.stage, stage.stage_if_m0)
        self.trial.expect(found == expected, told, f"stage and stage if M0 {expected}", found, ["TNM-25"])

    def recorded(self) -> None:
        """A recorded T counts in its own edition and only while T cannot be computed."""
        recorded = {name: (None, *FACTS[name].words) for name in ("recorded_t", "recorded_edition")}
        for state in grid({"size_mm": (None, 15.0), "depth": (None, "submucosa"), **recorded}):
            answer, _ = self.stage(OTHERS["T"] | state)
            without, _ = self.stage(OTHERS["T"] | state | {"recorded_t": None})
            if isinstance(answer, Failed) or isinstance(without, Failed):
                continue
            edition = state["recorded_edition"] or self.knowledge.primary_system.default
            for system, stage in answer.tnm.items():
                plain = without.tnm[system].t
                used = plain == "TX" and edition == system and state["recorded_t"] is not None
                expected = state["recorded_t"] if used else plain
                self.trial.expect(
                    (stage.t, stage.t_as_recorded) == (expected, used),
                    self.told(state, system),
                    f"{expected}{' as recorded' if used else ''}",
                    stage.t,
                    ["TNM-11"],
                )

    def holds_for_every_part(self) -> None:
        """With the part of the pancreas unknown, N and M say what is true for whichever part it is (TNM-22)."""
        open_states = {name: found for name, found in self.axes("M").items() if name != "pancreas_subsite"}
        for state in grid(open_states):
            answer, _ = self.stage(OTHERS["M"] | state)
            for part in FACTS["pancreas_subsite"].words:
                known, _ = self.stage(OTHERS["M"] | state | {"pancreas_subsite": part})
                if isinstance(answer, Failed) or isinstance(known, Failed):
                    continue
                for system, stage in known.tnm.items():
                    for axis in ("N", "M"):
                        said, true = _value(answer.tnm[system], axis), _value(stage, axis)
                        self.trial.expect(
                            _leaves_room(said, true),
                            self.told(state, system),
                            f"{axis} true for the {part} as well, which gives {true}",
                            said,
                            ["TNM-22", "TNM-24"],
                        )


def staging(knowledge: Knowledge) -> Proof:
    """Every site in every system that it has."""
    trial = Trial("staging", "T, N, M and stage total, undetermined only where specified")
    fired: set[tuple[str, str]] = set()
    for site, kind in product(specified().sites, TUMOURS):
        part = _Site(trial, site, kind, knowledge)
        if part.systems:
            part.together({axis: part.along(axis) for axis in OTHERS})
            part.recorded()
            if site == "pancreas":
                part.holds_for_every_part()
        else:
            part.stage({"size_mm": 15.0, "metastases": ()})
        fired |= {(site, row) for row in part.fired}
    fired |= groups(trial, knowledge)
    _rows_reached(trial, fired, knowledge)
    _primary_system(trial, knowledge)
    return trial.proof()


def _rows_reached(trial: Trial, fired: set[tuple[str, str]], knowledge: Knowledge) -> None:
    for (site, system, axis), rules in knowledge.staging.items():
        for rule in rules:
            trial.expect(
                (site, rule.row.id) in fired,
                {"primary_site": site, "system": system},
                f"a state in which the row gives {axis}",
                "none: the row is dead",
                [rule.row.id],
            )


def _primary_system(trial: Trial, knowledge: Knowledge) -> None:
    """Every year of diagnosis has a system that is shown first, and it is one that was computed (TNM-35)."""
    for year in (None, *numbers(limits(knowledge.primary_system.years))):
        for kind in ("net", "carcinoma"):
            part = _Site(trial, "pancreas", kind, knowledge)
            answer, _ = part.stage({"diagnosis_year": year})
            found = None if isinstance(answer, Failed) else answer.primary_system
            trial.expect(
                found in part.systems, part.told({"diagnosis_year": year}), "a system shown first", found, ["TNM-35"]
            )


def _stations(knowledge: Knowledge) -> Iterator[Condition]:
    """The node stations, each a word of its own, and the parts of the pancreas they depend on (TNM-22)."""
    for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional):
        yield Condition(
            (
                Test("metastases", Op.CONTAINS, frozenset({entry.site})),
                Test("pancreas_subsite", Op.IN, frozenset(entry.subsites)),
            )
        )


def _names_a_station(state: State, knowledge: Knowledge) -> bool:
    stations = {entry.site for entry in (*knowledge.nodes.distant, *knowledge.nodes.regional)}
    return not stations.isdisjoint(state.get("metastases") or ())


def _leaves_room(said: str | None, true: str | None) -> bool:
    """Whether what was said with a fact unknown is still true with it known."""
    return said in (true, *NO_VALUE) or (said == "M1" and (true or "").startswith("M1"))


def _value(stage: Stage, axis: str) -> str | None:
    return {"T": stage.t, "N": stage.n, "M": stage.m}[axis]


def _tnm(categories: tuple[str | None, ...]) -> str:
    return " ".join(category or "M unknown" for category in categories)
