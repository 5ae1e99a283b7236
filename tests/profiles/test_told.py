"""What reading sets aside is kept beside what it uses, so that a contradiction can be told."""

from __future__ import annotations

from tests.profiles.charts import concept, day, observation, others, quantity, read_pnet, resource, sources


def test_every_device_is_evidence() -> None:
    """The worst device decides; the others are named with what is known of them."""
    devices = [
        resource("Device", id=number, type={"text": number}, safety=[{"text": safety}])
        for number, safety in (("hip", "MR conditional"), ("pacer", "MR unsafe"))
    ]
    found = read_pnet(*devices)
    assert found.facts.implant == "non-mr-conditional"
    assert [(item.source, item.label) for item in found.evidence["implant"]] == [
        ("Device/pacer", "pacer"),
        ("Device/hip", "hip: mr-conditional"),
    ]


def test_an_allergy_that_is_only_over_says_nothing() -> None:
    """Without an active entry there is no contradiction, and a resolved allergy is not "none"."""
    over = resource("AllergyIntolerance", code={"text": "Gadolinium"}, clinicalStatus="@aclin|resolved")
    found = read_pnet(over)
    assert (found.facts.gadolinium_allergy, found.alternatives) == (None, ())


def test_an_entry_made_in_error_contradicts_nothing() -> None:
    """What was entered in error was never said."""
    active = resource("AllergyIntolerance", id="a", code={"text": "Gadolinium"}, clinicalStatus="@aclin|active")
    wrong = resource(
        "AllergyIntolerance", id="b", code={"text": "Gadolinium"}, verificationStatus="@aver|entered-in-error"
    )
    assert others(read_pnet(active, wrong), "gadolinium_allergy") == []


def test_a_size_of_another_lesion_or_another_day_contradicts_nothing() -> None:
    """Of one day, sizes of the same lesion, or of lesions that cannot be told apart, stand against each other."""

    def sized(number: str, millimetres: float, when: int, site: str = "") -> dict[str, object]:
        place = {"bodySite": concept(text=site)} if site else {}
        return observation(
            "@loinc|33728-7", id=number, effectiveDateTime=day(when), valueQuantity=quantity(millimetres, "mm"), **place
        )

    found = read_pnet(
        sized("tail", 25, -30, "pancreatic tail"),
        sized("head", 12, -30, "pancreatic head"),
        sized("old", 15, -300),
        sized("same", 21, -30),
    )
    assert (found.facts.size_mm, others(found, "size_mm"), sources(found, "size_mm")) == (
        25.0,
        [21.0],
        {"Observation/tail"},
    )
