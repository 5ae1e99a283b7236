"""What a text affirms: a denial takes back what it governs, and nothing else."""

from __future__ import annotations

from typing import Final

import pytest

from fhir_profiles.negation import affirmed, denies
from tests.profiles.charts import patient, quantity, read, read_pnet, resource

COUNTS: Final = (
    # Something else is denied.
    "Neuroendocrine tumour of the pancreas, well differentiated, without necrosis",
    "Pancreatic neuroendocrine tumor without metastases",
    "Neuroendocrine tumour of the pancreas, no lymph node involvement",
    "No lymph node involvement, neuroendocrine tumour of the pancreas",
    "Pancreatic NET (no vascular invasion)",
    "Pancreatic NET - no metastases",
    "Without fever. Insulinoma.",
    "Insulinoma, not resectable",
    "Insulinoma not yet treated",
    "Carcinoid tumour of ileum with metastases excluded",
    "Carcinoid tumor of ileum; liver metastases ruled out",
    "Pancreatic NET, no contrast allergy",
    "History of pancreatic NET, no evidence of disease",
    "Neuroendocrine tumor of pancreas, not otherwise specified",
    "Absence of symptoms, insulinoma",
    "Adenocarcinoma excluded, pancreatic NET",
    # What is denied is said of the tumour.
    "No recurrence of insulinoma",
    "No evidence of metastatic neuroendocrine tumour",
    "No progression of pancreatic NET",
    "No residual neuroendocrine tumour",
    "No surgery for insulinoma",
    "No metastases from carcinoid tumour of the ileum",
    "Not a functioning pancreatic NET",
    # A boundary stands between.
    "No fever but insulinoma",
    "No adenocarcinoma, insulinoma instead",
    "No lesion of the liver because carcinoid tumour of the ileum was resected",
    "No MRI due to insulinoma pump",
    "No insulinoma, gastrinoma",
    "No insulinoma, gastrinoma or glucagonoma of the pancreas known",
    # Another person is spoken of elsewhere.
    "Insulinoma; mother had breast cancer",
    "Pancreatic NET, family history of diabetes",
    # A question is no denial.
    "Exclude insulinoma",
    "Rule out insulinoma",
)
DOES_NOT_COUNT: Final = (
    "No evidence of neuroendocrine tumour",
    "No evidence of a well differentiated pancreatic neuroendocrine tumour",
    "No pancreatic neuroendocrine tumor",
    "Pancreas: no insulinoma",
    "Patient without pancreatic NET",
    "Negative for neuroendocrine neoplasm of pancreas",
    "Biopsy negative for neuroendocrine carcinoma",
    "Absence of carcinoid tumour",
    "Not an insulinoma",
    "No insulinoma, gastrinoma or glucagonoma",
    "No insulinoma, gastrinoma, or glucagonoma",
    "Neither insulinoma nor gastrinoma",
    "No lesion consistent with insulinoma",
    "Pancreatic NET excluded",
    "Pancreatic NET, excluded",
    "Pancreatic NET - excluded",
    "Insulinoma was ruled out",
    "Insulinoma: ruled out",
    "Ruled out: insulinoma",
    "Insulinoma (excluded)",
    "Insulinoma not present",
    "Family history of insulinoma, pancreas",
    "Mother with pancreatic NET",
    "Sister: carcinoid tumour of the ileum",
)


@pytest.mark.parametrize("written", COUNTS)
def test_a_tumour_that_is_named_counts_unless_it_is_what_is_denied(written: str) -> None:
    """Whatever else a text denies, a tumour it names is a sign of one."""
    chart = read(patient(), resource("Condition", code={"text": written}, clinicalStatus="@clin|active"))
    assert chart.facts.nen_status in ("confirmed", "highly-suspected")


@pytest.mark.parametrize("written", DOES_NOT_COUNT)
def test_a_tumour_that_is_denied_does_not_count(written: str) -> None:
    """A tumour that is the very thing denied, or that another person has, is no sign of one."""
    chart = read(patient(), resource("Condition", code={"text": written}, clinicalStatus="@clin|active"))
    assert chart.facts.nen_status == "none"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("", ""),
        (" ;, . ", ""),
        ("Ki-67 2.5 %, no necrosis", "ki 67 2 5 ;"),
        ("Multiple endocrine neoplasia, type 1", "multiple endocrine neoplasia type 1"),
        ("Islet no necrosis cell tumour", "islet ; cell tumour"),
        ("No necrosis. Insulinoma", "; ; insulinoma"),
    ],
)
def test_what_is_left_of_a_text(written: str, left: str) -> None:
    """Words that are taken out leave a break, so that no phrase grows together over it."""
    assert affirmed(written) == left


@pytest.mark.parametrize(
    ("written", "denied"),
    [("Active surveillance", False), ("Active surveillance not appropriate", True), ("Not otherwise specified", False)],
)
def test_whether_anything_is_denied(written: str, denied: bool) -> None:
    """Phrases that only look like a denial deny nothing."""
    assert denies(written) is denied


@pytest.mark.parametrize(
    ("written", "implant", "dialysis"),
    [
        ("No MRI due to cardiac pacemaker", "unknown", None),
        ("No cardiac pacemaker", None, None),
        ("Chronic kidney disease, not on dialysis", None, None),
        ("On dialysis, no fever", None, True),
    ],
)
def test_denials_in_other_conditions(written: str, implant: str | None, dialysis: bool | None) -> None:
    """Devices and dialysis are read with the same care as tumours."""
    facts = read_pnet(resource("Condition", code={"text": written}, clinicalStatus="@clin|active")).facts
    assert (facts.implant, facts.dialysis) == (implant, dialysis)


@pytest.mark.parametrize(
    ("written", "allergy"),
    [
        ("Iodinated contrast, no anaphylaxis", "mild"),
        ("No known allergy to iodinated contrast", None),
        ("Not allergic to iodinated contrast", None),
        ("No iodinated contrast allergy", None),
    ],
)
def test_denials_in_allergies(written: str, allergy: str | None) -> None:
    """A reaction that did not occur does not take the allergy back."""
    found = read_pnet(resource("AllergyIntolerance", code={"text": written}))
    assert found.facts.iodinated_allergy == allergy


@pytest.mark.parametrize(
    ("written", "result"),
    [
        ("Stable, no progression", "stable"),
        ("No progression", None),
        ("No change", "stable"),
        ("No response, progressive disease", "progression"),
    ],
)
def test_denials_in_the_course(written: str, result: str | None) -> None:
    """The course is what the text says it is, not what it says it is not."""
    status = resource(
        "Observation",
        code="@loinc|97509-4|Cancer disease progression",
        valueCodeableConcept={"text": written},
        effectiveDateTime="#-10",
    )
    assert read_pnet(status).facts.last_imaging_result == result


@pytest.mark.parametrize("micro", ["\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"])
def test_both_signs_for_micro_are_the_same_unit(micro: str) -> None:
    """Unicode has two letters that look alike; laboratories send both."""
    creatinine = resource(
        "Observation",
        code="@loinc|2160-0|Creatinine",
        valueQuantity=quantity(106.1, f"{micro}mol/L"),
        effectiveDateTime="#-10",
    )
    found = read_pnet(creatinine).facts.egfr
    assert found is not None
    assert 60 < found < 75
