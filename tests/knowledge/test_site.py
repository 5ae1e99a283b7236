"""Site policy: what a site file may say, what it changes, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from cds_service.cards import wording
from cds_service.clinical.assess import assess
from cds_service.domain.facts import Facts
from cds_service.domain.findings import Assessment, Order
from cds_service.errors import KnowledgeError, SiteError
from cds_service.knowledge import DEFAULT_SITE, Knowledge, Site, knowledge_at, load_knowledge, load_site
from cds_service.knowledge.loader import read_knowledge
from cds_service.knowledge.site import shown
from tests.clinical.patients import PATIENTS, RESECTED, STAGING, UNTREATED

MRI: Final = "mri-abd-pel-wwo"
CT: Final = "ct-abd-pel-w"
SSTR: Final = "pet-ct-sstr"
DEFAULTS: Final = load_knowledge().engineering_defaults


def at(**defaults: Any) -> Knowledge:
    """The knowledge at a site that sets these engineering defaults."""
    return knowledge_at(Site(defaults=defaults))


def assessed(facts: Facts, procedure: str, knowledge: Knowledge, **order: Any) -> Assessment:
    """The assessment of one order."""
    return assess(facts, (Order("1", procedure, **order),), knowledge)


# --- the file ---------------------------------------------------------------------------------------------------------


def written(folder: Path, text: str) -> Path:
    """A site file."""
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_site_file_says_what_differs(tmp_path: Path) -> None:
    """What the file names is read, the rest has its default, and the content has a hash."""
    path = written(tmp_path, 'name = "North"\n[defaults]\nduplicate_days = 14\n[followup]\nprofile = "norway"\n')
    site = load_site(path)
    assert (site.name, site.defaults, site.followup.profile) == ("North", {"duplicate_days": 14}, "norway")
    assert (site.studies, site.orders) == (DEFAULT_SITE.studies, DEFAULT_SITE.orders)
    assert re.fullmatch("[0-9a-f]{16}", site.hash)
    assert load_site(written(tmp_path, "")).hash != site.hash


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = ", "does not fit"),
        ("colour = 1", "colour"),
        ("[followup]\nprofile = 'other'", "followup.profile"),
        ("[orders]\ncode_systems = ['icd']", "orders.code_systems"),
        ("[orders]\ncode_systems = []", "code_systems is empty"),
        ("hash = 'x'", "hash is computed"),
        ("[defaults]\nduplicate_days = {}", "defaults"),
        ("[rows]\nSAF-01 = 1", "rows"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """Anything that is not part of a site file stops the start, and the message names it."""
    with pytest.raises(SiteError, match=re.escape(named)):
        load_site(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A path that cannot be read is a clear error."""
    with pytest.raises(SiteError, match="cannot be read: No such file"):
        load_site(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("defaults", "named"),
    [
        ({"duplicate": 3}, "defaults.duplicate: no such engineering default"),
        ({"duplicate_days": "soon"}, "defaults.duplicate_days: expected a number"),
        ({"duplicate_days": True}, "defaults.duplicate_days: expected a number"),
        ({"duplicate_days": 181.0}, "outside its limits (at least 0, at most 180)"),
        ({"schedule_early_factor": 0.0}, "outside its limits (above 0, at most 1)"),
        ({"pet_ct_covers_chest": 1.0}, "expected true or false"),
        ({"duplicate_severity": "critical"}, "expected one of info, warning"),
        ({"treatments_not_counted": ["aspirin"]}, "expected a list of: ssa-antiproliferative"),
        ({"duplicate_days": -1.0, "nothing": 1.0}, "defaults.nothing: no such engineering default"),
    ],
)
def test_a_value_outside_its_limits_is_refused(defaults: dict[str, Any], named: str) -> None:
    """Every engineering default has limits, all problems are told at once."""
    with pytest.raises(SiteError, match=re.escape(named)):
        at(**defaults)


@pytest.mark.parametrize("names", [["mri-everything"], ["mri", "xray"]])
def test_a_study_that_does_not_exist_is_refused(names: list[str]) -> None:
    """Only known procedure keys and modalities can be declared unavailable."""
    with pytest.raises(SiteError, match=re.escape(names[-1])):
        knowledge_at(Site(studies=type(DEFAULT_SITE.studies)(unavailable=names)))


# --- engineering defaults ---------------------------------------------------------------------------------------------


def test_every_engineering_default_is_used_or_read() -> None:
    """Each is part of a row, or one that reading asks for by name; each lies within its own limits."""
    in_rows = {name for row in load_knowledge().rows.values() for name in row.uses}
    in_reading = {
        key for key in DEFAULTS if "window" in key or key in ("treatment_cycle_days", "chromogranin_rise_factor")
    }
    assert in_rows | in_reading == set(DEFAULTS)
    assert {key: row.refusal(row.value) for key, row in DEFAULTS.items() if row.refusal(row.value)} == {}


def test_every_engineering_default_names_existing_rules() -> None:
    """What a default decides can be looked up."""
    known = {*load_knowledge().rows, *load_knowledge().rule_rows}
    assert {rule for row in DEFAULTS.values() for rule in row.rules} <= known


def test_rows_that_use_a_default_say_so() -> None:
    """A row whose value is an engineering default has that basis, but for the ages and switches that sources name."""
    sourced = {"MOD-26", "RAT-07", "RAT-07.named", "SAF-17"}
    for row in load_knowledge().rows.values():
        if row.uses and row.id not in sourced:
            assert "engineering-default" in row.basis, row.id


def test_the_site_decides_the_duplicate_window_and_it_is_shown() -> None:
    """SAF-15 fires by the site's window; its statement holds the site's number and is marked as a site setting."""
    facts = replace(PATIENTS[STAGING], days_since_same_procedure=20.0)
    shorter = at(duplicate_days=14.0)
    assert "SAF-15" in assessed(facts, MRI, load_knowledge(), days_since_same_procedure=20.0).warnings
    assert "SAF-15" not in assessed(facts, MRI, shorter, days_since_same_procedure=20.0).warnings
    row = shorter.rows["SAF-15"]
    assert "within 14 days" in row.statement
    assert wording.citation(row, shorter) == "site setting"
    assert wording.citation(load_knowledge().rows["SAF-15"], load_knowledge()) == "engineering default"


def test_a_value_equal_to_the_default_is_no_site_setting() -> None:
    """Writing the default down changes nothing."""
    same = at(duplicate_days=28.0)
    assert wording.citation(same.rows["SAF-15"], same) == "engineering default"


def test_the_site_decides_the_tolerance_of_the_schedule() -> None:
    """FUP-20 with the site's factors."""
    facts = replace(PATIENTS[RESECTED], ki67_percent=1.0, mitoses=0.0, months_resection_to_last_imaging=12.0,
                    months_since_last_imaging=8.0)  # fmt: skip
    assert assess(facts, (), load_knowledge()).followup.status == "too-early"
    assert assess(facts, (), at(schedule_early_factor=0.5)).followup.status == "due"


def test_the_site_decides_whether_pet_ct_covers_the_chest() -> None:
    """PIT-04 counts PET/CT as chest imaging unless the site does not."""
    facts = PATIENTS[STAGING]
    assert "PIT-04" not in assessed(facts, SSTR, load_knowledge()).warnings
    assert "PIT-04" in assessed(facts, SSTR, at(pet_ct_covers_chest=False)).warnings


def test_the_site_decides_whether_its_pet_ct_has_contrast() -> None:
    """With contrast in the CT part, the rules for iodinated contrast apply to PET/CT."""
    facts = replace(PATIENTS[STAGING], iodinated_allergy="severe")
    assert "SAF-09" not in assessed(facts, SSTR, load_knowledge()).orders[0].blocked_by
    assert "SAF-09" in assessed(facts, SSTR, at(pet_ct_with_iodinated_contrast=True)).orders[0].blocked_by


def test_the_site_may_block_mri_for_an_unknown_device() -> None:
    """A site that takes devices without a label as critical gets no MRI suggested."""
    facts = replace(PATIENTS[STAGING], implant="unknown")
    strict = at(unknown_device_severity="critical")
    assert assessed(facts, "eus", load_knowledge()).orders[0].suggestion == MRI
    assert assessed(facts, "eus", strict).orders[0].suggestion == CT
    assert assessed(facts, MRI, strict).orders[0].blocked_by == ("SAF-02",)


def test_the_note_on_analogue_timing_can_be_switched_on() -> None:
    """SAF-17 is off unless the site wants it."""
    facts = replace(PATIENTS[STAGING], current_treatments=("ssa-symptom-control",))
    assert "SAF-17" not in assessed(facts, SSTR, load_knowledge()).warnings
    assert "SAF-17" in assessed(facts, SSTR, at(ssa_timing_note=True)).warnings


# --- studies of the site ----------------------------------------------------------------------------------------------


def test_what_the_site_does_not_have_is_not_suggested() -> None:
    """The next study of the preference list is; without one, that is said."""
    site = knowledge_at(Site(studies=type(DEFAULT_SITE.studies)(unavailable=["mri"])))
    assert assessed(PATIENTS[STAGING], "eus", site).orders[0].suggestion == CT
    untreated = assessed(PATIENTS[UNTREATED], "eus", site).orders[0]
    assert (untreated.suggestion, untreated.no_alternative) == (None, True)
    assert {study.procedure for study in untreated.alternatives if not study.available} == {MRI}


def test_without_class_equivalence_only_the_named_tracer_is_rated() -> None:
    """RAT-07 switched off: DOTATATE is rated, another or an unnamed ligand is not, and the reason is said."""
    strict = at(sstr_class_equivalence=False)
    facts = PATIENTS[STAGING]
    assert assessed(facts, SSTR, strict, agent="dotatate").orders[0].rating == "usually-appropriate"
    for agent in ("dotatoc", "dotanoc", None):
        found = assessed(facts, SSTR, strict, agent=agent).orders[0]
        assert (found.rating, found.rating_rule, found.rating_row) == ("not-rated", "RAT-07", "RAT-07.named")
        assert assessed(facts, SSTR, load_knowledge(), agent=agent).orders[0].rating == "usually-appropriate"


def test_without_class_equivalence_another_tracer_is_not_suggested() -> None:
    """A site that uses DOTATOC only is not told to order a study that its own policy does not rate."""
    tracer = type(DEFAULT_SITE.studies)(sstr_tracer="tracer-ga68-dotatoc")
    site = knowledge_at(Site(studies=tracer, defaults={"sstr_class_equivalence": False}))
    facts = replace(PATIENTS[STAGING], implant="non-mr-conditional", iodinated_allergy="severe")
    assert assessed(facts, "eus", load_knowledge()).orders[0].suggestion == SSTR
    assert assessed(facts, "eus", site).orders[0].suggestion is None


# --- documentation ----------------------------------------------------------------------------------------------------

PAGE: Final = Path(__file__).parents[2] / "docs" / "site-policy.md"


def test_the_page_lists_every_engineering_default() -> None:
    """docs/site-policy.md shows each with its value, limits and rules."""
    page = PAGE.read_text(encoding="utf-8")
    for row in DEFAULTS.values():
        limits = row.limits or ", ".join(row.words) or ("yes, no" if isinstance(row.value, bool) else "treatments")
        unit = f" {row.unit}" if row.unit else ""
        line = f"| `{row.key}` | {shown(row.value)}{unit} | {limits} | {row.meaning} | {', '.join(row.rules)} |"
        assert line in page, line


def test_the_example_of_the_page_works(tmp_path: Path) -> None:
    """The site file shown there loads and does what its comments say."""
    text = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    knowledge = knowledge_at(load_site(written(tmp_path, text)))
    assert knowledge.site.followup.profile == "norway"
    assert {"mri-whole-body", "glp1r-imaging"} == knowledge.unavailable
    assert knowledge.settings.changed == {"duplicate_days", "ssa_timing_note"}


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_row_naming_an_unknown_default_does_not_load(tmp_path: Path) -> None:
    """A misspelt name stops the start with table and row, as does a row that claims what it uses."""
    folder = tmp_path / "knowledge"
    origin = Path(str(files("cds_service.knowledge")))
    for path in (*origin.glob("*.toml"), *origin.glob("tables/*.toml")):
        target = folder / path.relative_to(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    safety = folder / "tables" / "safety.toml"
    text = safety.read_text(encoding="utf-8")
    safety.write_text(text.replace("@duplicate_days", "@duplicate_weeks"), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"safety\.toml, row 'SAF-15': no such engineering default"):
        read_knowledge(folder)
    safety.write_text(text.replace('id = "SAF-15"', 'id = "SAF-15"\nuses = []'), encoding="utf-8")
    with pytest.raises(KnowledgeError, match="uses is filled in"):
        read_knowledge(folder)


def test_no_statement_keeps_a_placeholder() -> None:
    """Every number of a default is written out for the reader."""
    assert not [row.id for row in load_knowledge().rows.values() if "{" in row.statement or "@" in row.statement]
