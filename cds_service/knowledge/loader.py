"""Reads the tables, checks every row against the vocabulary and the sources, and builds :class:`Knowledge`.

Bad knowledge never loads: an unknown key, an unknown word, a citation without a source or a duplicate id stops the
start-up with file, row and reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import msgspec

from cds_service.domain.facts import FACTS, FactSpec, Kind
from cds_service.domain.terms import APPROPRIATE_USE, NAMES, ORDER_FACTS, ORDER_SIGNALS, RATINGS, SCENARIOS
from cds_service.errors import KnowledgeError, SiteError
from cds_service.knowledge import model as m
from cds_service.knowledge.ranges import Range
from cds_service.knowledge.site import DEFAULT_SITE, EngineeringDefault, Site, settings_at

_PER_ORDER = ORDER_SIGNALS | ORDER_FACTS
_ROW_PATH = re.compile(r"`\$\.row\[(\d+)\]")
_GRADING_NEEDS = ("GRD-01", "GRD-03", "GRD-10", "GRD-11", "GRD-20")
_MARKERS = (
    "size_gt_30",
    "adc_high_grade",
    "tgr_high",
    "slope_low",
    "prrt_uptake",
    "ablation_best_indication",
    "bilioenteric_contraindication",
    "liver_directed_grade_ok",
    "staged_tace",
)
_STAGING_TABLES = ("staging-pancreas", "staging-gut")
_PRINCIPLES = ("SEL-D", "SEL-T", "RAT-07")
_EMPTY_TEST_OPS = {"contains", "contains_all", "only", "lacks"}
RowT = TypeVar("RowT", bound=m.Row)
ConditionalT = TypeVar("ConditionalT", bound=m.ConditionalRow)


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    defaults: m.Defaults


class _Scenarios(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.ScenarioRow]


class _Selection(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.SelectionRow]


class _Ratings(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.RatingRow]


class _Overlay(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.OverlayRow]


class _Advice(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.AdviceRow]


class _Safety(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.SafetyRow]


class _Preferences(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.PreferenceRow]


class _Grading(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.GradingRow]


class _Staging(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.StagingRow]


class _StagingNotes(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.StagingNoteRow]


class _Followup(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tolerance: m.ToleranceRow
    triggers: m.OverlayRow
    row: list[m.FollowupRow]


class _Markers(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.MarkerRow]


class _Principles(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.PrincipleRow]


class _Pama(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.PamaRow]


class _Context(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    row: list[m.ContextRow]


class _Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    edition: list[m.Edition]


class _Procedures(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    procedure: list[m.Procedure]
    row: list[m.AttributeRow]


class _EngineeringDefaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default: list[EngineeringDefault]


class _Sources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checked: str
    source: list[m.Source]


T = TypeVar("T")


class _Reader:
    """Reads table files of one folder, collects their rows and refuses what does not fit."""

    def __init__(self, folder: Traversable, site: Site) -> None:
        self.folder = folder
        self.digest = hashlib.sha256()
        self.rows: dict[str, m.Row] = {}
        self.sources: dict[str, m.Source] = {}
        self.tables: dict[str, str] = {}
        listed = self.decode("defaults.toml", _EngineeringDefaults).default
        self.defaults = _by(listed, "key", "defaults")
        self.settings = settings_at(site, self.defaults)

    def decode(self, name: str, kind: type[T]) -> T:
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            raise KnowledgeError(f"{name}: the table cannot be read") from None
        self.digest.update(name.encode() + b"\0" + data)
        try:
            written = msgspec.toml.decode(data)
            return msgspec.convert(self._filled(name, written) if name.startswith("tables/") else written, kind)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise KnowledgeError(f"{name}{_row_named_by(error, data)}: {error}") from None

    def _filled(self, name: str, written: dict[str, Any]) -> dict[str, Any]:
        """The table with engineering defaults in place of their names."""

        def fill(row: Any) -> Any:
            if not isinstance(row, dict):
                return row
            if "uses" in row:
                raise KnowledgeError(f"{name}, row {row.get('id')!r}: uses is filled in, not written")
            try:
                return self.settings.fill(row)
            except KeyError as error:
                raise KnowledgeError(f"{name}, row {row.get('id')!r}: no such engineering default: {error}") from None

        return {key: list(map(fill, part)) if isinstance(part, list) else fill(part) for key, part in written.items()}

    def read_sources(self) -> None:
        for source in self.decode("sources.toml", _Sources).source:
            if source.key in self.sources:
                raise KnowledgeError(f"sources.toml: source {source.key!r} appears twice")
            self.sources[source.key] = source

    def admit(self, table: str, defaults: m.Defaults, row: RowT) -> RowT:
        """Check what all rows share, fill in the table's dates, and remember the row."""
        where = f"tables/{table}.toml, row {row.id!r}"
        if row.id in self.rows:
            raise KnowledgeError(f"{where}: this id is already used; ids are unique over all tables")
        if not row.statement.strip():
            raise KnowledgeError(f"{where}: statement is empty")
        if not row.cite or not row.basis:
            raise KnowledgeError(f"{where}: a row needs at least one citation and one basis")
        for cite in row.cite:
            key, colon, place = cite.partition(":")
            if key not in self.sources or not colon or not place.strip():
                raise KnowledgeError(f"{where}: citation {cite!r} is not '<source key>: <place>' of a known source")
        dated = {name: getattr(row, name) or getattr(defaults, name) for name in ("valid_from", "checked", "review_by")}
        for name, value in (*dated.items(), ("valid_until", row.valid_until)):
            if value:
                _check_day(where, name, value)
        if row.valid_until and row.valid_until <= dated["valid_from"]:
            raise KnowledgeError(f"{where}: valid_until {row.valid_until} is not after valid_from")
        admitted = msgspec.structs.replace(row, **dated)
        self.rows[row.id] = admitted
        self.tables[row.id] = table
        return admitted

    def table(self, name: str, kind: type[Any]) -> list[Any]:
        """All rows of a table file, admitted."""
        content = self.decode(f"tables/{name}.toml", kind)
        return [self.admit(name, content.defaults, row) for row in content.row]

    def rules(self, name: str, rows: Iterable[ConditionalT]) -> tuple[m.Rule[ConditionalT], ...]:
        """Rows with their conditions parsed."""
        conditions = ((row, self.condition(name, row)) for row in rows)
        return tuple(m.Rule(row, parsed, not parsed.names.isdisjoint(_PER_ORDER)) for row, parsed in conditions)

    def condition(self, table: str, row: m.ConditionalRow) -> m.Condition:
        where = f"tables/{table}.toml, row {row.id!r}"
        for name in row.missing:
            if name not in FACTS:
                raise KnowledgeError(f"{where}: missing names {name!r}, which is not a fact")
        return parse_condition(where, row.when, row.any)


def _row_named_by(error: Exception, data: bytes) -> str:
    """The row that a decoding error is about, by its id; empty when the table as a whole cannot be read."""
    index = _ROW_PATH.search(str(error))
    if index is None:
        return ""
    try:
        row = msgspec.toml.decode(data)["row"][int(index[1])]
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
        return ""
    return f", row {row.get('id')!r}"


def _check_day(where: str, name: str, value: str) -> None:
    try:
        same = date.fromisoformat(value).isoformat() == value
    except ValueError:
        same = False
    if not same:
        raise KnowledgeError(f"{where}: {name} {value!r} is not a date (YYYY-MM-DD)")


def parse_condition(where: str, when: Mapping[str, Any], parts: Iterable[Mapping[str, Any]] = ()) -> m.Condition:
    """A condition as tables write it.

    Raises:
        KnowledgeError: a name, an operator or a word is not one of ours; the message begins with ``where``.
    """
    return m.Condition(tuple(_tests(where, when)), tuple(tuple(_tests(where, part)) for part in parts))


def _tests(where: str, part: Mapping[str, Any]) -> Iterator[m.Test]:
    for name, operand in part.items():
        spec = NAMES.get(name)
        if spec is None:
            raise KnowledgeError(f"{where}: {name!r} is neither a fact nor a signal")
        yield from _parse_test(where, spec, operand)


def _parse_test(where: str, spec: FactSpec, operand: Any) -> Iterator[m.Test]:
    """One test, or several when a table of operators is given."""
    if not isinstance(operand, dict):
        yield m.Test(spec.name, m.Op.IN, _values(where, spec, operand))
        return
    bounds = {key: value for key, value in operand.items() if key in ("above", "at_least", "below", "at_most")}
    if bounds:
        if spec.kind is not Kind.NUMBER:
            raise KnowledgeError(f"{where}: {spec.name} is not a number, bounds do not apply")
        yield m.Test(spec.name, m.Op.RANGE, _convert(where, bounds, Range))
    for key, value in operand.items():
        if key in bounds:
            continue
        try:
            op = m.Op(key)
        except ValueError:
            raise KnowledgeError(f"{where}: {spec.name} is tested with the unknown operator {key!r}") from None
        yield m.Test(spec.name, op, _operand(where, spec, op, value))


def _operand(where: str, spec: FactSpec, op: m.Op, value: Any) -> Any:
    if op in (m.Op.KNOWN, m.Op.EMPTY):
        if not isinstance(value, bool) or (op is m.Op.EMPTY and spec.kind is not Kind.WORDS):
            raise KnowledgeError(f"{where}: {op} of {spec.name} takes true or false, {m.Op.EMPTY} only on lists")
        return value
    if op in (m.Op.NOT, m.Op.UNLESS):
        return _values(where, spec, value)
    if op.value in _EMPTY_TEST_OPS:
        if spec.kind is not Kind.WORDS or not isinstance(value, list) or not value:
            raise KnowledgeError(f"{where}: {op} of {spec.name} takes a list of words and a fact that is a list")
        return frozenset(_word(where, spec, str(word)) for word in value)
    raise KnowledgeError(f"{where}: {op} cannot be written as an operator; give the value itself")


def _values(where: str, spec: FactSpec, operand: Any) -> frozenset[Any]:
    values = operand if isinstance(operand, list) else [operand]
    for value in values:
        fits = {
            Kind.FLAG: isinstance(value, bool),
            Kind.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
            Kind.WORD: isinstance(value, str),
        }.get(spec.kind, False)
        if not fits:
            raise KnowledgeError(f"{where}: {value!r} does not fit {spec.name}, which is a {spec.kind}")
        if spec.kind is Kind.WORD:
            _word(where, spec, value)
    return frozenset(values)


def _word(where: str, spec: FactSpec, word: str) -> str:
    if spec.words and word not in spec.words:
        raise KnowledgeError(f"{where}: {word!r} is not a word of {spec.name} ({', '.join(spec.words)})")
    return word


def _convert(where: str, value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise KnowledgeError(f"{where}: {error}") from None


def _by(rows: Iterable[T], key: str, where: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for row in rows:
        value = getattr(row, key)
        if value in found:
            raise KnowledgeError(f"tables/{where}.toml: {key} {value!r} appears twice")
        found[value] = row
    return found


def _one(rows: Iterable[Any], kind: type[T], where: str) -> T:
    found = [row for row in rows if isinstance(row, kind)]
    if len(found) != 1:
        raise KnowledgeError(f"tables/{where}.toml: exactly one {kind.__name__} is needed, found {len(found)}")
    return found[0]


def _check_ratings(rows: Iterable[m.RatingRow], procedures: Mapping[str, m.Procedure]) -> None:
    """A study has one rating per scenario on any day; editions follow one another."""
    editions: dict[tuple[str, str], list[m.RatingRow]] = {}
    for row in rows:
        _known_scenario("ratings", row.id, row.scenario)
        for key in row.procedures:
            _known_procedure("ratings", row.id, key, procedures)
            for other in editions.setdefault((row.scenario, key), []):
                if row.overlaps(other):
                    raise KnowledgeError(f"tables/ratings.toml, row {row.id!r}: {key} is rated twice in {row.scenario}")
            editions[row.scenario, key].append(row)


def _known_scenario(table: str, row_id: str, scenario: str) -> None:
    if scenario not in SCENARIOS:
        raise KnowledgeError(f"tables/{table}.toml, row {row_id!r}: unknown scenario {scenario!r}")


def _known_procedure(table: str, row_id: str, key: str, procedures: Mapping[str, m.Procedure]) -> None:
    if key not in procedures:
        raise KnowledgeError(f"tables/{table}.toml, row {row_id!r}: unknown procedure {key!r}")


def _staging_rules(reader: _Reader, name: str) -> tuple[m.Rule[m.StagingRow], ...]:
    rules = reader.rules(name, reader.table(name, _Staging))
    for rule in rules:
        for site in rule.row.sites:
            if site not in FACTS["primary_site"].words:
                raise KnowledgeError(f"tables/{name}.toml, row {rule.row.id!r}: unknown site {site!r}")
    return rules


def _staging(rules: Iterable[m.Rule[m.StagingRow]]) -> dict[tuple[str, str, str], tuple[m.Rule[m.StagingRow], ...]]:
    table: dict[tuple[str, str, str], list[m.Rule[m.StagingRow]]] = {}
    for rule in rules:
        for site in rule.row.sites:
            table.setdefault((site, rule.row.system, rule.row.axis), []).append(rule)
    return {key: tuple(value) for key, value in table.items()}


def _needed(table: str, names: Iterable[str], there: Iterable[str]) -> None:
    """Rows that the code asks for by name."""
    missing = set(names).difference(there)
    if missing:
        raise KnowledgeError(f"tables/{table}.toml: {', '.join(sorted(missing))} is needed and not there")


def _references_exist(reader: _Reader, advice: Iterable[m.Rule[m.AdviceRow]], known: Collection[str]) -> None:
    """Rows refer to rows or rules that exist, and not to themselves."""
    referring: list[tuple[m.Row, str, str]]
    referring = [(rule.row, "refers_to", rule.row.refers_to) for rule in advice if rule.row.refers_to]
    referring += [(row, "see", name) for row in reader.rows.values() for name in row.see]
    for row, member, name in referring:
        if name not in known or name in (row.id, row.rule_id):
            where = f"tables/{reader.tables[row.id]}.toml, row {row.id!r}"
            raise KnowledgeError(f"{where}: {member} names {name!r}, which is no other row or rule")


def _read_context(reader: _Reader) -> tuple[m.ContextRow, ...]:
    rows: list[m.ContextRow] = reader.table("context", _Context)
    for row in rows:
        for name in row.scenarios:
            _known_scenario("context", row.id, name)
    return tuple(rows)


def _read_editions(reader: _Reader, known: Collection[str]) -> tuple[m.Edition, ...]:
    """The changelog of the content, newest first; it speaks of rows and tables that exist."""
    editions = reader.decode("changes.toml", _Changes).edition
    tables = set(reader.tables.values())
    later = ""
    for edition in editions:
        where = f"changes.toml, version {edition.version!r}"
        _check_day(where, "date", edition.date)
        if later and edition.date > later:
            raise KnowledgeError(f"{where}: {edition.date} is later than the version above it; newest comes first")
        later = edition.date
        for change in edition.change:
            unknown = [name for name in change.rows if name not in known]
            unknown += [name for name in change.tables if name not in tables]
            if unknown or not change.text.strip():
                what = f"{', '.join(unknown)} is no row or table" if unknown else "a change has no text"
                raise KnowledgeError(f"{where}: {what}")
    if not editions or len({edition.version for edition in editions}) != len(editions):
        raise KnowledgeError("changes.toml: versions are missing or named twice")
    return tuple(editions)


def _orders_exist(rules: Iterable[m.Rule[m.Row]], procedures: Mapping[str, m.Procedure]) -> None:
    """Rows that name a study by key name one that exists."""
    for rule in rules:
        for part in (rule.condition.when, *rule.condition.any):
            for test in part:
                if test.name == "order" and test.op is m.Op.IN:
                    for key in test.operand:
                        _known_procedure("advice", rule.row.id, key, procedures)


def _procedures(reader: _Reader) -> dict[str, m.Procedure]:
    """The studies, with the attributes that are switched on."""
    table = reader.decode("tables/procedures.toml", _Procedures)
    procedures = _by(table.procedure, "key", "procedures")
    for procedure in procedures.values():
        if procedure.modality not in NAMES["order_modality"].words:
            raise KnowledgeError(f"tables/procedures.toml, {procedure.key!r}: unknown modality {procedure.modality!r}")
    for row in (reader.admit("procedures", table.defaults, row) for row in table.row):
        for key in row.procedures:
            _known_procedure("procedures", row.id, key, procedures)
            if row.enabled:
                known = procedures[key]
                procedures[key] = msgspec.structs.replace(known, attributes=known.attributes | {row.attribute})
    return procedures


def _pama(reader: _Reader) -> dict[str, m.PamaRow]:
    """How each category is recorded, and under the empty name when nothing is: exactly one row each, on any day."""
    found: dict[str, m.PamaRow] = {}
    for row in reader.table("pama", _Pama):
        for category in row.categories or [""]:
            if category in found or bool(row.code) is not bool(category):
                raise KnowledgeError(f"tables/pama.toml, row {row.id!r}: a category has one row and one code")
            found[category] = row
    if set(found) != {"", APPROPRIATE_USE, *RATINGS}:
        raise KnowledgeError("tables/pama.toml: the categories are not exactly those of domain/terms.py")
    return found


def _unavailable(site: Site, procedures: Mapping[str, m.Procedure]) -> frozenset[str]:
    """Studies the site does not have, named by key or by modality."""
    modalities = NAMES["order_modality"].words
    unknown = [name for name in site.studies.unavailable if name not in procedures and name not in modalities]
    if unknown:
        raise SiteError(
            f"The site file does not fit: studies.unavailable: no such study or modality: {', '.join(unknown)}."
        )
    named = set(site.studies.unavailable)
    return frozenset(key for key, procedure in procedures.items() if {key, procedure.modality} & named)


def _unrated_here(site: Site, equivalence: m.PrincipleRow) -> frozenset[str]:
    """SSTR PET is not suggested where its rating does not reach the site's tracer (RAT-07)."""
    rated = equivalence.class_equivalence or site.studies.sstr_agent in equivalence.agents
    return frozenset() if rated else frozenset({"pet-ct-sstr"})


def read_knowledge(folder: Traversable, site: Site = DEFAULT_SITE) -> m.Knowledge:
    """Load the tables of a folder as they hold at a site.

    Raises:
        KnowledgeError: a file or row cannot be used; the message names it.
        SiteError: the site file names something that does not exist, or a value outside its limits.
    """
    reader = _Reader(folder, site)
    reader.read_sources()
    procedures = _procedures(reader)
    selection = reader.rules("selection", reader.table("selection", _Selection))
    for rule in selection:
        _known_scenario("selection", rule.row.id, rule.row.scenario)
    preferences = reader.table("suggestions", _Preferences)
    for row in preferences:
        _known_scenario("suggestions", row.id, row.scenario)
        for key in row.preference:
            _known_procedure("suggestions", row.id, key, procedures)
    overlay = reader.rules("overlay", reader.table("overlay", _Overlay))
    advice = reader.rules("advice", reader.table("advice", _Advice))
    safety = reader.rules("safety", reader.table("safety", _Safety))
    _orders_exist((*overlay, *advice, *safety), procedures)
    staging = [rule for name in _STAGING_TABLES for rule in _staging_rules(reader, name)]
    notes = reader.table("staging-notes", _StagingNotes)
    timing = reader.decode("tables/followup.toml", _Followup)
    tolerance = reader.admit("followup", timing.defaults, timing.tolerance)
    triggers = reader.admit("followup", timing.defaults, timing.triggers)
    followup = [
        row
        for row in (reader.admit("followup", timing.defaults, row) for row in timing.row)
        if row.profile in (None, site.followup.profile)
    ]
    scenarios = _by(reader.table("scenarios", _Scenarios), "scenario", "scenarios")
    if set(scenarios) != set(SCENARIOS):
        raise KnowledgeError("tables/scenarios.toml: the scenarios are not exactly those of domain/terms.py")
    for row in scenarios.values():
        for candidate in row.candidates:
            _known_scenario("scenarios", row.id, candidate)
    ratings = tuple(reader.table("ratings", _Ratings))
    _check_ratings(ratings, procedures)
    grading = tuple(reader.table("grading", _Grading))
    _needed("grading", _GRADING_NEEDS, (row.id for row in grading))
    markers = _by(reader.table("markers", _Markers), "marker", "markers")
    _needed("markers", _MARKERS, markers)
    principles = _by(reader.table("principles", _Principles), "id", "principles")
    _needed("principles", _PRINCIPLES, principles)
    pama = _pama(reader)
    context = _read_context(reader)
    rule_rows: dict[str, m.Row] = {}
    for stored in reader.rows.values():
        rule_rows.setdefault(stored.rule_id, stored)
    known = {*rule_rows, *reader.rows}
    _references_exist(reader, advice, known)
    editions = _read_editions(reader, known)
    return m.Knowledge(
        version=editions[0].version,
        hash=reader.digest.hexdigest()[:16],
        sources=reader.sources,
        procedures=procedures,
        scenarios=scenarios,
        selection=selection,
        rating_rows=ratings,
        ratings=m.rating_table(ratings),
        overlay=overlay,
        advice=advice,
        safety=safety,
        preferences=_by(preferences, "scenario", "suggestions"),
        grading=grading,
        staging=_staging(staging),
        staging_warnings=reader.rules("staging-notes", [row for row in notes if isinstance(row, m.StagingWarningRow)]),
        nodes=_one(notes, m.NodesRow, "staging-notes"),
        applicability=_one(notes, m.ApplicabilityRow, "staging-notes"),
        primary_system=_one(notes, m.PrimarySystemRow, "staging-notes"),
        followup=reader.rules("followup", followup),
        tolerance=tolerance,
        triggers=m.Rule(triggers, reader.condition("followup", triggers)),
        markers=markers,
        principles=principles,
        pama=pama,
        rows=dict(reader.rows),
        rule_rows=rule_rows,
        context=context,
        tables=dict(reader.tables),
        editions=editions,
        settings=reader.settings,
        engineering_defaults=reader.defaults,
        site=site,
        unavailable=_unavailable(site, procedures) | _unrated_here(site, principles["RAT-07"]),
        newest_start=max(row.valid_from for row in reader.rows.values()),
        first_end=min((row.valid_until for row in reader.rows.values() if row.valid_until), default=""),
    )


@cache
def load_knowledge() -> m.Knowledge:
    """The knowledge packaged with this distribution, read once."""
    return knowledge_at(DEFAULT_SITE)


def knowledge_at(site: Site) -> m.Knowledge:
    """The knowledge packaged with this distribution as it holds at a site.

    Raises:
        SiteError: the site file names something that does not exist, or a value outside its limits.
    """
    return read_knowledge(files("cds_service.knowledge"), site)
