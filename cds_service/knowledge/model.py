"""The shape of guideline rows. Anything a row may hold is declared here; anything else stops the start-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from cds_service.domain.policy import OrderWriting, Windows
from cds_service.domain.same import Same
from cds_service.errors import KnowledgeError
from cds_service.knowledge.ranges import Range
from cds_service.knowledge.site import DEFAULT_SITE, EngineeringDefault, FollowupProfile, Settings, Site

Basis = Literal["seed", "public", "derived", "reading", "engineering-default"]
Severity = Literal["critical", "warning", "info"]
_DAYS: Final = 32
"""Days whose knowledge is held in memory."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A publication that rows cite."""

    key: str
    kind: Literal["seed", "public", "project"]
    label: str
    citation: str
    url: str = ""
    reports: str = ""


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dates that hold for every row of a table unless the row says otherwise."""

    valid_from: str
    checked: str
    review_by: str


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every row carries.

    Attributes:
        id: stable identifier, unique over all tables.
        rule: rule id of the specification when several rows belong to one rule; the id itself otherwise.
        statement: the rule in our own words.
        cite: ``"<source key>: <place>"``, at least one.
        basis: what the statement rests on.
        valid_from, valid_until: ISO dates between which the row applies; the end is exclusive.
        executed_by: dotted name of the function that carries the rule out, where no table does.
        see: rows or rules that carry it out, or that act on the same matter.
        uses: engineering defaults whose value is part of the row; filled in when it loads.
    """

    id: str
    statement: str
    cite: list[str]
    basis: list[Basis]
    rule: str = ""
    valid_from: str = ""
    valid_until: str = ""
    checked: str = ""
    review_by: str = ""
    executed_by: str = ""
    see: list[str] = []
    uses: list[str] = []

    @property
    def rule_id(self) -> str:
        """The rule id that answers, logs and cases speak about."""
        return self.rule or self.id

    def in_force(self, iso_day: str) -> bool:
        """Whether the row applies on that day."""
        return self.valid_from <= iso_day and (not self.valid_until or iso_day < self.valid_until)

    def overlaps(self, other: Row) -> bool:
        """Whether both rows apply on some day."""
        return (not self.valid_until or other.valid_from < self.valid_until) and (
            not other.valid_until or self.valid_from < other.valid_until
        )

    @property
    def from_project(self) -> bool:
        """Whether an engineering default of this service is part of the row."""
        return "engineering-default" in self.basis


class ConditionalRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row that applies under a condition (see the README beside this module)."""

    when: dict[str, Any] = {}
    any: list[dict[str, Any]] = []
    missing: list[str] = []


class ScenarioRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario; ``excludes`` says who is out, ``candidates`` are the scenarios it cannot tell apart."""

    scenario: str
    label: str
    excludes: str = ""
    candidates: list[str] = []


class SelectionRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the decision list that chooses the scenario."""

    scenario: str
    reason: str = ""


class RatingRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rating of one or more studies in one scenario, as a source reports it."""

    scenario: str
    procedures: list[str]
    rating: Literal[
        "usually-appropriate",
        "may-be-appropriate",
        "may-be-appropriate-disagreement",
        "usually-not-appropriate",
    ]
    radiation: str


class OverlayRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A situation in which SSTR PET is appropriate."""


class PamaRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that categories are recorded as; without categories, when nothing is recorded."""

    categories: list[str]
    code: Literal["appropriate", "not-appropriate", "no-criteria-apply"] | None = None


class AdviceRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Advice that is no rating.

    Attributes:
        order_detail: text that may be put on a suggested order.
        against_order: headline of a card when the advice argues against the ordered study itself.
        refers_to: rule that says the same at length; the shorter one is then not repeated on cards.
    """

    order_detail: str = ""
    against_order: str = ""
    refers_to: str = ""


class SafetyRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A safety rule for a study."""

    severity: Severity
    headline: str
    enabled: bool = True


class PreferenceRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Studies to suggest in a scenario, best first."""

    scenario: str
    preference: list[str]


class StagingRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One category, or one stage group, of one system for one or more sites."""

    system: Literal["enets", "ajcc7", "ajcc8", "ajcc9", "ajcc8-exocrine"]
    sites: list[str]
    axis: Literal["T", "N", "M", "stage"]
    value: str
    t: list[str] = []
    n: list[str] = []
    m: list[str] = []


class LimitsRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="limits"):
    """Physical limits of the proliferation indices."""

    ki67_percent: Range
    mitoses: Range


class UnitRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="unit"):
    """Factors that bring a mitotic count to mitoses per 2 mm²."""

    default: str
    factors: dict[str, float]


class Band(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A band of an index and the grade it means."""

    grade: str


class BandRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="band"):
    """The bands of one index in one edition."""

    edition: str
    index: Literal["mitoses", "ki67_percent"]
    bands: list[Band]


class ClassRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="class"):
    """A class of WHO 2019 with its bands of both indices."""

    edition: str
    grade: str
    category: str
    mitoses: Range
    ki67_percent: Range


class NoteRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="note"):
    """A principle that a function cites."""


class GradingWarningRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="warning"):
    """Something grading may have to say."""


GradingRow = LimitsRow | UnitRow | BandRow | ClassRow | NoteRow | GradingWarningRow


class StagingWarningRow(
    ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="warning"
):
    """Something staging may have to say."""


class NodeStation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node station and the parts of the pancreas for which the entry holds."""

    site: str
    subsites: list[str]


class NodesRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="nodes"):
    """Which node stations are distant and which are regional, by part of the pancreas."""

    distant: list[NodeStation]
    regional: list[NodeStation]


class ApplicabilityRow(
    Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="applicability"
):
    """Which systems apply to the differentiation."""

    net: list[str]
    carcinoma: list[str]
    undetermined: list[str]


class YearBand(Range, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Years of diagnosis for which a system is the primary one."""

    system: str


class PrimarySystemRow(
    Row, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="primary-system"
):
    """Which system is shown first."""

    years: list[YearBand]
    default: str
    carcinoma: str


StagingNoteRow = StagingWarningRow | NoteRow | NodesRow | ApplicabilityRow | PrimarySystemRow


class SstrInterval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Months until the first and until every later SSTR study."""

    later: tuple[float, float]
    first: tuple[float, float] | None = None


class FollowupRow(ConditionalRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An interval in months; none when the source states none.

    Attributes:
        profile: the schedule the row belongs to; a row of no profile is part of every one.
    """

    profile: FollowupProfile | None = None

    interval: tuple[float, float] | None = None
    sstr: SstrInterval | None = None


class ToleranceRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Factors of the interval below which a study is early and above which it is late."""

    early: float
    late: float


class MarkerRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of one marker or eligibility fact."""

    marker: str
    size_mm: Range | None = None
    adc_mm2_per_s: Range | None = None
    plausible: Range | None = None
    tgr_percent_per_month: Range | None = None
    slope_percent_per_year: Range | None = None
    krenning: Range | None = None
    liver_metastases_count: Range | None = None
    sum_liver_mets_mm: Range | None = None
    largest_liver_met_mm: Range | None = None
    liver_involvement_percent: Range | None = None
    grades: list[str] = []


class PrincipleRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that holds for every answer."""

    liver_tumour_share_percent: float | None = None
    not_counted: list[str] = []
    agents: list[str] = []
    class_equivalence: bool = True


class ContextRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact of the sources that decides nothing; the guideline text shows it.

    Attributes:
        topic: heading under which it stands.
        scenarios: scenarios on whose pages it is shown.
    """

    topic: Literal["function", "modality", "radiation", "prognosis", "treatment", "response", "follow-up", "staging"]
    scenarios: list[str] = []


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of the clinical content: what it is, and the rows or whole tables it concerns."""

    text: str
    rows: list[str] = []
    tables: list[str] = []


class Edition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes published under one label of the clinical content."""

    version: str
    date: str
    change: list[Change]


class Procedure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A study that rules speak about."""

    key: str
    label: str
    short: str
    modality: str
    attributes: frozenset[
        Literal["mr", "ionising", "gadolinium", "iodinated", "sstr", "abdominal", "chest", "complement"]
    ]


class AttributeRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attribute that studies have while a switch is on."""

    enabled: bool
    attribute: Literal["iodinated", "chest", "complement"]
    procedures: list[str]


class Op(StrEnum):
    """The tests a condition may make."""

    IN = "in"
    RANGE = "range"
    CONTAINS = "contains"
    CONTAINS_ALL = "contains_all"
    ONLY = "only"
    LACKS = "lacks"
    EMPTY = "empty"
    NOT = "not"
    UNLESS = "unless"
    KNOWN = "known"

    __hash__ = str.__hash__  # operators are looked up a hundred times per order; an Enum hashes in Python


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one fact or signal."""

    __test__ = False  # not a pytest class

    name: str
    op: Op
    operand: Any


Conjunction = tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """All of ``when``, and at least one of ``any`` if there are any."""

    when: Conjunction = ()
    any: tuple[Conjunction, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Every fact and signal the condition tests."""
        return frozenset(test.name for part in (self.when, *self.any) for test in part)


R_co = TypeVar("R_co", bound=Row, covariant=True)


@dataclass(frozen=True, slots=True)
class Rule(Generic[R_co]):
    """A row and its parsed condition.

    Attributes:
        about_order: the condition names the order or one of its facts, so the rule is asked once per order.
    """

    row: R_co
    condition: Condition
    about_order: bool = False


def _kept(rules: tuple[Rule[Any], ...], out: set[str]) -> tuple[Rule[Any], ...]:
    return tuple(rule for rule in rules if rule.row.id not in out)


def rating_table(rows: Iterable[RatingRow]) -> dict[tuple[str, str], RatingRow]:
    """Ratings by scenario and procedure key; of several editions, the one that begins last."""
    ordered = sorted(rows, key=lambda row: row.valid_from)
    return {(row.scenario, key): row for row in ordered for key in row.procedures}


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything the service knows, loaded and checked once."""

    version: str
    hash: str
    sources: Mapping[str, Source]
    procedures: Mapping[str, Procedure]
    scenarios: Mapping[str, ScenarioRow]
    selection: tuple[Rule[SelectionRow], ...]
    rating_rows: tuple[RatingRow, ...]
    """All editions of all ratings."""
    ratings: Mapping[tuple[str, str], RatingRow]
    """The rating of a study in a scenario; between editions, the latest."""
    overlay: tuple[Rule[OverlayRow], ...]
    advice: tuple[Rule[AdviceRow], ...]
    safety: tuple[Rule[SafetyRow], ...]
    preferences: Mapping[str, PreferenceRow]
    grading: tuple[GradingRow, ...]
    staging: Mapping[tuple[str, str, str], tuple[Rule[StagingRow], ...]]
    staging_warnings: tuple[Rule[StagingWarningRow], ...]
    nodes: NodesRow
    applicability: ApplicabilityRow
    primary_system: PrimarySystemRow
    followup: tuple[Rule[FollowupRow], ...]
    tolerance: ToleranceRow
    triggers: Rule[OverlayRow] | None
    markers: Mapping[str, MarkerRow]
    principles: Mapping[str, PrincipleRow]
    pama: Mapping[str, PamaRow]
    """How a category is recorded on an order; under the empty name, when nothing is."""
    rows: Mapping[str, Row]
    """Every row by its id."""
    rule_rows: Mapping[str, Row]
    """One row per rule id: what an explanation of the rule shows."""
    settings: Settings
    """The engineering defaults in force."""
    engineering_defaults: Mapping[str, EngineeringDefault]
    site: Site = DEFAULT_SITE
    unavailable: frozenset[str] = frozenset()
    """Studies that cannot be done at the site."""
    context: tuple[ContextRow, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    """Table by row id."""
    editions: tuple[Edition, ...] = ()
    """Changes of the clinical content, newest first."""
    newest_start: str = ""
    """Latest ``valid_from`` of all rows; from that day on no row is still to come."""
    first_end: str = ""
    """Earliest ``valid_until`` of all rows; until that day no row has been replaced."""

    @property
    def attributes(self) -> Mapping[str, frozenset[str]]:
        """Attributes of the studies by procedure key."""
        return {key: procedure.attributes for key, procedure in self.procedures.items()}

    @property
    def windows(self) -> Windows:
        """How long a record speaks for today."""
        return Windows(
            egfr_days=self.settings.number("egfr_window_days"),
            pregnancy_days=self.settings.number("pregnancy_status_window_days"),
            pregnancy_test_days=self.settings.number("pregnancy_test_window_days"),
            treatment_cycle_days=self.settings.number("treatment_cycle_days"),
            chromogranin_rise_factor=self.settings.number("chromogranin_rise_factor"),
        )

    @property
    def order_writing(self) -> OrderWriting:
        """How suggested orders are written."""
        return OrderWriting(self.site.orders.code_systems, self.site.studies.sstr_tracer)

    def set_by_site(self, row: Row) -> bool:
        """Whether a value that the site set is part of the row."""
        return not self.settings.changed.isdisjoint(row.uses)

    def sources_of(self, row: Row) -> tuple[Source, ...]:
        """The sources a row cites, in the order cited."""
        return tuple(self.sources[cite.partition(":")[0]] for cite in row.cite)

    def on(self, day: date) -> Knowledge:
        """The knowledge as it was in force on a day: rows not yet valid, or already replaced, are left out.

        Raises:
            KnowledgeError: the day lies before all rows.
        """
        iso = day.isoformat()
        if self.newest_start <= iso and (not self.first_end or iso < self.first_end):
            return self
        return _in_force(Same(self), iso)

    @property
    def earliest(self) -> str:
        """Day on which the first rows came into force."""
        return min(row.valid_from for row in self.rows.values())

    def expired(self, today: date) -> tuple[Row, ...]:
        """Rows whose review date has passed."""
        return tuple(row for row in self.rows.values() if row.review_by < today.isoformat())


@lru_cache(maxsize=_DAYS)
def _in_force(same: Same[Knowledge], iso_day: str) -> Knowledge:
    """Made once for each day, so that what is remembered of its rows is found again."""
    knowledge = same.value
    out = {row.id for row in knowledge.rows.values() if not row.in_force(iso_day)}
    if all(rule.row.id in out for rule in knowledge.selection):
        raise KnowledgeError(
            f"No guideline rows are in force on {iso_day}; the earliest are those of {knowledge.earliest}."
        )
    return replace(
        knowledge,
        ratings=rating_table(row for row in knowledge.rating_rows if row.id not in out),
        markers={name: row for name, row in knowledge.markers.items() if row.id not in out},
        triggers=None if knowledge.triggers and knowledge.triggers.row.id in out else knowledge.triggers,
        preferences={key: row for key, row in knowledge.preferences.items() if row.id not in out},
        grading=tuple(row for row in knowledge.grading if row.id not in out),
        staging={key: _kept(rules, out) for key, rules in knowledge.staging.items()},
        selection=_kept(knowledge.selection, out),
        overlay=_kept(knowledge.overlay, out),
        advice=_kept(knowledge.advice, out),
        safety=_kept(knowledge.safety, out),
        staging_warnings=_kept(knowledge.staging_warnings, out),
        followup=_kept(knowledge.followup, out),
        pama={category: row for category, row in knowledge.pama.items() if row.id not in out},
        context=tuple(row for row in knowledge.context if row.id not in out),
    )
