"""The code tables: sound, tolerant of spellings, and never taken in by a code that looks like another."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import pytest

from cds_service.errors import TerminologyError
from fhir_profiles.inputs.studies import study
from fhir_profiles.terminology import LOCAL_SYSTEM, CodeRow, ConceptRow, Terminology, load_terminology, normal_code
from tests.profiles.charts import (
    SYSTEMS,
    Resource,
    concept,
    day,
    local,
    observation,
    patient,
    quantity,
    read,
    read_pnet,
    resource,
)

TERMS: Final = load_terminology()
ROWS: Final = [(key, row) for key, entry in TERMS.concepts.items() for row in entry.codes]
CASES: Final = Path(__file__).parents[1] / "cases" / "profiles"
SPOTS: Final = [
    (key, *token.split("|"))
    for key, tokens in json.loads((CASES / "terminology.json").read_text(encoding="utf-8")).items()
    for token in tokens
]


def _named(rows: list[tuple[str, CodeRow]]) -> list[str]:
    return [f"{row.system} {row.code}" for _, row in rows]


def rows(*systems: str) -> list[tuple[str, CodeRow]]:
    """All rows of some systems."""
    return [(key, row) for key, row in ROWS if row.system in systems]


# --- sound ------------------------------------------------------------------------------------------------------------

_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(number: str) -> bool:
    """Whether the last digit is the Verhoeff check digit of the others (dihedral group of ten elements)."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = _PERMUTATION[turned]
        check = _times(check, turned)
    return check == 0


def _times(a: int, b: int) -> int:
    """The product of two symmetries of a pentagon: below five a turn, from five on a reflection."""
    if a < 5:
        return (a + b) % 5 + 5 * (b >= 5)
    return (a - b) % 5 + 5 * (b < 5)


def mod10(number: str) -> int:
    """The check digit that LOINC appends to a number (the Luhn rule)."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(number))]
    return -sum(value // 10 + value % 10 for value in doubled) % 10


def test_check_digits_are_reckoned_right() -> None:
    """Known numbers pass, and a slip in any digit is seen."""
    assert verhoeff("236")
    assert verhoeff("73211009")
    assert [digit for digit in "0123456789" if verhoeff(f"7321100{digit}")] == ["9"]
    assert not verhoeff("73211090")
    assert (mod10("29593"), mod10("2160"), mod10("85330")) == (1, 0, 9)


@pytest.mark.parametrize(("key", "row"), rows("sct"), ids=_named(rows("sct")))
def test_snomed_ids_pass_their_check_digit(key: str, row: CodeRow) -> None:
    """Every SNOMED CT id is a number of 6 to 18 digits, a concept, and right by Verhoeff."""
    assert row.code.isdigit(), key
    assert 6 <= len(row.code) <= 18
    assert row.code[-3:-1] in ("00", "10")
    assert verhoeff(row.code)


_TERMS: Final = [(key, row) for key, row in rows("loinc") if not row.code.startswith("LA")]


@pytest.mark.parametrize(("key", "row"), _TERMS, ids=_named(_TERMS))
def test_loinc_terms_pass_their_check_digit(key: str, row: CodeRow) -> None:
    """Every LOINC term code is a number with its mod-10 digit."""
    number, hyphen, digit = row.code.partition("-")
    assert (number.isdigit(), hyphen) == (True, "-"), key
    assert digit == str(mod10(number))


_SHAPES: Final[dict[str, Callable[[str], bool]]] = {
    "cpt": lambda code: len(code) == 5 and code.isdigit(),
    "hcpcs": lambda code: len(code) in (2, 5) and code[0].isalpha() and code.isalnum() and code.isupper(),
    "icd-10-cm": lambda code: code[0].isupper() and code[1].isdigit() and (len(code) == 3 or code[3] == "."),
    "icd-o-3": lambda code: len(code) == 6 and code[4] == "/" and (code[:4] + code[5]).isdigit(),
    "rxnorm": str.isdigit,
    "rpid": lambda code: code.startswith("RPID") and code[4:].isdigit(),
    "local": lambda code: code == code.lower() and " " not in code and "_" not in code,
}


@pytest.mark.parametrize("system", list(_SHAPES))
def test_codes_of_other_systems_have_their_shape(system: str) -> None:
    """A code filed under the wrong system, or damaged by a spreadsheet, does not have its system's shape."""
    assert rows(system)
    assert [row.code for _, row in rows(system) if not _SHAPES[system](row.code)] == []


def test_no_code_means_two_concepts() -> None:
    """Compared as they are looked up, each code belongs to one concept."""
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, row in ROWS:
        owners[row.system, normal_code(row.system, row.code)].add(key)
    assert {code: keys for code, keys in owners.items() if len(keys) > 1} == {}


def test_no_row_stands_twice() -> None:
    """A concept lists each code once."""
    seen = [(key, row.system, row.code) for key, row in ROWS]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("entry", TERMS.concepts.values(), ids=list(TERMS.concepts))
def test_rows_say_what_they_are_and_how_that_is_known(entry: ConceptRow) -> None:
    """Every row has a display and evidence; an unverified or local code is never written; read-only stays read-only."""
    assert entry.label.strip()
    for row in entry.codes:
        assert row.display.strip()
        assert row.evidence.strip()
        assert row.emit <= (row.status == "verified")
        assert (row.status == "project-local") == (row.system == "local") == (row.grade == "L")
        if row.status == "unverified":
            assert row.use == "with-text"
        if entry.input_only:
            assert not row.emit
    assert not (entry.input_only and entry.preferred)


@pytest.mark.parametrize(
    "entry",
    [e for e in TERMS.concepts.values() if e.preferred],
    ids=[k for k, e in TERMS.concepts.items() if e.preferred],
)
def test_preferred_codes_may_be_written(entry: ConceptRow) -> None:
    """A code an order is written with is one of the concept's own, of its parts or of what it is billed as."""
    assert entry.preferred is not None
    related = [entry.key, *entry.composed_of, *entry.billed_as, "pet-ct-skull-base-mid-thigh", "mri-liver"]
    allowed = {
        (row.system, row.code)
        for key in related
        for row in TERMS.codes(key)
        if row.emit or row.status == "project-local"
    }
    preferred = [(name, code) for name in ("loinc", "sct", "cpt", "local") for code in getattr(entry.preferred, name)]
    assert set(preferred) <= allowed
    assert bool(preferred) is not entry.preferred.text_only


def test_relations_name_concepts() -> None:
    """Parts, billing and tracers of a concept exist."""
    named = {
        other for entry in TERMS.concepts.values() for other in (*entry.composed_of, *entry.billed_as, *entry.tracers)
    }
    assert named <= set(TERMS.concepts)


@pytest.mark.parametrize(("key", "system", "code"), SPOTS, ids=[" ".join(spot) for spot in SPOTS])
def test_spot_table(key: str, system: str, code: str) -> None:
    """First and last code of every system of every concept mean that concept."""
    match = TERMS.match(TERMS.uris[system] or _unwritten(system), code)
    assert match is not None
    assert match.concept == key


def _unwritten(system: str) -> str:
    return {"rpid": "http://radlex.org", "umls": "http://www.nlm.nih.gov/research/umls", "naaccr": "http://naaccr.org"}[
        system
    ]


def test_spot_table_covers_every_concept() -> None:
    """No concept is left out of the spot table, and none stands there only."""
    with_codes = {key for key, entry in TERMS.concepts.items() if entry.codes}
    assert {key for key, _, _ in SPOTS} == with_codes


# --- tolerant ---------------------------------------------------------------------------------------------------------

SPELLINGS: Final = {
    "sct": ["http://snomed.info/sct", "https://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96"],
    "loinc": ["http://loinc.org", "https://loinc.org", "http://LOINC.org/", "urn:oid:2.16.840.1.113883.6.1"],
    "icd-10-cm": [
        "http://hl7.org/fhir/sid/icd-10-cm",
        "http://hl7.org/fhir/sid/icd-10",
        "https://HL7.org/fhir/sid/icd-10-cm",
        "http://terminology.hl7.org/CodeSystem/icd10CM",
        "urn:oid:2.16.840.1.113883.6.90",
    ],
    "icd-o-3": [
        "http://terminology.hl7.org/CodeSystem/icd-o-3",
        "http://terminology.hl7.org/CodeSystem/icd-o",
        "urn:oid:2.16.840.1.113883.6.43.1",
    ],
    "cpt": ["http://www.ama-assn.org/go/cpt", "https://www.ama-assn.org/go/cpt", "urn:oid:2.16.840.1.113883.6.12"],
    "hcpcs": [
        "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
        "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
        "http://www.nlm.nih.gov/research/umls/hcpcs",
        "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes",
        "urn:oid:2.16.840.1.113883.6.285",
    ],
    "rxnorm": ["http://www.nlm.nih.gov/research/umls/rxnorm", "urn:oid:2.16.840.1.113883.6.88"],
    "ncit": [
        "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
        "urn:oid:2.16.840.1.113883.3.26.1.1",
        "URN:OID:2.16.840.1.113883.3.26.1.1",
    ],
    "dcm": ["http://dicom.nema.org/resources/ontology/DCM", "urn:oid:1.2.840.10008.2.16.4"],
    "ajcc": ["https://cancerstaging.org", "http://cancerstaging.org"],
    "rpid": ["http://radlex.org", "http://www.radlex.org", "urn:oid:2.16.840.1.113883.6.256"],
    "umls": ["http://terminology.hl7.org/CodeSystem/umls", "http://www.nlm.nih.gov/research/umls"],
    "local": [LOCAL_SYSTEM, LOCAL_SYSTEM.replace("https", "http"), f" {LOCAL_SYSTEM}/ "],
}


@pytest.mark.parametrize(("name", "uri"), [(name, uri) for name, uris in SPELLINGS.items() for uri in uris])
def test_spellings_of_a_system_are_known(name: str, uri: str) -> None:
    """Aliases, OIDs, http or https, capitals in the host, blanks and a closing slash all mean the system."""
    assert TERMS.system(uri) == name
    assert TERMS.system(f"  {uri} ") == name


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.org/codes",
        "http://snomed.info/sct2",
        "http://hl7.org/fhir/sid/icd-9-cm",
        "http://loinc.org/vs",
        "snomed.info/sct",
        "urn:oid:2.16.840.1.113883.6.9",
        "ICD10",
        "http://",
        "urn:oid:",
    ],
)
def test_unknown_systems_are_refused(uri: str) -> None:
    """A known code under an unknown system says nothing."""
    assert TERMS.system(uri) is None
    for code in ("C25.4", "735735001", "29593-1", "78815"):
        assert TERMS.match(uri, code) is None


@pytest.mark.parametrize("code", ["C25.4", "C254", "c25.4", "c254", " C25.4 ", "C25.4   ", "\tC254"])
@pytest.mark.parametrize("uri", [*SPELLINGS["icd-10-cm"], None])
def test_icd_is_read_with_or_without_its_dot(uri: str | None, code: str) -> None:
    """Dot, case and blanks do not matter, whatever the system is called, or when it is not named."""
    match = TERMS.match(uri, code)
    assert match is not None
    assert (match.concept, match.certain) == ("pnet-any", True)


@pytest.mark.parametrize("code", ["8240/3", "82403", "8240", " 8240/3", "8240/1"])
def test_icdo_is_read_in_three_spellings(code: str) -> None:
    """With slash, without, or the histology alone."""
    match = TERMS.match(SYSTEMS["icdo"], code)
    assert match is not None
    assert match.concept == "morph-net-well-diff"


@pytest.mark.parametrize("code", ["824", "82400/3", "8240-3", "8999/3"])
def test_icdo_that_is_none_says_nothing(code: str) -> None:
    """Other numbers are not cut to fit."""
    assert TERMS.match(SYSTEMS["icdo"], code) is None


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("C25.4", "pnet-any"),
        ("735735001", "pnet-any"),
        ("29593-1", "ki67-index"),
        ("8240/3", "morph-net-well-diff"),
        ("LA15173-0", "pregnancy"),
        ("C106047", "mri-safety-flag"),
        ("C7A.029", "net-colon"),
        ("C79.71", "metastatic-cancer-unspecified"),
        ("D3A.090", "net-outside-gep"),
    ],
)
def test_a_code_that_says_enough_needs_no_system(code: str, key: str) -> None:
    """Without a system a code counts when its shape fits and one concept has it."""
    match = TERMS.match(None, code)
    assert match is not None
    assert match.concept == key


@pytest.mark.parametrize("code", ["78815", "74177", "A9587", "J2353", "krenning", "RPID145", "appropriate", "3863", ""])
def test_codes_that_mean_little_alone_need_their_system(code: str) -> None:
    """Five digits are no CPT code, and a local word is no code, unless the sender says so."""
    assert TERMS.match(None, code) is None


@pytest.mark.parametrize("code", ["735735001 ", " 735735001"])
def test_blanks_around_a_code_do_not_matter(code: str) -> None:
    """Trailing blanks are common in exports."""
    match = TERMS.match(SYSTEMS["sct"], code)
    assert match is not None
    assert match.concept == "pnet-any"


FAMILIES: Final = {
    # exclusions first
    "D3A.090": "net-outside-gep",
    "D3A.091": "net-outside-gep",
    "D3A.093": "net-outside-gep",
    "C7B.1": "net-outside-gep",
    # then the family
    "C7A": "net-unspecified-site",
    "C7A.0": "net-unspecified-site",
    "C7A.09": "net-unspecified-site",
    "D3A": "net-unspecified-site",
    "D3A.095": "net-unspecified-site",
    "C7B.0": "net-mets-other",
    "C77.0": "lymph-node-metastasis",
    "C77.4": "lymph-node-metastasis",
    "C78.0": "lung-metastasis",
    "C78.1": "metastatic-cancer-unspecified",
    "C78.89": "metastatic-cancer-unspecified",
    "C79.71": "metastatic-cancer-unspecified",
    "C79.9": "metastatic-cancer-unspecified",
    "E34.0": "carcinoid-syndrome",
    "N18.3": "ckd",
    "O09.93": "pregnancy",
    "O10.011": "pregnancy",
    "O26.841": "pregnancy",
    "O36.8": "pregnancy",
    "O48.0": "pregnancy",
    "Z34.90": "pregnancy",
    "Z3A.20": "pregnancy",
    "H44.621": "foreign-body-magnetic",
    # codes of their own inside a family
    "C7A.012": "net-jejunum-ileum",
    "C7A.092": "gnet-stomach",
    "D3A.8": "net-unspecified-site",
    "D3A.026": "net-rectum",
    "C7B.02": "net-mets-liver",
    "C78.7": "liver-metastasis",
    "C79.51": "bone-metastasis",
    "E34.01": "carcinoid-heart",
}


@pytest.mark.parametrize(("code", "key"), FAMILIES.items())
def test_families_of_icd_codes(code: str, key: str) -> None:
    """A code without a line of its own means its family; exclusions come before it, with or without the dot."""
    for spelling in (code, code.replace(".", ""), code.lower()):
        match = TERMS.match(SYSTEMS["icd"], spelling)
        assert match is not None
        assert match.concept == key


@pytest.mark.parametrize(
    "code",
    [
        "C80.1",
        "C76.2",
        "C7",
        "O00.1",
        "O03.9",
        "O08",
        "O60.10",
        "O80",
        "Z33.2",
        "H44.701",
        "E34.1",
        "Q85.8",
        "N18",
        "C",
        "D3",
    ],
)
def test_neighbours_of_families_are_unknown(code: str) -> None:
    """Ended pregnancies, nonmagnetic fragments, wider parents: not in the family."""
    assert TERMS.match(SYSTEMS["icd"], code) is None


# --- false friends ----------------------------------------------------------------------------------------------------


def condition(code: str, **members: object) -> Resource:
    """An active, confirmed Condition."""
    return resource(
        "Condition",
        id="friend",
        clinicalStatus="@clin|active",
        verificationStatus="@ver|confirmed",
        code=code,
        recordedDate="2026-03-01",
        **members,
    )


def unknown(token: str) -> bool:
    """Whether a code is in no table."""
    system, code = token.removeprefix("@").split("|")
    return TERMS.match(SYSTEMS[system], code) is None


def ordered(*tokens: str, text: str = "", details: tuple[str, ...] = ()) -> str | None:
    """The procedure key of an order so coded; "none" when it is not recognised as a study at all."""
    found = study(concept(*tokens, text=text), TERMS, extra=[concept(token) for token in details])
    return "none" if found is None else found.procedure


def test_85330_1_does_not_exist() -> None:
    """The breast Ki-67 code with a wrong check digit is no Ki-67."""
    assert unknown("@loinc|85330-1")
    chart = read_pnet(observation("@loinc|85330-1", valueQuantity=quantity(30, "%")))
    assert chart.facts.ki67_percent is None


@pytest.mark.parametrize("token", ["@loinc|85330-9", "@sct|1237281001"])
def test_breast_ki67_needs_more_than_its_code(token: str) -> None:
    """The breast codes never stand alone: they count with a warning at most."""
    system, code = token.removeprefix("@").split("|")
    match = TERMS.match(SYSTEMS[system], code)
    assert match is not None
    assert not match.certain
    chart = read_pnet(observation(token, specimen={"display": "Pancreas"}, valueQuantity=quantity(30, "%")))
    assert [entry.source for entry in chart.skipped] == ["Observation/observation"]


def test_general_ki67_is_29593_1() -> None:
    """The code for tissue in general counts alone."""
    chart = read_pnet(observation("@loinc|29593-1", valueQuantity=quantity(30, "%")))
    assert chart.facts.ki67_percent == 30.0
    assert not chart.skipped


def test_2484_4_is_not_insulin() -> None:
    """Insulin is 20448-7; 2484-4 is an insulin-like growth factor."""
    assert unknown("@loinc|2484-4")
    match = TERMS.match(SYSTEMS["loinc"], "20448-7")
    assert match is not None
    assert match.concept == "insulin"


@pytest.mark.parametrize("tracer", ["A9588", "A9593", "A9594", "A9595", "A9597", "A9582", "A9556", "A9563"])
def test_tracers_of_other_tumours_make_no_receptor_pet(tracer: str) -> None:
    """Fluciclovine, PSMA, iobenguane and gallium citrate beside 78815 are no somatostatin-receptor PET/CT."""
    assert ordered("@cpt|78815", details=(f"@hcpcs|{tracer}",)) is None


def test_copper_atsm_is_not_dotatate() -> None:
    """Another copper-64 tracer shows hypoxia, not receptors."""
    assert ordered("@cpt|78815", details=("@sct|422855001|ATSM Cu-64",)) is None


@pytest.mark.parametrize("text", ["Gallium PET/CT", "Ga-68 PET/CT", "Gallium-68 PSMA PET/CT", "PSMA PET/CT"])
def test_gallium_alone_names_no_tracer(text: str) -> None:
    """Ga-67, PSMA and DOTA peptides all say gallium."""
    assert ordered("@cpt|78815", text=text) is None


def test_lutetium_psma_is_not_receptor_therapy() -> None:
    """Lutetium for prostate cancer is no PRRT, by name or with the unspecific therapy codes."""
    given = [
        resource("MedicationStatement", id=f"m{number}", status="completed", medicationCodeableConcept=medicine)
        for number, medicine in enumerate(
            ({"text": "Lutetium (177Lu) vipivotide tetraxetan"}, {"text": "177Lu-PSMA-617"}, {"text": "Lutetium PSMA"})
        )
    ]
    therapy = resource(
        "Procedure", code={"coding": [{"system": SYSTEMS["cpt"], "code": "79101"}], "text": "Lutetium-PSMA therapy"}
    )
    assert read_pnet(*given, therapy).facts.prior_treatments is None


def test_pancreatic_tumours_are_c25_4_not_c7a() -> None:
    """C25.4 names the pancreas; C7A never does by itself."""
    assert read(patient(), condition("@icd|C25.4")).facts.primary_site == "pancreas"
    for code in ("C7A.00", "C7A.8", "C7A.098", "C7A.094", "C7A"):
        chart = read(patient(), condition(f"@icd|{code}"))
        assert (chart.facts.nen_status, chart.facts.primary_site) == ("confirmed", None)


def test_d13_7_does_not_prove_a_benign_tumour() -> None:
    """The index sends plain islet cell tumours there: a known tumour of unknown differentiation and behaviour."""
    facts = read(patient(), condition("@icd|D13.7")).facts
    assert (facts.nen_status, facts.primary_site) == ("confirmed", "pancreas")
    assert (facts.differentiation, facts.metastases, facts.stated_grade) == (None, None, None)


def test_d3a_8_includes_tumours_not_otherwise_specified() -> None:
    """A neuroendocrine tumour of open site, although its chapter says benign."""
    facts = read(patient(), condition("@icd|D3A.8")).facts
    assert (facts.nen_status, facts.primary_site, facts.differentiation) == ("confirmed", None, None)


def test_c7b_1_is_merkel_cell_carcinoma() -> None:
    """It sits among secondary neuroendocrine tumours and is none: no evidence alone, no metastasis beside one."""
    alone = read(patient(), condition("@icd|C7B.1"))
    assert not alone.nen_evidence
    assert alone.facts.metastases is None
    assert read_pnet(condition("@icd|C7B.1")).facts.metastases is None
    assert read_pnet(condition("@icd|C7B.1")).facts.primary_site == "pancreas"


@pytest.mark.parametrize("code", ["94354002", "1237047001", "94459006", "1237524005"])
def test_another_cancer_in_the_islets_is_not_this_one(code: str) -> None:
    """A secondary neoplasm of the pancreas is neither a neuroendocrine tumour nor a metastasis of one."""
    alone = read(patient(), condition(f"@sct|{code}"))
    assert not alone.nen_evidence
    assert (alone.facts.primary_site, alone.facts.metastases) == (None, None)
    assert alone.facts.nen_status in ("other-tumour", "none")
    beside = read_pnet(condition(f"@sct|{code}"))
    assert (beside.facts.nen_status, beside.facts.metastases) == ("confirmed", None)


def test_315000005_is_spread_from_the_liver() -> None:
    """It is no liver metastasis: the code is in no table."""
    assert unknown("@sct|315000005")
    assert read_pnet(condition("@sct|315000005")).facts.metastases is None


@pytest.mark.parametrize("code", ["8249/3", "8240/3", "8241/3"])
def test_morphology_never_gives_a_grade(code: str) -> None:
    """8249/3 changed its meaning between editions; no morphology stands for a grade."""
    facts = read_pnet(observation("@loinc|31206-6", valueCodeableConcept=concept(f"@icdo|{code}"))).facts
    assert (facts.differentiation, facts.stated_grade, facts.ki67_percent) == ("well", None, None)


@pytest.mark.parametrize("token", ["@sct|1186869002", "@sct|123631000119103"])
def test_carcinoma_is_not_a_grade_3_tumour(token: str) -> None:
    """A neuroendocrine carcinoma is poorly differentiated; nothing is said about a grade of a tumour."""
    facts = read(patient(), condition(token)).facts
    assert (facts.differentiation, facts.stated_grade) == ("poor", None)


def test_a_grade_3_tumour_is_not_a_carcinoma() -> None:
    """Grade 3 as stated leaves the differentiation open."""
    facts = read_pnet(observation("@loinc|33732-9", valueString="NET G3")).facts
    assert (facts.stated_grade, facts.differentiation) == ("G3", None)


def test_41545003_is_whipple_disease() -> None:
    """A disease of the gut is no operation on the pancreas."""
    assert unknown("@sct|41545003")
    for kind in ("Procedure", "Condition"):
        facts = read_pnet(resource(kind, code="@sct|41545003|Whipple's disease", performedDateTime=day(-90))).facts
        assert (facts.curative_resection, facts.bilioenteric_anastomosis) == (None, None)


def test_241615005_is_mri_of_the_breast() -> None:
    """It is no study of the abdomen, and none of ours."""
    assert unknown("@sct|241615005")
    assert ordered("@sct|241615005|Magnetic resonance imaging of breast") == "none"


def test_294505008_is_amoxicillin_allergy() -> None:
    """Published as contrast allergy in one place, it is an allergy to an antibiotic."""
    assert unknown("@sct|294505008")
    allergy = resource("AllergyIntolerance", code="@sct|294505008|Allergy to amoxicillin", criticality="high")
    facts = read_pnet(allergy).facts
    assert (facts.iodinated_allergy, facts.gadolinium_allergy) == (None, None)


def test_360129009_is_a_pacemaker_lead() -> None:
    """The lead's code is not read as a pacemaker in place."""
    assert unknown("@sct|360129009")
    assert read_pnet(condition("@sct|360129009")).facts.implant is None


@pytest.mark.parametrize("code", ["24627-2", "24628-0"])
def test_chest_ct_is_not_abdominal_ct(code: str) -> None:
    """Both are CT of the chest although a value set files them under the abdomen."""
    report = resource("DiagnosticReport", code=f"@loinc|{code}", effectiveDateTime=day(-30))
    facts = read_pnet(report).facts
    assert (facts.months_since_last_imaging, facts.baseline_staging_done) == (None, None)
    assert facts.chest_imaging_done is True
    assert ordered(f"@loinc|{code}") is None


def test_39827_1_is_iobenguane() -> None:
    """The neighbour of the octreotide scan uses another tracer."""
    assert ordered("@loinc|39828-9") == "srs-octreotide"
    assert unknown("@loinc|39827-1")
    assert ordered("@loinc|39827-1") == "none"


def test_72246_2_needs_oral_contrast() -> None:
    """MR enterography is no MRI of abdomen and pelvis."""
    assert ordered("@loinc|72246-2") == "mr-enterography"
    assert ordered("@loinc|97392-5") == "mri-abd-pel-wwo"


def test_c113844_does_not_mean_safe() -> None:
    """A label without MR information leaves the device unknown, not safe."""
    device = resource("Device", safety=["@ncit|C113844"])
    assert read_pnet(device).facts.implant == "unknown"


@pytest.mark.parametrize(
    "code",
    [
        "@sct|44588005",
        "@rxnorm|5933",
        "@rxnorm|8611",
        {"text": "Povidone-iodine"},
        {"text": "Iodine"},
        {"text": "Betadine"},
        {"text": "Shellfish"},
        {"text": "Iodide salts"},
    ],
    ids=str,
)
def test_iodine_is_not_contrast(code: object) -> None:
    """Neither iodine nor povidone-iodine nor shellfish is an allergy to contrast media."""
    allergy = resource("AllergyIntolerance", code=code, criticality="high")
    facts = read_pnet(allergy).facts
    assert (facts.iodinated_allergy, facts.gadolinium_allergy) == (None, None)


@pytest.mark.parametrize(
    ("code", "implant"),
    [
        ("H44.601", "unknown"),
        ("H44.693", "unknown"),
        ("H44.701", None),
        ("H44.793", None),
        ("Z18.11", "unknown"),
        ("Z18.12", None),
    ],
)
def test_magnetic_and_nonmagnetic_are_one_digit_apart(code: str, implant: str | None) -> None:
    """H44.6 and Z18.11 are magnetic; H44.7 and Z18.12 are not."""
    assert read_pnet(condition(f"@icd|{code}")).facts.implant == implant


def test_n18_3_is_still_stage_3() -> None:
    """The code that was split is accepted in its older, wider meaning, and is not dialysis."""
    for code in ("N18.3", "N18.30", "N18.31", "N18.32"):
        match = TERMS.match(SYSTEMS["icd"], code)
        assert match is not None
        assert match.concept == "ckd"
    assert read_pnet(condition("@icd|N18.3")).facts.dialysis is None


@pytest.mark.parametrize(
    ("code", "stage"), [("431855005", "1"), ("433144002", "3"), ("431857002", "4"), ("433146000", "5")]
)
def test_stages_of_kidney_disease_are_not_shifted(code: str, stage: str) -> None:
    """Public tables quote these ids one stage too high or low."""
    match = TERMS.match(SYSTEMS["sct"], code)
    assert match is not None
    assert match.value == stage


def test_history_of_liver_metastasis_is_not_current() -> None:
    """1098951000119108 tells of the past."""
    chart = read_pnet(condition("@sct|1098951000119108"))
    assert chart.facts.metastases is None
    assert not read(patient(), condition("@sct|1098951000119108")).nen_evidence


def test_history_of_metastatic_cancer_is_no_metastasis() -> None:
    """1287652008 tells of the past of any cancer."""
    chart = read(patient(), condition("@sct|1287652008"))
    assert not chart.nen_evidence
    assert chart.facts.metastases is None


@pytest.mark.parametrize("code", ["Z85.020", "Z85.030", "Z85.040", "Z85.060", "Z86.012"])
def test_personal_history_is_no_known_disease(code: str) -> None:
    """A treated carcinoid keeps the patient in scope and says neither recurrence nor spread nor year."""
    facts = read(patient(), condition(f"@icd|{code}")).facts
    assert facts.nen_status == "confirmed"
    assert (facts.recurrence, facts.residual_disease, facts.metastases, facts.diagnosis_year) == (None,) * 4


@pytest.mark.parametrize(
    ("code", "site"),
    [
        ("C7A.090", "lung"),
        ("C7A.091", "thymus"),
        ("C7A.093", "other"),
        ("D3A.090", "lung"),
        ("D3A.091", "thymus"),
        ("D3A.093", "other"),
    ],
)
def test_tumours_outside_the_gut_keep_their_site(code: str, site: str) -> None:
    """Lung, thymus and kidney are named as such and never become a digestive primary."""
    assert read(patient(), condition(f"@icd|{code}")).facts.primary_site == site


@pytest.mark.parametrize("token", ["@sct|1186735007", "@sct|866052009", "@sct|1197283000"])
def test_mixed_neoplasms_are_not_well_differentiated(token: str) -> None:
    """MiNEN is its own differentiation."""
    assert read(patient(), condition(token)).facts.differentiation == "mixed"


@pytest.mark.parametrize("code", ["8243/3", "8245/3", "8247/3"])
def test_goblet_cells_and_merkel_cells_are_no_evidence(code: str) -> None:
    """Look-alikes of ICD-O say nothing of a neuroendocrine tumour of the gut."""
    given = observation("@loinc|31206-6", valueCodeableConcept=concept(f"@icdo|{code}"))
    assert not read(patient(), given).nen_evidence


@pytest.mark.parametrize("code", ["16424000", "25324008", "189586007", "267477002"])
def test_morphology_concepts_are_no_disorders(code: str) -> None:
    """Ids that some maps give for insulinoma, glucagonoma and Zollinger-Ellison count by their text only."""
    assert unknown(f"@sct|{code}")
    assert not read(patient(), condition(f"@sct|{code}")).nen_evidence


def test_parent_of_von_hippel_lindau_is_wider() -> None:
    """Q85.8 holds other diseases too."""
    assert read_pnet(condition("@icd|Q85.8|Other phakomatoses")).facts.hereditary_syndrome is None


def test_termination_is_no_pregnancy() -> None:
    """Z33.2 stands beside the codes of pregnancy."""
    assert read_pnet(condition("@icd|Z33.2")).facts.pregnant is None


@pytest.mark.parametrize("code", ["175140001", "233187001"])
def test_removal_of_a_pacemaker_is_no_pacemaker(code: str) -> None:
    """Operations that take a device out do not put one in."""
    assert read_pnet(resource("Procedure", code=f"@sct|{code}", performedDateTime=day(-90))).facts.implant is None


def test_no_guidelines_apply_is_no_rating_code() -> None:
    """The code system of ratings has three codes only."""
    system = TERMS.uris["pama"]
    assert [row.code for row in TERMS.codes("pama-rating")] == ["appropriate", "not-appropriate", "no-criteria-apply"]
    assert TERMS.match(system, "no-guidelines-apply") is None


@pytest.mark.parametrize("code", ["88931-1", "88935-2", "88939-4", "24812-0", "89619-1"])
def test_guidance_for_an_intervention_is_no_study(code: str) -> None:
    """Embolisation and biopsy under imaging are not ordered as imaging."""
    assert ordered(f"@loinc|{code}") == "none"


@pytest.mark.parametrize("code", ["C7A.1", "D37.8", "D49.0", "E16.4", "Z85.07"])
def test_wide_icd_codes_need_their_text(code: str) -> None:
    """Codes that cover other organs or causes count only when the text agrees."""
    match = TERMS.match(SYSTEMS["icd"], code)
    assert match is not None
    assert not match.certain
    assert not read(patient(), condition(f"@icd|{code}")).nen_evidence


def test_an_unverified_code_never_counts_alone() -> None:
    """Every unverified row needs text; alone it makes no fact and no study."""
    uncertain = [(key, row) for key, row in ROWS if row.status == "unverified"]
    assert uncertain
    for key, row in uncertain:
        match = TERMS.match(TERMS.uris[row.system], row.code)
        assert match is not None
        assert (match.concept, match.certain) == (key, False)


def test_local_codes_of_every_fact_are_known() -> None:
    """The fact's name with hyphens is a code of the local system, and of no other."""
    for name in ("krenning", "liver-involvement-percent", "disease-dominance", "months-since-resection"):
        match = TERMS.match(LOCAL_SYSTEM, name)
        assert match is not None
        assert match.fact == name.replace("-", "_")
        assert TERMS.match(SYSTEMS["loinc"], name) is None
    assert read_pnet(local("krenning_", valueQuantity=quantity(3, "1"))).facts.krenning is None


# --- damaged tables ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the code tables to damage."""
    with as_file(files("fhir_profiles") / "codes") as packaged:
        return Path(shutil.copytree(packaged, tmp_path / "codes"))


def change(folder: Path, table: str, old: str, new: str) -> None:
    """Replace the first place where something stands in a table."""
    path = folder / f"{table}.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_packaged_tables_load_from_any_folder(folder: Path) -> None:
    """A copy of the tables is as good as the original."""
    assert set(Terminology(folder).concepts) == set(TERMS.concepts)


DAMAGE: Final = {
    "a concept twice": ("tracers", 'key = "tracer-ga68-dotatoc"', 'key = "tracer-ga68-dotatate"'),
    "a concept of another table": ("devices", 'key = "device-icd"', 'key = "men1"'),
    "a code of two meanings": ("medications", 'code = "68092"', 'code = "141704"'),
    "a code of two facts": ("devices", 'code = "C106045"', 'code = "C106047"'),
    "an unknown system": ("devices", 'system = "sct", code = "14106009"', 'system = "snomed", code = "14106009"'),
    "an empty display": ("devices", 'display = "Cardiac pacemaker, device"', 'display = ""'),
    "a blank display": ("devices", 'display = "Cardiac pacemaker, device"', 'display = "  "'),
    "empty evidence": ("ratings", 'evidence = "argonautproject/cds-hooks-for-pama docs/index.md"', 'evidence = ""'),
    "an unknown fact of a concept": ("devices", 'facts = { implant = "unknown" }', 'facts = { implants = "unknown" }'),
    "an unknown fact of a code": ("devices", 'facts = { implant = "none" }', 'facts = { mr_safe = "none" }'),
    "a word no fact has": ("devices", 'facts = { implant = "none" }', 'facts = { implant = "safe" }'),
    "a wrong kind of value": ("conditions", "facts = { pregnant = true }", 'facts = { pregnant = "yes" }'),
    "an unknown member": ("devices", 'kind = "device"\n', 'kind = "device"\ncolour = "red"\n'),
    "an unknown member of a code": ("devices", 'code = "14106009",', 'code = "14106009", colour = "red",'),
    "an unknown member of preferred codes": ("imaging", "preferred = { ", 'preferred = { icd = ["C25.4"], '),
    "an unknown member of a system": ("systems", 'name = "sct"\n', 'name = "sct"\ncolour = "red"\n'),
    "an unknown member of a family": ("families", 'prefix = "C7B1",', 'prefix = "C7B1", colour = "red",'),
    "an unknown member of a table": ("devices", "checked = ", 'colour = "red"\nchecked = '),
    "a missing member": ("devices", 'label = "Cardiac pacemaker"\n', ""),
    "an unknown status": ("devices", 'status = "verified"', 'status = "checked"'),
    "an unknown grade": ("devices", 'grade = "B"', 'grade = "D"'),
    "a wrong type": ("devices", 'code = "14106009"', "code = 14106009"),
    "no TOML": ("devices", "[[concept]]", "[[concept"),
    "a family of no concept": ("families", 'concept = "ckd"', 'concept = "kidney"'),
    "a family with an unknown fact": ("families", 'facts = { primary_site = "lung" }', 'facts = { site = "lung" }'),
    "a system without a name": ("systems", 'name = "sct"\n', ""),
    "a relation to no concept": ("imaging", 'billed_as = ["ct-abdomen-pelvis-w"]', 'billed_as = ["ct-abdomen-w"]'),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damaged_tables_are_refused(folder: Path, kind: str) -> None:
    """A table that contradicts itself, the vocabulary or its form stops the start; the message names the table."""
    table, old, new = DAMAGE[kind]
    change(folder, table, old, new)
    with pytest.raises(TerminologyError, match=table):
        Terminology(folder)


@pytest.mark.parametrize("table", ["systems", "families", "conditions", "local"])
def test_a_missing_table_is_refused(folder: Path, table: str) -> None:
    """A distribution that lost a table does not start."""
    (folder / f"{table}.toml").unlink()
    with pytest.raises(TerminologyError, match=table):
        Terminology(folder)


def test_a_table_that_is_no_text_is_refused(folder: Path) -> None:
    """Bytes that are no UTF-8 are no table."""
    (folder / "devices.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TerminologyError, match="devices"):
        Terminology(folder)
