"""Patient: age, sex, and whether the patient is alive."""

from __future__ import annotations

from fhir_profiles import dates
from fhir_profiles.chart import Chart
from fhir_profiles.reading import Resource, text

_SEXES = ("male", "female", "other")


def read(resource: Resource, chart: Chart) -> None:
    """``age_years`` in completed years from the birth date, ``sex`` from administrative gender."""
    chart.deceased = (
        chart.deceased or resource.get("deceasedBoolean") is True or bool(text(resource.get("deceasedDateTime")))
    )
    _age(resource, chart)
    gender = text(resource.get("gender")).lower()
    if gender in _SEXES:
        chart.sex = gender
        chart.claim("sex", gender, resource, label="gender")
    elif gender and gender != "unknown":
        chart.skip(resource, "gender is none of male, female, other, unknown", "sex")


def _age(resource: Resource, chart: Chart) -> None:
    born = resource.get("birthDate")
    if born is None:
        return
    when = dates.parse(born)
    if when is None or when.first > chart.today:
        chart.skip(resource, "birthDate is not a date in the past", "age_years")
        return
    chart.birth = when
    age = dates.age_years(when, chart.today)
    if age is None:
        chart.skip(resource, "birthDate is partial and leaves the age open by a year", "age_years")
        return
    today = dates.parse(chart.today.isoformat())
    chart.claim("age_years", age, resource, when=today, how="derived", label=f"birth date {when.text}")
