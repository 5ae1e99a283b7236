"""Facts that are computed from others. The evidence of each lists what it was computed from, with values or dates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from cds_service.domain.facts import TumourGrowth
from cds_service.domain.findings import Evidence
from fhir_profiles import dates
from fhir_profiles.chart import DERIVED, Chart, Claim, Event, day_of, latest
from fhir_profiles.dates import When
from fhir_profiles.inputs.observations import above_reference
from fhir_profiles.reading import Amount, Resource, reading_defaults, source


def _claim(chart: Chart, fact: str, value: object, inputs: Iterable[Evidence], when: When | None) -> None:
    """Claim a computed value once for each of its inputs, the decisive one first."""
    claims = [Claim(fact, value, replace(item, how=DERIVED), when, -n) for n, item in enumerate(inputs)]
    chart.claims.setdefault(fact, []).extend(claims)


def kidney(chart: Chart) -> None:
    """EGFR of the window, the lowest of its newest day; else from creatinine by CKD-EPI 2021, marked as derived."""
    window = chart.windows.egfr_days
    if "egfr" in chart.claims:
        return
    measured = _of_newest_day(chart, "egfr", window)
    if measured:
        for rank, (resource, found, when) in enumerate(sorted(measured, key=lambda m: (-m[1].low, source(m[0])))):
            chart.claim("egfr", found.low, resource, when=when, label="eGFR", limits=found, rank=rank)
        return
    creatinine = _of_newest_day(chart, "creatinine", window)
    age = chart.known("age_years")
    if not creatinine or age is None or chart.sex not in ("male", "female"):
        return
    resource, found, when = max(creatinine, key=lambda item: (item[1].high, source(item[0])))
    if found.exact and found.low > 0:
        value = ckd_epi_2021(found.low, age, female=chart.sex == "female")
        person = f"age {age:g}, {chart.sex}"
        measure = chart.evidence(resource, when, label=f"creatinine {found.low:.3g} mg/dL, {person}; CKD-EPI 2021")
        known = {c.evidence.source: c.evidence for fact in ("sex", "age_years") for c in chart.claims.get(fact, [])}
        persons = [replace(item, label=person) for reference, item in known.items() if reference != measure.source]
        _claim(chart, "egfr", value, (measure, *persons), when)


def _of_newest_day(chart: Chart, role: str, window: float) -> list[tuple[Resource, Amount, When | None]]:
    """The values of the newest day within the window; without any, the newest of the others is told."""
    values = chart.labs.get(role, [])
    usable = [item for item in values if dates.within(item[2], chart.today, window)]
    if values and not usable:
        last = max(values, key=lambda item: (day_of(item[2]), source(item[0])))
        chart.skip(last[0], "the value is undated or older than its window")
    newest = max((day_of(when) for _, _, when in usable), default=None)
    return [item for item in usable if day_of(item[2]) == newest]


def ckd_epi_2021(creatinine_mg_dl: float, age_years: float, *, female: bool) -> float:
    """EGFR in mL/min/1.73 m² from serum creatinine (mg/dL) and age (years).

    Source: CKD-EPI creatinine equation without race, Inker LA et al., New England Journal of Medicine 2021;385:1737.
    """
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine_mg_dl / kappa
    value = 142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age_years
    return float(value * (1.012 if female else 1))


def chromogranin(chart: Chart) -> None:
    """A rise: newest value above its reference range and half again as high as the one before, in the same unit."""
    dated = sorted(
        (
            (when, resource, found)
            for resource, found, when in chart.labs.get("chromogranin", [])
            if when and found.exact
        ),
        key=lambda item: (item[0].last, source(item[1])),
    )
    if not dated[1:]:
        return
    (earlier, first, before), (when, resource, now) = dated[-2:]
    same = reading_defaults().same_unit
    alike = same.get(before.unit, before.unit) == same.get(now.unit, now.unit)
    risen = alike and now.low > chart.windows.chromogranin_rise_factor * before.low
    if risen and above_reference(resource):
        newest = chart.evidence(resource, when, label=f"chromogranin A {now.low:g} {now.unit}, above its reference")
        previous = chart.evidence(first, earlier, label=f"chromogranin A {before.low:g} {before.unit} before")
        _claim(chart, "biochemical_rise", True, (newest, previous), when)


def growth(chart: Chart) -> None:
    """Sum of the diameters of the same lesions on the two newest days on which all of them were measured."""
    by_day: dict[date, dict[str, tuple[float, Evidence, When]]] = {}
    for lesion, sizes in chart.lesions.items():
        for when, size_mm, evidence in sizes:
            by_day.setdefault(when.last, {})[lesion] = (size_mm, evidence, when)
    days = sorted(by_day, reverse=True)
    if "recist" in chart.claims or not days[1:]:
        return
    newest = by_day[days[0]]
    before = next((day for day in days[1:] if by_day[day].keys() == newest.keys()), None)
    if before is None:
        return
    first = sum(size_mm for size_mm, _, _ in by_day[before].values())
    last = sum(size_mm for size_mm, _, _ in newest.values())
    change = TumourGrowth(first, last, dates.months((days[0] - before).days))
    measured = [*newest.values(), *by_day[before].values()]
    told = [replace(evidence, label=f"{evidence.label}: {size_mm:g} mm") for size_mm, evidence, _ in measured]
    _claim(chart, "recist", change, told, measured[0][2])


def symptoms(chart: Chart) -> None:
    """Symptoms that began after the last imaging are new."""
    last = latest(event for event in chart.events if event.kind == "imaging")
    if last is None or last.when is None:
        return
    for resource, since, label in chart.symptoms:
        if since is not None and since.first > last.when.last:
            began = chart.evidence(resource, since, label=f"{label}, since {since.text}")
            _claim(chart, "new_symptoms", True, (began, _told(last, "last imaging")), since)


def elapsed(chart: Chart, fact: str, event: Event, since: When, until: Event | None = None) -> None:
    """Months since an event, until today or another event; a partial date gives the range it leaves."""
    end = until.when.last if until is not None and until.when is not None else chart.today
    fewest, most = dates.days_before(since, end)
    low, high = dates.months(max(fewest, 0)), dates.months(most)
    shown = f"{low:.1f}" if low == high else f"{low:.1f}-{high:.1f}"
    limits = Amount(low, high, "mo", f"{shown} months")
    inputs = [_told(event, f"{shown} months to {end.isoformat()}")]
    if until is not None:
        inputs.insert(0, _told(until, "the later date"))
    claims = [Claim(fact, low, item, event.when, -n, limits) for n, item in enumerate(inputs)]
    chart.claims.setdefault(fact, []).extend(claims)


def since_diagnosis(chart: Chart, fact: str, event: Event, diagnosed: When | None) -> None:
    """A study was done, after the diagnosis where its date is known."""
    note = f"after the diagnosis of {diagnosed.text}" if diagnosed is not None else "no date of the diagnosis"
    _claim(chart, fact, True, (_told(event, note),), event.when)


def _told(event: Event, note: str) -> Evidence:
    return replace(event.evidence, how=DERIVED, label=f"{event.evidence.label}; {note}")
