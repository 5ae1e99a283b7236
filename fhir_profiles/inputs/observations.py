"""Observations: pathology, laboratory, imaging findings, and facts said with a project-local code.

What an Observation means is decided by its concept (``role`` and ``fact`` in the code tables). Values are read by the
kind of the fact: numbers with unit, comparator or range; words of the vocabulary; lists as components.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cds_service.domain.facts import FACTS, FactSpec, Kind, TumourGrowth
from cds_service.domain.policy import Windows
from fhir_profiles import dates
from fhir_profiles.chart import CODED, LOCAL, TEXT, Chart, Claim, Tumour, fits
from fhir_profiles.dates import When
from fhir_profiles.inputs import tnm
from fhir_profiles.negation import affirmed
from fhir_profiles.reading import (
    Amount,
    Label,
    Resource,
    amount,
    convert,
    label_in,
    labels,
    matches,
    member,
    normal_text,
    number,
    objects,
    observed,
    reading_defaults,
    says,
    source,
    status,
    text,
    unit_of,
    word_of,
    words,
)
from fhir_profiles.shape import readable_code
from fhir_profiles.terminology import Match, Terminology

_DROPPED = frozenset({"entered-in-error", "cancelled"})
_MAXIMUM_DIMENSION = "33728-7"
_FURTHER_DIMENSION = "33729-5"
_PROVISIONAL = frozenset({"preliminary", "registered"})
_BREAST_ONLY = frozenset({"85330-9", "1237281001"})
_PRESENCE_ONLY = "33055-5"
_POSITIVE = ["positive", "detected", "reactive", "yes", "pregnant"]
_NEGATIVE = ["negative", "not detected", "non reactive", "no", "not pregnant"]
_HIGH = frozenset({"H", "HH", "HU"})
_METASTASIS = ["metastasis", "metastases", "metastatic", "liver", "lymph node", "hepatic"]
_UNIT_NOISE = re.compile(r"\{[^}]*\}|[\s.()\[\]]")
_MEASUREMENTS = frozenset({"alkaline-phosphatase", "creatinine", "egfr"})
_MEASURED = frozenset({"", "alp_elevated", "egfr"})
_OLDER_WORDS = {("functional_syndrome", "no"): "none"}
_GROWTH = ("d1_mm", "d2_mm", "months")
_DURATIONS = (
    "months_since_resection",
    "months_since_last_imaging",
    "months_since_last_sstr_imaging",
    "days_since_same_procedure",
)


def relevant(concept: object, terminology: Terminology) -> bool:
    """A quick look: could this Observation code mean anything here? Used before the resource is read in full.

    One that cannot be read might have meant something, so it is wanted too, to be reported.
    """
    for coding in objects(member(concept, "coding")):
        code = coding.get("code")
        if isinstance(code, str) and terminology.is_of_interest(code):
            return True
    return _labelled_text(words(concept)) or not readable_code(concept, terminology)


def is_measurement(concept: object, terminology: Terminology) -> bool:
    """Whether this code is one of the series that say nothing of a tumour: they come by hundreds."""
    found = [match for match in matches(concept, terminology) if match.role or match.fact]
    return bool(found) and all(match.role in _MEASUREMENTS and match.fact in _MEASURED for match in found)


@lru_cache(maxsize=4096)
def _labelled_text(written: str) -> bool:
    """Whether a name of an Observation is a reviewed label; names repeat, so the answer is kept."""
    return label_in(written, labels().observation) is not None


def read(resource: Resource, chart: Chart) -> None:
    """Facts from one Observation."""
    concept = resource.get("code")
    found = [match for match in matches(concept, chart.terminology) if match.role or match.fact]
    if not found:
        label = label_in(words(concept), labels().observation)
        if label is None:
            return
        found = [_labelled(label.concept, chart)]
    match = found[0]
    if found[1:] and len({(other.role, other.fact, other.tnm_axis) for other in found}) > 1:
        chart.skip(resource, "its codes mean different things")
        return
    if status(resource) in _DROPPED:
        chart.skip(resource, f"status is {status(resource)}", match.fact)
        return
    if resource.get("dataAbsentReason") is not None:
        chart.skip(resource, "the value is recorded as absent", match.fact)
        return
    when = observed(resource)
    if when is not None and when.first > chart.today:
        chart.skip(resource, "effective date lies in the future", match.fact)
        return
    reader = _ROLES.get(match.role)
    if reader is not None:
        reader(_Reading(resource, chart, match, when))


def _labelled(concept: str, chart: Chart) -> Match:
    row = chart.terminology.concepts[concept]
    return Match(
        concept=row.key,
        kind=row.kind,
        label=row.label,
        code="",
        display=row.label,
        certain=False,
        role=row.role,
        fact=row.fact,
    )


class _Reading:
    """One Observation being read."""

    def __init__(self, resource: Resource, chart: Chart, match: Match, when: When | None) -> None:
        self.resource = resource
        self.chart = chart
        self.match = match
        self.when = when
        self.how = LOCAL if "local" in match.kind else CODED if match.certain else TEXT

    @property
    def provisional(self) -> bool:
        return status(self.resource) in _PROVISIONAL

    @property
    def label(self) -> str:
        return words(self.resource.get("code")) or self.match.display

    def claim(self, fact: str, value: Any, *, limits: Amount | None = None, rank: int = 0) -> None:
        """Record the value; of one day, a final result goes before a provisional one of the same rank."""
        rank = 2 * rank - int(self.provisional)
        self.chart.claim(
            fact, value, self.resource, when=self.when, how=self.how, label=self.label, limits=limits, rank=rank
        )

    def skip(self, reason: str, fact: str = "") -> None:
        self.chart.skip(self.resource, reason, fact or self.match.fact)


def _observation(reading: _Reading) -> None:
    """A value of one fact."""
    fact = reading.match.fact
    if fact == "ki67_percent":
        _ki67(reading)
    elif fact == "mitoses":
        _mitoses(reading)
    elif fact == "size_mm":
        _size(reading)
    elif fact == "stated_grade":
        _stated_grade(reading)
    else:
        _plain(reading, FACTS[fact])


def _plain(reading: _Reading, spec: FactSpec) -> None:
    """A fact said with its own code."""
    resource = reading.resource
    window = _WINDOWS.get(spec.name)
    if window is not None and not dates.within(reading.when, reading.chart.today, window(reading.chart.windows)):
        reading.chart.skip(resource, "the value is undated or older than its window")
        return
    if spec.kind is Kind.NUMBER:
        _number(reading, spec)
    elif spec.kind is Kind.FLAG:
        value = resource.get("valueBoolean")
        if not isinstance(value, bool):
            value = _yes_no(resource)
        _claim_if(reading, spec, value, "value is neither true nor false")
    elif spec.kind is Kind.WORD:
        _word(reading, spec)
    elif spec.kind is Kind.WORDS:
        _list(reading, spec)
    else:
        _growth(reading)


def _claim_if(reading: _Reading, spec: FactSpec, value: Any, otherwise: str) -> None:
    if value is not None and fits(spec.name, value):
        reading.claim(spec.name, value)
    else:
        reading.skip(otherwise, spec.name)


def _yes_no(resource: Resource) -> bool | None:
    normal = normal_text(words(resource.get("valueCodeableConcept")) or text(resource.get("valueString")))
    if says(normal, _NEGATIVE) or normal in ("false", "absent", "n"):
        return False
    return True if says(normal, _POSITIVE) or normal in ("true", "present", "y") else None


def _word(reading: _Reading, spec: FactSpec) -> None:
    value = word_of(reading.resource.get("valueCodeableConcept")) or text(reading.resource.get("valueString"))
    if value not in spec.words:
        value = _OLDER_WORDS.get((spec.name, value.lower()), value.lower().replace(" ", "-"))
    _claim_if(reading, spec, value if value in spec.words else None, "value is no word of the vocabulary")


def _list(reading: _Reading, spec: FactSpec) -> None:
    values = [word_of(part.get("valueCodeableConcept")) for part in objects(reading.resource.get("component"))]
    alone = word_of(reading.resource.get("valueCodeableConcept"))
    values = [value for value in (*values, alone) if value]
    if values == ["none"]:
        reading.claim(spec.name, ())
        return
    listed = tuple(sorted(set(values)))
    usable = bool(listed) and "none" not in listed and fits(spec.name, listed)
    _claim_if(reading, spec, listed if usable else None, "value is no list of words of the vocabulary")


def _growth(reading: _Reading) -> None:
    values: dict[str, float] = {}
    for part in objects(reading.resource.get("component")):
        name = word_of(part.get("code")).replace("-", "_")
        found = amount(part)
        if name in _GROWTH and found is not None and found.exact:
            converted = convert(found, "mo" if name == "months" else "mm", fixed_unit=True)
            if converted is not None:
                values[name] = converted.low
    if len(values) == len(_GROWTH):
        reading.claim("recist", TumourGrowth(values["d1_mm"], values["d2_mm"], values["months"]))
    else:
        reading.skip("components d1-mm, d2-mm and months are not all there", "recist")


def _number(reading: _Reading, spec: FactSpec) -> None:
    found = amount(reading.resource)
    if found is None:
        reading.skip("no number can be read", spec.name)
        return
    found = convert(found, spec.unit, fixed_unit=reading.match.kind in ("local-fact", "project-local"))
    if found is None:
        reading.skip("the unit is missing or cannot be converted", spec.name)
        return
    lowest, highest = reading_defaults().limits.get(spec.name, (0.0, math.inf))
    if found.low < lowest or (found.exact and found.high > highest) or found.low > highest:
        reading.skip("the number is outside its physical limits", spec.name)
        return
    found = _aged(found, spec, reading)
    reading.claim(spec.name, found.low, limits=found)


def _aged(found: Amount, spec: FactSpec, reading: _Reading) -> Amount:
    """A stated duration has grown since its effective date; a partial date leaves a range."""
    if spec.name not in _DURATIONS or reading.when is None:
        return found
    days = dates.days_before(reading.when, reading.chart.today)
    fewest, most = (float(max(d, 0)) for d in days)
    if spec.unit == "mo":
        fewest, most = dates.months(fewest), dates.months(most)
    return Amount(found.low + fewest, found.high + most, found.unit, found.shown)


def _ki67(reading: _Reading) -> None:
    """Percent of nuclei; unit ``1`` up to 1 is a fraction; a bare number up to 1 is ambiguous."""
    if reading.match.code == _PRESENCE_ONLY:
        reading.skip("the code states presence only, no percentage", "ki67_percent")
        return
    if reading.match.code in _BREAST_ONLY and not _names_digestive_site(reading):
        reading.skip("the code is meant for breast specimens and nothing names a digestive organ", "ki67_percent")
        return
    if reading.match.code in _BREAST_ONLY:
        reading.skip("the code is meant for breast specimens; its value was used", "ki67_percent")
    found = amount(reading.resource)
    if found is None:
        reading.skip("no number can be read", "ki67_percent")
        return
    unit = found.unit
    zero = found.exact and found.high == 0
    if unit in ("%", "percent") or (not unit and (zero or found.high > 1)):
        percent: Amount | None = found
    elif unit == "1" and found.high <= 1:
        percent = convert(found, "%")
    else:
        percent = None
    if percent is None:
        reading.skip("percent or fraction cannot be told apart", "ki67_percent")
        return
    if percent.low < 0:
        reading.skip("the number is negative", "ki67_percent")
        return
    high = min(percent.high, 100.0) if not percent.exact else percent.high
    specimen = _specimen(reading)
    rank = 1 if specimen == "primary" else 0
    reading.claim("ki67_percent", percent.low, limits=Amount(percent.low, high, "%", percent.shown), rank=rank)
    if specimen == "metastasis" or "ki67_specimen" not in reading.chart.claims:
        reading.chart.specimens[source(reading.resource)] = specimen


def _names_digestive_site(reading: _Reading) -> bool:
    """Whether text, body site or specimen name an organ this service is about."""
    label = label_in(_written(reading), labels().site)
    return label is not None and label.value not in ("lung", "thymus")


def _specimen(reading: _Reading) -> str:
    """Primary unless specimen or body site name a metastasis."""
    return "metastasis" if says(normal_text(_written(reading)), _METASTASIS) else "primary"


def _written(reading: _Reading) -> str:
    """What body site, specimen and contained specimens say."""
    resource = reading.resource
    return " ; ".join(
        (
            words(resource.get("bodySite")),
            text(member(resource.get("specimen"), "display")),
            *(words(contained.get("type")) for contained in objects(resource.get("contained"))),
            *(
                words(member(contained.get("collection"), "bodySite"))
                for contained in objects(resource.get("contained"))
            ),
        )
    )


def _mitoses(reading: _Reading) -> None:
    """A count with the counted area in its unit annotation; the area is left unknown when the unit does not say it."""
    if not reading.match.certain and label_in(words(reading.resource.get("code")), labels().observation) is None:
        reading.skip("the code is unverified and the text does not agree", "mitoses")
        return
    found = amount(reading.resource)
    if found is None or found.low < 0:
        reading.skip("no number can be read", "mitoses")
        return
    written = text(member(reading.resource.get("valueQuantity"), "unit"))
    area = _area(found.unit) or _area(written)
    if area is None and found.unit not in ("", "1", "{mitoses}", "{count}", "{#}"):
        reading.skip("the counted area cannot be read from the unit", "mitoses")
        return
    reading.claim("mitoses", found.low, limits=found)
    if area is not None:
        reading.claim("mitoses_unit", area)


def _area(unit: str) -> str | None:
    """Counted area in a unit such as ``{mitoses}/(2.mm2)`` or ``/10.[HPF]``."""
    return reading_defaults().mitoses.get(_UNIT_NOISE.sub("", unit).lower())


def _size(reading: _Reading) -> None:
    """Largest diameter: the value, or the component with the maximum dimension."""
    if reading.match.code == _FURTHER_DIMENSION:
        reading.skip("a further dimension is not the largest diameter", "size_mm")
        return
    parts = [
        part
        for part in objects(reading.resource.get("component"))
        if any(coding.get("code") == _MAXIMUM_DIMENSION for coding in objects(member(part.get("code"), "coding")))
    ]
    found = amount(parts[0] if parts else reading.resource)
    if found is None:
        reading.skip("no number can be read", "size_mm")
        return
    found = convert(found, "mm", fixed_unit=reading.match.kind == "local-fact")
    if found is None or found.low < 0:
        reading.skip("the unit is missing or cannot be converted", "size_mm")
        return
    evidence = reading.chart.evidence(reading.resource, reading.when, reading.how, reading.label)
    lesion = _lesion(reading.resource)
    rank = -int(reading.provisional)
    reading.chart.sizes.append(Claim("size_mm", found.low, evidence, reading.when, rank, found, lesion))
    if lesion and found.exact and reading.when is not None and reading.when.exact:
        reading.chart.lesions.setdefault(lesion, []).append((reading.when, found.low, evidence))


def _lesion(resource: Resource) -> str:
    """What tells this lesion from others: its focus, body site or identifier; empty when nothing does."""
    for focus in objects(resource.get("focus")):
        if text(focus.get("reference")):
            return text(focus["reference"])
    site = normal_text(words(resource.get("bodySite")))
    codes = [coding.get("code") for coding in objects(member(resource.get("bodySite"), "coding"))]
    if site or codes:
        return f"{site} {codes}"
    return next((text(item.get("value")) for item in objects(resource.get("identifier"))), "")


def _stated_grade(reading: _Reading) -> None:
    """G1, G2, G3 or NEC as written; generic low, intermediate and high grades are no WHO grades."""
    resource = reading.resource
    written = f"{word_of(resource.get('valueCodeableConcept'))} ; {words(resource.get('valueCodeableConcept'))}"
    written += f" ; {text(resource.get('valueString'))}"
    normal = normal_text(written)
    for word, phrases in (
        ("NEC", ["nec", "neuroendocrine carcinoma"]),
        ("G3", ["g3", "grade 3"]),
        ("G2", ["g2", "grade 2"]),
        ("G1", ["g1", "grade 1"]),
    ):
        if says(normal, phrases):
            reading.claim("stated_grade", word)
            return
    reading.skip("the value is no WHO grade", "stated_grade")


def _histology(reading: _Reading) -> None:
    """Morphology: confirms a suspected tumour and tells differentiation, cell type or hormone."""
    value = reading.resource.get("valueCodeableConcept")
    certainty = "highly-suspected" if reading.provisional else "confirmed"
    for match in matches(value, reading.chart.terminology):
        if match.kind == "morphology" and match.role:
            role = "other-tumour" if match.role == "other-morphology" else match.role
            reading.chart.tumours.append(
                Tumour(role, certainty, dict(match.facts), reading.resource, reading.when, CODED, match.display)
            )
            return
    said = words(value) or words(reading.resource.get("valueString"))
    if not said and not readable_code(value, reading.chart.terminology):
        reading.skip("no histology can be read", "nen_status")
        return
    written = affirmed(said)
    if says(normal_text(written), labels().possibility):
        return
    tumour = label_in(written, labels().tumour)
    if tumour:
        facts = dict(tumour.facts)
        grade = label_in(written, labels().differentiation)
        if grade:
            facts["differentiation"] = grade.value
        reading.chart.tumours.append(
            Tumour("morphology", certainty, facts, reading.resource, reading.when, TEXT, words(value) or reading.label)
        )


_NO_CHANGE = Label(value="stable", phrases=["no change", "unchanged"])


def _disease_status(reading: _Reading) -> None:
    """Course as the clinician judged it."""
    value = reading.resource.get("valueCodeableConcept")
    word = word_of(value)
    if word not in FACTS["last_imaging_result"].words:
        written = words(value) or text(reading.resource.get("valueString"))
        label = label_in(written, [_NO_CHANGE]) or label_in(affirmed(written), labels().disease_status)
        word = label.value if label else ""
    if word:
        reading.claim("last_imaging_result", word)
    else:
        reading.skip("the value is no status of the vocabulary", "last_imaging_result")


def _pregnancy(reading: _Reading) -> None:
    """A status older than the window says nothing about today."""
    window = reading.chart.windows.pregnancy_days
    resource = reading.resource
    value = resource.get("valueBoolean")
    if not isinstance(value, bool):
        found = matches(resource.get("valueCodeableConcept"), reading.chart.terminology)
        value = next((m.facts["pregnant"] for m in found if "pregnant" in m.facts), None)
        if value is None and not found:
            value = _pregnancy_words(words(resource.get("valueCodeableConcept")) or text(resource.get("valueString")))
    if value is None:
        reading.skip("the value says neither pregnant nor not pregnant", "pregnant")
        return
    if not dates.within(reading.when, reading.chart.today, window):
        reading.skip("the pregnancy status is undated or too old")
        return
    reading.claim("pregnant", value, rank=int(value))


def _pregnancy_words(written: str) -> bool | None:
    normal = normal_text(written)
    if says(normal, ["not pregnant", "negative"]):
        return False
    return True if says(normal, ["pregnant", "positive"]) else None


def _pregnancy_test(reading: _Reading) -> None:
    """A positive qualitative test counts; a negative one, or a number, proves nothing here."""
    resource = reading.resource
    written = normal_text(words(resource.get("valueCodeableConcept")) or text(resource.get("valueString")))
    positive = resource.get("valueBoolean") is True or (says(written, _POSITIVE) and not says(written, _NEGATIVE))
    window = reading.chart.windows.pregnancy_test_days
    if positive and dates.within(reading.when, reading.chart.today, window):
        reading.claim("pregnant", True, rank=1)


def _laboratory(unit: str) -> Callable[[_Reading], None]:
    """Keep a laboratory value for the join, which looks at several of them together."""

    def keep(reading: _Reading) -> None:
        found = amount(reading.resource)
        converted = convert(found, unit) if found is not None and unit else found
        if converted is None or converted.low < 0:
            reading.skip("no number with a usable unit can be read")
            return
        reading.chart.labs.setdefault(reading.match.role, []).append((reading.resource, converted, reading.when))

    return keep


def _alkaline_phosphatase(reading: _Reading) -> None:
    """Raised when flagged high or above its own reference range."""
    resource = reading.resource
    flags = {
        text(coding.get("code")).upper()
        for concept in objects(resource.get("interpretation"))
        for coding in objects(concept.get("coding"))
    }
    if flags & _HIGH:
        reading.claim("alp_elevated", True)
        return
    above = above_reference(resource)
    if above is None:
        reading.skip("no value with a reference range can be read", "alp_elevated")
        return
    reading.claim("alp_elevated", above)


def above_reference(resource: Resource) -> bool | None:
    """Whether the value lies above the upper limit the laboratory gives, in the same unit; None when it gives none."""
    found = amount(resource)
    for limits in objects(resource.get("referenceRange")):
        high = limits.get("high")
        limit = member(high, "value")
        stated = number(limit)
        if found is not None and stated is not None and stated > 0 and unit_of(high) in ("", found.unit):
            return found.low > stated
    return None


def _liver_dominant(reading: _Reading) -> None:
    value = reading.resource.get("valueBoolean")
    if not isinstance(value, bool):
        value = _yes_no(reading.resource)
    if value is None:
        reading.skip("value is neither yes nor no", "disease_dominance")
        return
    reading.claim("disease_dominance", "liver" if value else "non-liver")


def _mri_contraindicated(reading: _Reading) -> None:
    value = reading.resource.get("valueBoolean")
    if not isinstance(value, bool):
        value = _yes_no(reading.resource)
    if value:
        reading.claim("implant", "non-mr-conditional", rank=1)


_WINDOWS: dict[str, Callable[[Windows], float]] = {
    "pregnant": lambda windows: windows.pregnancy_days,
    "egfr": lambda windows: windows.egfr_days,
}
"""Facts that speak for today only for a while, whichever code says them."""

_ROLES: dict[str, Callable[[_Reading], None]] = {
    "observation": _observation,
    "histology": _histology,
    "disease-status": _disease_status,
    "pregnancy-status": _pregnancy,
    "pregnancy-test": _pregnancy_test,
    "alkaline-phosphatase": _alkaline_phosphatase,
    "chromogranin": _laboratory(""),
    "creatinine": _laboratory("mg/dL"),
    "egfr": _laboratory("mL/min/{1.73_m2}"),
    "liver-dominant": _liver_dominant,
    "mri-contraindicated": _mri_contraindicated,
    "tnm": lambda reading: tnm.read(reading.resource, reading.chart, reading.match, reading.when),
}
