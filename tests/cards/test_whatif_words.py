"""How a card words what an unknown fact would change."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.cards.whatif_words import changes, values
from cds_service.domain.findings import Change
from cds_service.knowledge import Knowledge
from cds_service.knowledge.ranges import Range


@pytest.mark.parametrize(
    ("fact", "given", "words"),
    [
        ("ki67_percent", [Range(above=20)], "above 20 %"),
        ("ki67_percent", [Range(at_least=3, at_most=20)], "3 to 20 %"),
        ("ki67_percent", [Range(at_most=2), Range(above=2, below=3)], "below 3 %"),
        ("ki67_percent", [Range(at_most=2), Range(above=20)], "up to 2 % or above 20 %"),
        ("size_mm", [Range(at_least=20, at_most=20)], "exactly 20 mm"),
        ("nodes_positive_count", [Range(at_least=4, below=12)], "from 4 and below 12"),
        ("months_since_resection", [Range(at_least=0)], "any"),
        ("curative_resection", [True], "yes"),
        ("implant", ["non-mr-conditional"], "non mr conditional"),
        ("depth", ["serosa", "other-organ"], "serosa or other organ"),
        ("metastases", [()], "none"),
        ("metastases", [("liver",), ("elsewhere",), ("liver", "elsewhere")], "liver or elsewhere"),
        ("metastases", [("liver", "elsewhere")], "liver and elsewhere"),
        (
            "extension",
            [("spleen",), ("colon",), ("adrenal",), ("kidney",), ("sma",), ("smv",)],
            "spleen, colon, adrenal, kidney or 2 others",
        ),
    ],
)
def test_values_are_a_range_or_a_list(fact: str, given: list[Any], words: str) -> None:
    """Ranges that touch are one, a list that says no more than its words is left out, long lists are cut."""
    assert values(fact, given) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("scenario", None, "pnet-untreated-followup"), "scenario: follow-up of an untreated tumour"),
        (Change("grade", "NET-G1", "NET-G3", about="who2019"), "NET G3"),
        (Change("grade", "G1", "G1/G2-gap", about="who2010"), "G1/G2 gap (WHO 2010)"),
        (Change("grade", "NET-G1", None, about="who2019"), "no grade"),
        (Change("stage", None, "III if M0", about="ajcc8"), "stage III if M0"),
        (Change("stage", "TX NX", "T3 NX", about="ajcc8"), "T3 NX"),
        (Change("stage", "II", None, about="ajcc8"), "stage undetermined"),
        (Change("rating", "not-rated", "usually-appropriate", "1"), "rating: usually appropriate"),
        (Change("suggestion", "mri-abd-pel-wwo", None, "1"), "no suggestion"),
        (
            Change("safety", None, "SAF-01", "1"),
            "MRI is contraindicated by a device on record (SAF-01, critical)",
        ),
        (Change("safety", "SAF-16", None, "1"), "no longer: earlier than the follow-up schedule (SAF-16, warning)"),
        (Change("followup", "FUP-06", "FUP-02", about="interval"), "imaging every 3 months (FUP-02)"),
        (Change("followup", None, "FUP-12", about="interval"), "no interval stated (FUP-12)"),
        (Change("followup", "FUP-06", None, about="interval"), "no schedule"),
        (Change("followup", "due", "overdue", about="status"), "follow-up imaging overdue"),
        (Change("auc", "not-rated", "appropriate"), "SSTR PET (separate rating): appropriate"),
    ],
)
def test_each_kind_of_change_has_its_words(change: Change, words: str, knowledge: Knowledge) -> None:
    """A change says what would be said, with the rule where there is one."""
    assert changes([change], knowledge) == [words]


def test_the_newer_edition_of_a_grade_speaks_for_both(knowledge: Knowledge) -> None:
    """One grade is one statement; the older edition is told only where it alone changes."""
    both = [
        Change("grade", None, "NET-G2", about="who2019"),
        Change("grade", None, "G2", about="who2010"),
    ]
    assert changes(both, knowledge) == ["NET G2"]
