"""Bad tables do not load, and say file, row and reason; rows apply on their days only; ratings are words."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cds_service.clinical.assess import assess
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Order
from cds_service.domain.terms import BASES, NAMES, RATINGS, SCENARIOS
from cds_service.errors import KnowledgeError
from cds_service.knowledge import Knowledge
from cds_service.knowledge.loader import read_knowledge
from cds_service.knowledge.model import RatingRow

PACKAGED = Path(str(files("cds_service.knowledge")))
TABLES = sorted(path.stem for path in (PACKAGED / "tables").glob("*.toml"))
STAGING = Facts(age_years=58, nen_status="confirmed", primary_site="pancreas", differentiation="well")

Edit = Callable[[str, str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged knowledge, to be damaged."""
    copy = tmp_path / "knowledge"
    shutil.copytree(PACKAGED, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


@pytest.fixture
def edit(folder: Path) -> Edit:
    """Replaces the first occurrence of a text behind a row's id."""

    def change(file: str, old: str, new: str, row: str = "") -> None:
        path = folder / file
        content = path.read_text(encoding="utf-8")
        start = content.index(f'id = "{row}"\n') if row else 0
        head, tail = content[:start], content[start:]
        assert old in tail, f"{file} has no {old!r} behind {row!r}"
        path.write_text(head + tail.replace(old, new, 1), encoding="utf-8")

    return change


def append(folder: Path, file: str, text: str) -> None:
    """Add rows to the end of a table."""
    path = folder / file
    path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")


def refusal(folder: Path) -> str:
    """What the loader says about a folder it refuses."""
    with pytest.raises(KnowledgeError) as refused:
        read_knowledge(folder)
    assert refused.value.slug == "knowledge-invalid"
    return str(refused.value)


def test_an_undamaged_copy_is_the_packaged_knowledge(folder: Path, knowledge: Knowledge) -> None:
    """The copy loads, and its hash is that of the packaged one."""
    assert read_knowledge(folder) == knowledge


# --- what is refused --------------------------------------------------------------------------------------------------

CITE = 'cite = ["gighz-staging-2026: scenario definition"]'

DAMAGES: dict[str, tuple[str, str, str, str, str]] = {
    # damage: file, row, text, replacement, reason
    "citation left out": ("selection", "SEL-01", f"{CITE}\n", "", "cite"),
    "no citation": ("selection", "SEL-01", CITE, "cite = []", "at least one citation"),
    "unknown source": ("selection", "SEL-01", CITE, 'cite = ["nobody-2020: page 1"]', "nobody-2020"),
    "citation without a place": ("selection", "SEL-01", CITE, 'cite = ["gighz-staging-2026"]', "gighz-staging-2026"),
    "citation with an empty place": ("selection", "SEL-01", CITE, 'cite = ["gighz-staging-2026: "]', "citation"),
    "no basis": ("selection", "SEL-01", 'basis = ["seed"]', "basis = []", "at least one citation and one basis"),
    "unknown basis": ("selection", "SEL-01", 'basis = ["seed"]', 'basis = ["hearsay"]', "hearsay"),
    "unknown key": ("safety", "SAF-01", 'severity = "critical"', 'severity = "critical"\ncolour = "red"', "colour"),
    "key left out": ("safety", "SAF-01", 'headline = "MRI is', '# headline = "MRI is', "headline"),
    "unknown severity": ("safety", "SAF-01", 'severity = "critical"', 'severity = "fatal"', "fatal"),
    "unknown fact": (
        "selection",
        "SEL-01",
        "when = { age_years",
        "when = { age",
        "'age' is neither a fact nor a signal",
    ),
    "unknown fact in an alternative": (
        "safety",
        "SAF-05",
        "{ order_gadolinium = true, aki = true }",
        "{ order_gadolinium = true, kidneys = true }",
        "'kidneys' is neither",
    ),
    "unknown word": (
        "overlay",
        "AUC-01a",
        'differentiation = "well"',
        'differentiation = "good"',
        "'good' is not a word of differentiation (well, poor, mixed)",
    ),
    "unknown word in a list": ("selection", "SEL-03", '"thymus"', '"tymus"', "'tymus' is not a word of primary_site"),
    "unknown word behind an operator": (
        "selection",
        "SEL-07",
        'recurrence = { unless = ["suspected", "known"] }',
        'recurrence = { unless = ["suspect"] }',
        "'suspect' is not a word of recurrence",
    ),
    "unknown word in a list fact": ("followup", "FUP-03", '"targeted"', '"biologic"', "'biologic' is not a word"),
    "unknown operator": (
        "selection",
        "SEL-01",
        "{ below = 18 }",
        "{ under = 18 }",
        "age_years is tested with the unknown operator 'under'",
    ),
    "operator without its own spelling": ("selection", "SEL-01", "{ below = 18 }", "{ range = 18 }", "range"),
    "bounds on a word": (
        "overlay",
        "AUC-01a",
        'differentiation = "well"',
        "differentiation = { above = 3 }",
        "differentiation is not a number, bounds do not apply",
    ),
    "bounds on a flag": (
        "safety",
        "SAF-11",
        "pregnant = true",
        "pregnant = { at_least = 1 }",
        "pregnant is not a number",
    ),
    "bound that is no number": ("selection", "SEL-01", "{ below = 18 }", '{ below = "18" }', "Expected `float | null`"),
    "number for a flag": ("safety", "SAF-11", "pregnant = true", "pregnant = 1", "1 does not fit pregnant"),
    "flag for a number": ("staging-notes", "TNM-W1", "size_mm = 20", "size_mm = true", "True does not fit size_mm"),
    "word for a list": (
        "advice",
        "MOD-14",
        'metastases = { contains = ["peritoneum"] }',
        'metastases = "peritoneum"',
        "metastases",
    ),
    "list test of a word": (
        "advice",
        "MOD-27",
        'hereditary_syndrome = "men1"',
        'hereditary_syndrome = { contains = ["men1"] }',
        "hereditary_syndrome",
    ),
    "empty list of words": (
        "advice",
        "MOD-14",
        '{ contains = ["peritoneum"] }',
        "{ contains = [] }",
        "takes a list of words",
    ),
    "emptiness of a word": (
        "advice",
        "MOD-27",
        'hereditary_syndrome = "men1"',
        "hereditary_syndrome = { empty = true }",
        "empty of hereditary_syndrome",
    ),
    "empty statement": ("ratings", "R01-01", 'statement = "MRI of', 'statement = "  " # "MRI of', "statement is empty"),
    "unknown procedure in a rating": ("ratings", "R01-06", '["eus"]', '["eus-2"]', "unknown procedure 'eus-2'"),
    "unknown procedure in a preference": (
        "suggestions",
        "SUG-02.liver",
        '["mri-abd-pel-wwo"]',
        '["mri-liver"]',
        "unknown procedure 'mri-liver'",
    ),
    "unknown procedure in a condition": (
        "advice",
        "PIT-02",
        'order = "eus"',
        'order = "eus-2"',
        "unknown procedure 'eus-2'",
    ),
    "unknown procedure in a list": ("advice", "PIT-09", '"mri-abd-pel-wo"]', '"mri-abd-pelvis"]', "'mri-abd-pelvis'"),
    "unknown scenario in a rating": (
        "ratings",
        "R03-01",
        'scenario = "pnet-untreated-followup"',
        'scenario = "pnet-untreated"',
        "unknown scenario 'pnet-untreated'",
    ),
    "unknown scenario in the selection": (
        "selection",
        "SEL-06",
        'scenario = "pnet-primary-localisation"',
        'scenario = "pnet-search"',
        "unknown scenario 'pnet-search'",
    ),
    "unknown scenario in a preference": (
        "suggestions",
        "SUG-02.liver",
        'scenario = "pnet-liver-dominant-followup"',
        'scenario = "pnet-liver"',
        "unknown scenario 'pnet-liver'",
    ),
    "unknown scenario in a condition": (
        "advice",
        "PIT-02",
        'scenario = "pnet-initial-staging"',
        'scenario = "pnet-staging"',
        "'pnet-staging' is not a word of scenario",
    ),
    "unknown candidate": (
        "scenarios",
        "SCN-11",
        '"pnet-liver-dominant-followup"',
        '"pnet-liver"',
        "unknown scenario 'pnet-liver'",
    ),
    "unknown rating": ("ratings", "R01-05", '"may-be-appropriate"', '"perhaps"', "perhaps"),
    "rating twice": ("ratings", "R01-02", '["ct-abd-pel-w"]', '["ct-abd-pel-w", "mri-abd-pel-wwo"]', "is rated twice"),
    "day that does not exist": (
        "selection",
        "SEL-01",
        'id = "SEL-01"\n',
        'id = "SEL-01"\nvalid_from = "2026-02-30"\n',
        "valid_from '2026-02-30' is not a date",
    ),
    "end that is no day": (
        "selection",
        "SEL-01",
        'id = "SEL-01"\n',
        'id = "SEL-01"\nvalid_until = "soon"\n',
        "valid_until 'soon' is not a date",
    ),
    "day in another spelling": (
        "selection",
        "SEL-01",
        'id = "SEL-01"\n',
        'id = "SEL-01"\nvalid_until = "20270101"\n',
        "valid_until '20270101' is not a date",
    ),
    "week instead of a day": (
        "selection",
        "SEL-01",
        'id = "SEL-01"\n',
        'id = "SEL-01"\nvalid_from = "2026-W10-1"\n',
        "valid_from '2026-W10-1' is not a date",
    ),
    "end before the beginning": (
        "selection",
        "SEL-01",
        'id = "SEL-01"\n',
        'id = "SEL-01"\nvalid_until = "2009-01-01"\n',
        "valid_until",
    ),
    "unknown site": ("staging-pancreas", "TNM-01.T4", 'sites = ["pancreas"]', 'sites = ["pancreass"]', "'pancreass'"),
    "unknown site of the gut": ("staging-gut", "TNM-40.ajcc8.T4", '["stomach"]', '["gaster"]', "'gaster'"),
    "unknown axis": ("staging-gut", "TNM-40.ajcc8.T4", 'axis = "T"', 'axis = "G"', "G"),
    "unknown word in staging": ("staging-gut", "TNM-40.ajcc8.T3", '"subserosa"', '"adventitia"', "'adventitia'"),
    "unknown kind of grading row": ("grading", "GRD-02", 'kind = "note"', 'kind = "remark"', "remark"),
    "unknown fact to ask for": (
        "selection",
        "SEL-09c",
        'missing = ["disease_dominance"]',
        'missing = ["place"]',
        "'place'",
    ),
    "unknown trigger": ("followup", "FUP-22", "{ rapid_growth = true }", "{ fast = true }", "'fast' is neither"),
    "rule to refer to that does not exist": (
        "advice",
        "MOD-27",
        'refers_to = "HER-01"',
        'refers_to = "HER-99"',
        "HER-99",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_stops_the_load(damage: str, folder: Path, edit: Any) -> None:
    """The message names the file, the row, and what is wrong with it."""
    table, row, old, new, reason = DAMAGES[damage]
    file = f"tables/{table}.toml"
    edit(file, old, new, row)
    said = refusal(folder)
    assert reason in said
    assert file in said
    assert row in said


@pytest.mark.parametrize("table", TABLES)
def test_every_table_refuses_an_unknown_key(table: str, folder: Path, edit: Any) -> None:
    """A key nobody reads is refused in every table, at its head."""
    edit(f"tables/{table}.toml", "\ntitle = ", '\nflavour = "sour"\ntitle = ')
    said = refusal(folder)
    assert f"tables/{table}.toml" in said
    assert "flavour" in said


@pytest.mark.parametrize("table", [name for name in TABLES if name != "procedures"])
def test_every_table_refuses_an_id_of_another(table: str, folder: Path) -> None:
    """Ids are unique over all tables: the id of a row elsewhere is refused, with the file that repeats it."""
    path = folder / "tables" / f"{table}.toml"
    content = path.read_text(encoding="utf-8")
    taken = "SAF-01" if table != "safety" else "SEL-01"
    path.write_text(re.sub(r'(\[\[row\]\]\nid = )"[^"]+"', rf'\1"{taken}"', content, count=1), encoding="utf-8")
    said = refusal(folder)
    assert taken in said
    assert "already used" in said
    assert "tables/" in said


@pytest.mark.parametrize("table", TABLES)
def test_every_table_refuses_broken_toml(table: str, folder: Path) -> None:
    """A file that is no TOML is named."""
    append(folder, f"tables/{table}.toml", "[[row\n")
    assert f"tables/{table}.toml" in refusal(folder)


@pytest.mark.parametrize("file", [*(f"tables/{table}.toml" for table in TABLES), "sources.toml"])
def test_a_table_that_is_not_there_is_said(file: str, folder: Path) -> None:
    """A missing file is named by our own error."""
    (folder / file).unlink()
    assert file in refusal(folder)


@pytest.mark.parametrize("reference", ["NOT-01", "FUN-01"])
def test_a_row_refers_to_others_that_exist(reference: str, folder: Path, edit: Any) -> None:
    """What a row points to is another row or rule, so that every link of a page leads somewhere."""
    edit("tables/context.toml", "see = [", f'see = ["{reference}", ', "FUN-01")
    assert f"tables/context.toml, row 'FUN-01': see names '{reference}'" in refusal(folder)


def test_context_names_scenarios_that_exist(folder: Path, edit: Any) -> None:
    """A fact is shown on pages that exist."""
    edit("tables/context.toml", '"pnet-primary-localisation"', '"pnet-everything"', "FUN-03")
    assert "tables/context.toml, row 'FUN-03': unknown scenario 'pnet-everything'" in refusal(folder)


# --- changelog of the content -----------------------------------------------------------------------------------------


def test_the_newest_change_names_the_version(folder: Path, knowledge: Knowledge) -> None:
    """The version of the knowledge is the label of the first entry of its changelog."""
    path = folder / "changes.toml"
    entry = '[[edition]]\nversion = "2030.1"\ndate = "2030-01-01"\nchange = [{ text = "New.", rows = ["RAT-01"] }]\n\n'
    path.write_text(entry + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert read_knowledge(folder).version == "2030.1"
    assert knowledge.version == knowledge.editions[0].version


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('rows = ["MOD-30"]', 'rows = ["MOD-99"]', "MOD-99 is no row or table"),
        ('tables = ["context"]', 'tables = ["contexts"]', "contexts is no row or table"),
        ('version = "2026.11"', 'version = "2026.11.2"', "named twice"),
        ('date = "2026-11-20"', 'date = "2027-11-20"', "newest comes first"),
        ('date = "2026-11-20"', 'date = "2026-11-32"', "is not a date"),
        ("rows = [", "row = [", "unknown field"),
    ],
)
def test_a_changelog_that_cannot_be_right_is_refused(old: str, new: str, said: str, folder: Path, edit: Any) -> None:
    """It speaks of rows and tables that exist, its versions are unique and its newest entry comes first."""
    edit("changes.toml", old, new)
    refused = refusal(folder)
    assert "changes.toml" in refused
    assert said in refused


def test_the_changelog_speaks_of_every_table(knowledge: Knowledge) -> None:
    """Each table was introduced by some change, so that no content appears unannounced."""
    told = {table for edition in knowledge.editions for change in edition.change for table in change.tables}
    assert told == set(knowledge.tables.values())


def test_the_content_has_one_changelog() -> None:
    """The changelog of the project points to the one of the content and repeats nothing of it."""
    text = (PACKAGED.parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"### Clinical content\n(.*?)(?=\n#|\Z)", text, re.DOTALL)
    assert sections
    for section in sections:
        assert "cds_service/knowledge/changes.toml" in section
        assert not re.search(r"^- ", section, re.MULTILINE)


def test_a_source_named_twice_is_refused(folder: Path) -> None:
    """Two sources under one key cannot both be cited."""
    append(
        folder,
        "sources.toml",
        '[[source]]\nkey = "dromain-2016"\nkind = "public"\nlabel = "Another"\ncitation = "Another"\n',
    )
    said = refusal(folder)
    assert "sources.toml" in said
    assert "dromain-2016" in said


def test_a_procedure_named_twice_is_refused(folder: Path) -> None:
    """Two studies under one key cannot both be ordered."""
    append(
        folder,
        "tables/procedures.toml",
        '[[procedure]]\nkey = "eus"\nlabel = "x"\nshort = "x"\nmodality = "endoscopy"\nattributes = []\n',
    )
    said = refusal(folder)
    assert "procedures.toml" in said
    assert "'eus'" in said


def test_an_unknown_attribute_is_refused(folder: Path, edit: Any) -> None:
    """An attribute no rule knows is refused."""
    edit("tables/procedures.toml", 'attributes = ["ionising"]', 'attributes = ["radiant"]')
    said = refusal(folder)
    assert "procedures.toml" in said
    assert "radiant" in said


def test_an_unknown_modality_is_refused(folder: Path, edit: Any) -> None:
    """A modality no rule can name is refused, or rules about it would be silent."""
    edit("tables/procedures.toml", 'modality = "mri"', 'modality = "mr"')
    said = refusal(folder)
    assert "procedures.toml" in said
    assert "'mr'" in said


def test_a_scenario_left_out_is_refused(folder: Path) -> None:
    """Every scenario of the vocabulary has its row."""
    path = folder / "tables" / "scenarios.toml"
    content = path.read_text(encoding="utf-8")
    path.write_text(content[: content.rindex("[[row]]")], encoding="utf-8")
    assert "scenarios.toml" in refusal(folder)


@pytest.mark.parametrize("row", ["TNM-22", "TNM-34", "TNM-35"])
def test_a_row_that_staging_needs_is_missed(row: str, folder: Path) -> None:
    """Node stations, applicability and the primary system are needed exactly once."""
    path = folder / "tables" / "staging-notes.toml"
    rows = path.read_text(encoding="utf-8").split("[[row]]")
    path.write_text("[[row]]".join(text for text in rows if f'id = "{row}"\n' not in text), encoding="utf-8")
    assert "staging-notes.toml" in refusal(folder)


@pytest.mark.parametrize("row", ["GRD-01", "GRD-03", "GRD-10", "GRD-11", "GRD-20"])
def test_a_row_that_grading_needs_is_missed(row: str, folder: Path) -> None:
    """Limits, units, bands and classes are needed: without one the load stops, not the first patient."""
    path = folder / "tables" / "grading.toml"
    rows = path.read_text(encoding="utf-8").split("[[row]]")
    path.write_text("[[row]]".join(text for text in rows if f'id = "{row}"\n' not in text), encoding="utf-8")
    assert "grading.toml" in refusal(folder)


@pytest.mark.parametrize("row", ["PRG-01", "PRG-03", "TRT-01", "TRT-03", "TRT-06"])
def test_a_marker_that_is_read_is_missed(row: str, folder: Path) -> None:
    """Each marker that the code asks for is needed."""
    path = folder / "tables" / "markers.toml"
    rows = path.read_text(encoding="utf-8").split("[[row]]")
    path.write_text("[[row]]".join(text for text in rows if f'id = "{row}"\n' not in text), encoding="utf-8")
    assert "markers.toml" in refusal(folder)


@pytest.mark.parametrize("row", ["SEL-D", "SEL-T"])
def test_a_principle_that_is_read_is_missed(row: str, folder: Path) -> None:
    """The principles that hold a limit or an exception are needed."""
    path = folder / "tables" / "principles.toml"
    rows = path.read_text(encoding="utf-8").split("[[row]]")
    path.write_text("[[row]]".join(text for text in rows if f'id = "{row}"\n' not in text), encoding="utf-8")
    assert "principles.toml" in refusal(folder)


def test_the_hash_tells_any_change(folder: Path, edit: Any, knowledge: Knowledge) -> None:
    """One word in one table makes another hash."""
    edit("tables/selection.toml", "The scenarios are for adults.", "The scenarios are for adults only.", "SEL-01")
    assert read_knowledge(folder).hash != knowledge.hash


# --- days -------------------------------------------------------------------------------------------------------------

BEFORE, DAY, AFTER = date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21)


def assessed(knowledge: Knowledge, *procedures: str, facts: Facts = STAGING) -> Assessment:
    """The assessment of a staging patient."""
    orders = tuple(Order(str(n), key) for n, key in enumerate(procedures))
    return assess(facts, orders, knowledge)


Dated = Callable[[str, str, str], Knowledge]


@pytest.fixture
def dated(folder: Path, edit: Any) -> Dated:
    """The knowledge with one row given a date."""

    def load(table: str, row: str, dates: str) -> Knowledge:
        edit(f"tables/{table}.toml", f'id = "{row}"\n', f'id = "{row}"\n{dates}\n', row)
        return read_knowledge(folder)

    return load


SINCE, UNTIL = 'valid_from = "2026-11-20"', 'valid_until = "2026-11-20"'

ROWS: dict[str, tuple[str, str, Callable[[Knowledge], object]]] = {
    "selection": (
        "selection",
        "SEL-06",
        lambda k: assessed(k, facts=replace(STAGING, nen_status="biochemical-suspicion")).scenario_rule == "SEL-06",
    ),
    "rating": ("ratings", "R01-06", lambda k: assessed(k, "eus").orders[0].rating_rule == "R01-06"),
    "overlay": ("overlay", "AUC-01a", lambda k: assessed(k).auc == "appropriate"),
    "advice": ("advice", "PIT-02", lambda k: "PIT-02" in assessed(k, "eus").warnings),
    "safety": (
        "safety",
        "SAF-02",
        lambda k: "SAF-02" in assessed(k, "mrcp", facts=replace(STAGING, implant="unknown")).warnings,
    ),
    "preference": ("suggestions", "SUG-02.staging", lambda k: assessed(k, "eus").orders[0].suggestion is not None),
    "staging": (
        "staging-pancreas",
        "TNM-03.T1",
        lambda k: assessed(k, facts=replace(STAGING, size_mm=10.0)).tnm["ajcc8"].t == "T1",
    ),
    "staging of the gut": (
        "staging-gut",
        "TNM-55.ajcc8.N1",
        lambda k: assessed(k, facts=replace(STAGING, primary_site="colon", nodes="positive")).tnm["ajcc8"].n == "N1",
    ),
    "staging warning": (
        "staging-notes",
        "TNM-W1",
        lambda k: "TNM-W1" in assessed(k, facts=replace(STAGING, size_mm=20.0)).warnings,
    ),
    "follow-up": (
        "followup",
        "FUP-03",
        lambda k: assessed(k, facts=replace(STAGING, current_treatments=("chemotherapy",))).followup.rule == "FUP-03",
    ),
    "trigger": (
        "followup",
        "FUP-22",
        lambda k: (
            assessed(
                k,
                facts=replace(
                    STAGING,
                    current_treatments=("chemotherapy",),
                    months_since_last_imaging=1.0,
                    new_symptoms=True,
                ),
            ).followup.status
            == "due"
        ),
    ),
    "marker": (
        "markers",
        "PRG-01",
        lambda k: assessed(k, facts=replace(STAGING, size_mm=50.0)).markers["size_gt_30"] is True,
    ),
    "context": ("context", "FUN-01", lambda k: "FUN-01" in {row.id for row in k.context}),
    "eligibility": (
        "markers",
        "TRT-06",
        lambda k: (
            assessed(k, facts=replace(STAGING, liver_involvement_percent=50.0)).eligibility["staged_tace"] is True
        ),
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_that_was_replaced_is_not_applied(kind: str, dated: Dated) -> None:
    """A row with an end applies up to the day before, and not from that day on."""
    table, row, applies = ROWS[kind]
    knowledge = dated(table, row, UNTIL)
    assert [bool(applies(knowledge.on(day))) for day in (BEFORE, DAY, AFTER)] == [True, False, False]


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_of_the_future_is_not_applied_yet(kind: str, dated: Dated) -> None:
    """A row with a beginning applies from that day on, and not before."""
    table, row, applies = ROWS[kind]
    knowledge = dated(table, row, SINCE)
    assert [bool(applies(knowledge.on(day))) for day in (BEFORE, DAY, AFTER)] == [False, True, True]


NEW_RATING = """
[[row]]
id = "R01-06.2027"
rule = "R01-06"
scenario = "pnet-initial-staging"
procedures = ["eus"]
rating = "may-be-appropriate"
radiation = "not stated by the source"
statement = "A later edition."
cite = ["gighz-staging-2026: ratings"]
basis = ["seed"]
valid_from = "2026-11-20"
"""


@pytest.mark.parametrize(("day", "rating"), [(BEFORE, "usually-not-appropriate"), (DAY, "may-be-appropriate")])
def test_a_new_edition_takes_over_on_its_day(day: date, rating: str, folder: Path, edit: Any) -> None:
    """Closing a rating and adding the new one gives the old answer before the day and the new one from it on."""
    edit("tables/ratings.toml", 'id = "R01-06"\n', f'id = "R01-06"\n{UNTIL}\n', "R01-06")
    append(folder, "tables/ratings.toml", NEW_RATING)
    knowledge = read_knowledge(folder).on(day)
    assert assessed(knowledge, "eus").orders[0].rating == rating


def test_the_rows_of_a_day_are_put_together_once(dated: Dated) -> None:
    """Asked again for the day, knowledge is the same object, so that what is remembered of its rows is found."""
    knowledge = dated("selection", "SEL-08", UNTIL)
    assert knowledge.on(AFTER) is knowledge.on(AFTER)
    assert knowledge.on(AFTER) is not knowledge.on(BEFORE)


def test_two_editions_on_one_day_are_refused(folder: Path) -> None:
    """While the old rating is still open, a second one for the same pair is refused."""
    append(folder, "tables/ratings.toml", NEW_RATING)
    assert "is rated twice" in refusal(folder)


def test_the_packaged_knowledge_is_in_force_today_and_on_no_day_before_it_began(knowledge: Knowledge) -> None:
    """On the day it was checked nothing is left out; on a day before all rows our own error says so."""
    assert knowledge.on(DAY) == knowledge
    with pytest.raises(KnowledgeError):
        knowledge.on(date(2009, 12, 31))


# --- the packaged tables ----------------------------------------------------------------------------------------------


def test_no_pair_is_rated_twice(knowledge: Knowledge) -> None:
    """At most one row rates a study in a scenario."""
    pairs = Counter(
        (row.scenario, procedure)
        for row in knowledge.rows.values()
        if isinstance(row, RatingRow)
        for procedure in row.procedures
    )
    assert [pair for pair, count in pairs.items() if count > 1] == []
    assert {pair: knowledge.ratings[pair].id for pair in pairs}.keys() == knowledge.ratings.keys()


SPECIFIED = {
    "pnet-initial-staging": {
        "mri-abd-pel-wwo": "usually-appropriate",
        "ct-abd-pel-w": "usually-appropriate",
        "pet-ct-sstr": "usually-appropriate",
        "ct-cap-w": "usually-appropriate",
        "pet-ct-fdg": "may-be-appropriate",
        "eus": "usually-not-appropriate",
        "ct-abd-wo": "usually-not-appropriate",
        "ct-abd-pel-wo": "usually-not-appropriate",
        "mri-abd-wo": "usually-not-appropriate",
        "mri-abd-pel-wo": "usually-not-appropriate",
    },
    "pnet-untreated-followup": {"mri-abd-pel-wwo": "usually-appropriate"},
    "pnet-post-resection-surveillance": {"ct-abd-pel-w": "usually-appropriate"},
    "pnet-liver-dominant-followup": {"mri-abd-pel-wwo": "usually-appropriate"},
    "pnet-non-liver-dominant-followup": {
        "mri-abd-pel-wwo": "usually-appropriate",
        "ct-abd-pel-w": "usually-appropriate",
        "pet-ct-sstr": "usually-appropriate",
        "eus": "usually-not-appropriate",
    },
}
"""Sections 1.4 to 1.9 of the specification; every other pair is not rated."""


def test_the_ratings_are_those_of_the_sources(knowledge: Knowledge) -> None:
    """Exactly the pairs the sources rate are rated, with the category reported; there is no other."""
    found: dict[str, dict[str, str]] = {}
    for (scenario, procedure), row in knowledge.ratings.items():
        found.setdefault(scenario, {})[procedure] = row.rating
    assert found == SPECIFIED
    assert {row.rating for row in knowledge.ratings.values()} <= set(RATINGS)


def test_a_preferred_study_is_usually_appropriate(knowledge: Knowledge) -> None:
    """What may be suggested is rated usually appropriate in every scenario it may be suggested for."""
    for scenario, row in knowledge.preferences.items():
        for candidate in knowledge.scenarios[scenario].candidates or [scenario]:
            for procedure in row.preference:
                assert knowledge.ratings[candidate, procedure].rating == "usually-appropriate", (scenario, procedure)


PANEL = re.compile(
    r"(?:rating|rated|score|panel|scale)\D{0,20}\b[1-9](?:\s*(?:-|–|to|of|/)\s*[1-9])?\b(?!\s*(?:mSv|mm|cm|%|month))"
    r"|\b[1-9]\s*(?:/|of|out of)\s*9\b",
    re.IGNORECASE,
)


def test_no_panel_score_is_told(knowledge: Knowledge) -> None:
    """RAT-01: no text of a rating, scenario, preference or overlay row speaks of a score from 1 to 9."""
    tables = (
        *knowledge.ratings.values(),
        *knowledge.scenarios.values(),
        *knowledge.preferences.values(),
        *(rule.row for rule in knowledge.overlay),
    )
    assert PANEL.search("panel rating of 8")
    assert PANEL.search("rated 7-9")
    assert PANEL.search("8 of 9")
    for row in tables:
        assert not PANEL.search(row.statement), row.id
        assert not re.search(r"\b[1-9]\b", re.sub(r"\b1-10 mSv|\b0 mSv", "", getattr(row, "radiation", ""))), row.id
    for row in knowledge.ratings.values():
        assert not re.search(r"(?<![\w.-])[1-9](?![\w.-])", row.statement), row.id


FOLLOWS = {
    "FUP-23",
    "SEL-02",
    "SEL-11",
    "SCN-07",
    "SCN-12",
    "SCN-13",
    "GRD-01",
    "GRD-07",
    "GRD-W9",
    "RAT-02",
    "RAT-03",
    "SUG-01",
    "SUG-05",
    "SUG-06",
    "TNM-11",
}
"""Rows for which the specification names no source and no engineering choice: they follow from the others."""


def test_what_rests_on_the_project_says_so(knowledge: Knowledge) -> None:
    """A row that cites the project is labelled an engineering default, unless it follows from the other rules."""
    unlabelled = {
        row.id
        for row in knowledge.rows.values()
        if any(source.kind == "project" for source in knowledge.sources_of(row)) and not row.from_project
    }
    assert unlabelled == FOLLOWS
    assert {tuple(knowledge.rows[row_id].basis) for row_id in FOLLOWS} == {("derived",)}


def test_a_basis_has_its_source(knowledge: Knowledge) -> None:
    """What is called seed cites a seed, and what cites the project alone is called neither seed nor public."""
    for row in knowledge.rows.values():
        kinds = {source.kind for source in knowledge.sources_of(row)}
        if "seed" in row.basis:
            assert "seed" in kinds, row.id
        if kinds == {"project"}:
            assert not {"seed", "public"}.intersection(row.basis), row.id


ENGINEERED = {
    "FUP-20",
    "FUP-22",
    "FUP-01.first-year",
    "FUP-01.later",
    "FUP-06.first-year",
    "FUP-06.later",
    "FUP-12",
    "FUP-21",
    "GRD-04",
    "GRD-06",
    "GRD-08",
    "GRD-W7",
    "GRD-W8",
    "PIT-04",
    "PRG-03",
    "PRG-05",
    "SAF-02",
    "SAF-03",
    "SAF-04",
    "SAF-09",
    "SAF-11",
    "SAF-14",
    "SAF-15",
    "SAF-16",
    "SAF-20",
    "SEL-0",
    "SEL-07",
    "SEL-08",
    "SEL-10b",
    "SEL-T",
    "TNM-25",
    "TNM-W4",
    "TNM-W5",
    "TNM-W8",
    "TNM-21.provisional",
}
"""Rows for which the specification says ENG, or that use a default it calls ENG (SEL-0, FUP-20)."""


def test_engineering_defaults_are_labelled(knowledge: Knowledge) -> None:
    """Everything the specification calls an engineering default says so in its basis."""
    assert [row_id for row_id in sorted(ENGINEERED) if not knowledge.rows[row_id].from_project] == []


NOT_CITED = {"mims-net"}
"""A source of alternatives that the specification keeps as information and no row applies."""


def test_every_source_can_be_found(knowledge: Knowledge) -> None:
    """Each source has a citation a reader can follow, and but for the listed ones a row that cites it."""
    cited = {cite.partition(":")[0] for row in knowledge.rows.values() for cite in row.cite}
    assert set(knowledge.sources) - cited == NOT_CITED
    for source in knowledge.sources.values():
        assert len(source.citation) > 20, source.key
        assert not re.search(r"\[\d{3}\]|\[P\d+\]", source.citation + source.label), source.key
        assert not source.url or re.match(r"https?://\w", source.url), source.key


def test_every_row_is_dated_and_reviewed_later(knowledge: Knowledge) -> None:
    """Each row says when it was checked, and its review lies after that."""
    for row in knowledge.rows.values():
        assert date.fromisoformat(row.checked) < date.fromisoformat(row.review_by), row.id
        assert not knowledge.expired(date.fromisoformat(row.checked)), row.id


@pytest.mark.parametrize(("day", "expired"), [(date(2027, 11, 20), False), (date(2027, 11, 21), True)])
def test_rows_past_their_review_are_told(day: date, expired: bool, knowledge: Knowledge) -> None:
    """The day of the review is still in time; the day after it is not."""
    assert bool(knowledge.expired(day)) is expired


def test_every_word_a_row_uses_is_one_it_can_meet(knowledge: Knowledge) -> None:
    """Scenarios, bases and names are those of the vocabulary, and every rule id leads to one of its rows."""
    assert set(knowledge.scenarios) == set(SCENARIOS)
    for row in knowledge.rows.values():
        assert set(row.basis) <= set(BASES)
        assert knowledge.rule_rows[row.rule_id].rule_id == row.rule_id
    for table in ("selection", "overlay", "advice", "safety", "staging_warnings", "followup"):
        for rule in getattr(knowledge, table):
            assert rule.condition.names <= set(NAMES), rule.row.id


def test_tables_quote_no_working_tags() -> None:
    """Sources are cited by their bibliographic entry, never by the tags of the working papers."""
    for table in TABLES:
        text = (PACKAGED / "tables" / f"{table}.toml").read_text(encoding="utf-8")
        assert not re.search(r"\[(?:0\d\d|P\d+|ENG)\]", text), table


def test_the_vocabulary_offers_nothing_the_rules_cannot_meet(knowledge: Knowledge) -> None:
    """Each study is of a modality that rules can name, and each scenario that is chosen has a row that chooses it."""
    modalities = set(NAMES["order_modality"].words)
    assert {procedure.modality for procedure in knowledge.procedures.values()} <= modalities
    assert {rule.row.scenario for rule in knowledge.selection} == set(SCENARIOS)
