"""Joins over the whole chart: what no single resource says alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from cds_service.domain.facts import TumourGrowth
from cds_service.domain.findings import Evidence
from fhir_profiles import dates
from fhir_profiles.chart import DERIVED, Chart, Claim, Event, Tumour
from fhir_profiles.dates import When
from fhir_profiles.inputs.devices import WORST_FIRST
from fhir_profiles.inputs.observations import above_reference
from fhir_profiles.reading import Amount, Resource, reading_defaults, source

_NEN_ROLES = frozenset({"tumour", "possible-tumour", "history", "morphology"})
_ORGAN_ROLES = frozenset({"mass", "pancreatic-malignancy"})
_OTHER_ROLES = frozenset({"other-tumour", "pancreatic-malignancy"})
_CARRIED = ("differentiation", "nec_cell_type", "functional_syndrome", "pancreas_subsite")
_STRENGTH = {"confirmed": 2, "highly-suspected": 1}
SITE_NOT_STATED = "site-not-stated"


def diagnosis(chart: Chart, *, complete: bool) -> bool:
    """Diagnosis, site and what the tumour's codes carry; returns whether anything speaks for a neoplasm of this kind.

    Without any sign of one the status is "none" when the required inputs were complete, and unknown otherwise.
    """
    tumours = [tumour for tumour in chart.tumours if not _lone_small_cell(tumour, chart.tumours)]
    neoplasms = [tumour for tumour in tumours if tumour.role in _NEN_ROLES]
    syndromes = [tumour for tumour in tumours if tumour.role == "syndrome"]
    others = [tumour for tumour in tumours if tumour.role in _OTHER_ROLES]
    said = chart.known("nen_status")
    if neoplasms:
        best = max(neoplasms, key=lambda t: (_STRENGTH[_status(t)], _day(t.when), source(t.resource)))
        _claim(chart, best, "nen_status", _status(best))
        chart.indication = _indication(neoplasms)
        _sites(chart, neoplasms, tumours)
        _dated(chart, neoplasms)
    elif syndromes:
        best = max(syndromes, key=lambda t: (_day(t.when), source(t.resource)))
        _claim(chart, best, "nen_status", "biochemical-suspicion")
    elif others and said is None:
        _claim(chart, others[0], "nen_status", "other-tumour")
    elif complete and said is None:
        chart.claim("nen_status", "none", {"resourceType": "Condition"}, how=DERIVED, label="no sign in the chart")
    for tumour in (*neoplasms, *syndromes):
        for name in _CARRIED:
            if name in tumour.facts:
                _claim(chart, tumour, name, tumour.facts[name])
    return bool(neoplasms or syndromes) or said in ("confirmed", "highly-suspected", "biochemical-suspicion")


def _indication(neoplasms: list[Tumour]) -> Resource | None:
    """The tumour as its newest Condition codes it; a suggested order repeats it untranslated."""
    conditions = [t for t in neoplasms if t.resource.get("resourceType") == "Condition"]
    newest = max(conditions, key=lambda t: (_day(t.when), source(t.resource)), default=None)
    code = newest.resource.get("code") if newest else None
    return code if isinstance(code, dict) else None


def _status(tumour: Tumour) -> str:
    return "highly-suspected" if tumour.role == "possible-tumour" else tumour.status


def _lone_small_cell(tumour: Tumour, tumours: list[Tumour]) -> bool:
    """Small-cell morphology without a digestive tumour on record: most such tumours are of the lung."""
    if tumour.facts.get("nec_cell_type") != "small" or tumour.role != "morphology":
        return False
    return not any(t.role in _ORGAN_ROLES or t.role in ("tumour", "possible-tumour", "history") for t in tumours)


def _day(when: When | None) -> date:
    return when.last if when else date.min


def _claim(chart: Chart, tumour: Tumour, fact: str, value: object) -> None:
    chart.claim(fact, value, tumour.resource, when=tumour.when, how=tumour.how, label=tumour.label)


def _sites(chart: Chart, neoplasms: list[Tumour], tumours: list[Tumour]) -> None:
    """Primary site from the tumour's own code or text; from the organ of a mass when morphology names the tumour."""
    own = [t for t in neoplasms if t.role in ("tumour", "possible-tumour") and "primary_site" in t.facts]
    if not own:
        own = [t for t in neoplasms if t.role == "history" and "primary_site" in t.facts]
    if not own:
        own = [t for t in tumours if t.role in _ORGAN_ROLES]
    if not own:
        own = [t for t in neoplasms if "primary_site" in t.facts]
    stated = [t for t in own if not source(t.resource).startswith("ServiceRequest")]
    for tumour in stated or own:
        _claim(chart, tumour, "primary_site", tumour.facts.get("primary_site"))
    for tumour in tumours:
        if tumour.role in _ORGAN_ROLES and "pancreas_subsite" in tumour.facts:
            _claim(chart, tumour, "pancreas_subsite", tumour.facts["pancreas_subsite"])


def _dated(chart: Chart, neoplasms: list[Tumour]) -> None:
    """Year of diagnosis from the earliest dated tumour Condition."""
    dated = [t for t in neoplasms if t.diagnosed is not None and t.role in ("tumour", "possible-tumour")]
    earliest = min(dated, key=lambda t: (_day(t.diagnosed), source(t.resource)), default=None)
    if earliest is None or earliest.diagnosed is None:
        return
    chart.claim(
        "diagnosis_year",
        float(earliest.diagnosed.first.year),
        earliest.resource,
        when=earliest.diagnosed,
        how=DERIVED,
        label="date of the diagnosis",
    )


def diagnosed_on(chart: Chart) -> When | None:
    """Date of the diagnosis: the earliest dated tumour Condition."""
    dated = [t.diagnosed for t in chart.tumours if t.diagnosed and t.role in ("tumour", "possible-tumour")]
    return min(dated, key=lambda when: when.last, default=None)


def spread(chart: Chart) -> None:
    """Sites of metastases as one list; an unnamed site adds nothing once a site is named."""
    named = [item for item in chart.metastases if item[0] != SITE_NOT_STATED]
    chart.merge_lists("metastases", named or chart.metastases)


def proliferation(chart: Chart) -> None:
    """Ki-67 of the primary tumour goes before that of a metastasis (GRD-04)."""
    claims = chart.claims.get("ki67_percent", [])
    primary = [claim for claim in claims if chart.specimens.get(claim.evidence.source, "primary") == "primary"]
    if primary:
        chart.claims["ki67_percent"] = primary
    elif claims:
        winner = max(claims, key=lambda claim: claim.order)
        chart.claims.setdefault("ki67_specimen", []).append(
            Claim("ki67_specimen", "metastasis", winner.evidence, winner.when)
        )


def devices(chart: Chart) -> None:
    """The worst device on record decides; removed ones do not count."""
    present = [
        (value, resource, label)
        for value, resource, label in chart.implants
        if not (resource.get("resourceType") == "Device" and str(resource.get("id")) in chart.devices_gone)
    ]
    known = {str(resource.get("id")) for _, resource, _ in chart.implants if resource.get("resourceType") == "Device"}
    for device, use in chart.devices_used:
        if device not in known and device not in chart.devices_gone:
            present.append(("unknown", use, "device in use"))
    if not present:
        return
    value, resource, label = min(present, key=lambda item: (WORST_FIRST.index(item[0]), source(item[1])))
    chart.claim("implant", value, resource, label=label)


def allergies(chart: Chart) -> None:
    """The worst reaction on record per class of contrast medium, as of its newest entry.

    An allergy stays: a later, milder entry does not undo a severe one, and only a newer statement of the fact itself
    takes it back.
    """
    for fact in dict.fromkeys(item[0] for item in chart.allergies):
        items = [item for item in chart.allergies if item[0] == fact]
        worst = "severe" if any(value == "severe" for _, value, *_ in items) else "mild"
        newest = max((when for _, _, _, when, _, _ in items if when), key=lambda when: when.last, default=None)
        for _, value, resource, when, how, label in items:
            if value == worst:
                evidence = chart.evidence(resource, when, how, label)
                chart.claims.setdefault(fact, []).append(Claim(fact, worst, evidence, newest, rank=1))


def size(chart: Chart) -> None:
    """Tumour size for staging: the newest before the first treatment, else the newest of all."""
    begun = (event.started or event.when for event in chart.events if event.kind in ("resection", "treatment"))
    started = [when.last for when in begun if when]
    before = [claim for claim in chart.sizes if started and claim.when and claim.when.last <= min(started)]
    candidates = before or chart.sizes
    if candidates:
        chart.claims.setdefault("size_mm", []).append(max(candidates, key=lambda claim: claim.order))


def kidney(chart: Chart) -> None:
    """EGFR of the window, the lowest of its newest day; else from creatinine by CKD-EPI 2021, marked as derived."""
    window = chart.windows.egfr_days
    if "egfr" in chart.claims:
        return
    measured = _of_newest_day(chart, "egfr", window)
    if measured:
        resource, found, when = min(measured, key=lambda item: (item[1].low, source(item[0])))
        chart.claim("egfr", found.low, resource, when=when, label="eGFR", limits=found)
        return
    creatinine = _of_newest_day(chart, "creatinine", window)
    age = chart.known("age_years")
    if not creatinine or age is None or chart.sex not in ("male", "female"):
        return
    resource, found, when = max(creatinine, key=lambda item: (item[1].high, source(item[0])))
    if found.exact and found.low > 0:
        value = ckd_epi_2021(found.low, age, female=chart.sex == "female")
        chart.claim("egfr", value, resource, when=when, how=DERIVED, label="creatinine, CKD-EPI 2021")


def _of_newest_day(chart: Chart, role: str, window: float) -> list[tuple[Resource, Amount, When | None]]:
    usable = []
    for resource, found, when in chart.labs.get(role, []):
        if dates.within(when, chart.today, window):
            usable.append((resource, found, when))
        else:
            chart.skip(resource, "the value is undated or older than its window")
    newest = max((_day(when) for _, _, when in usable), default=None)
    return [item for item in usable if _day(item[2]) == newest]


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
    (_, _, before), (when, resource, now) = dated[-2:]
    same = reading_defaults().same_unit
    alike = same.get(before.unit, before.unit) == same.get(now.unit, now.unit)
    risen = alike and now.low > chart.windows.chromogranin_rise_factor * before.low
    if risen and above_reference(resource):
        chart.claim("biochemical_rise", True, resource, when=when, how=DERIVED, label="chromogranin A")


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
    measured = [*by_day[before].values(), *newest.values()]
    first = sum(size_mm for size_mm, _, _ in by_day[before].values())
    last = sum(size_mm for size_mm, _, _ in newest.values())
    change = TumourGrowth(first, last, dates.months((days[0] - before).days))
    chart.claims["recist"] = [
        Claim("recist", change, replace(evidence, how=DERIVED), when) for _, evidence, when in reversed(measured)
    ]


def symptoms(chart: Chart) -> None:
    """Symptoms that began after the last imaging are new."""
    last = _latest(event for event in chart.events if event.kind == "imaging")
    if last is None or last.when is None:
        return
    for resource, since, label in chart.symptoms:
        if since is not None and since.first > last.when.last:
            chart.claim("new_symptoms", True, resource, when=since, how=DERIVED, label=label)


def treatments(chart: Chart) -> None:
    """Treatments given before and now; what has run out is history."""
    events = [event for event in chart.events if event.kind == "treatment"]
    for fact, current in (("current_treatments", True), ("prior_treatments", False)):
        chosen = [(event.procedure, event.evidence, event.when) for event in events if event.current is current]
        chart.merge_lists(fact, chosen)


def operations(chart: Chart) -> None:
    """Time since the latest resection; residual disease stated afterwards takes "curative" back."""
    latest = _latest(event for event in chart.events if event.kind == "resection")
    if latest is None or latest.when is None:
        _residual(chart, None)
        return
    _elapsed(chart, "months_since_resection", latest, latest.when)
    _residual(chart, latest.when)


def _residual(chart: Chart, operated: When | None) -> None:
    claims = chart.claims.get("residual_disease", [])
    if operated is not None:
        outdated = [claim for claim in claims if claim.value and claim.when and claim.when.last < operated.first]
        for claim in outdated:
            chart.alternatives_of("residual_disease", claim)
        claims = [claim for claim in claims if claim not in outdated]
        if outdated:
            chart.claims["residual_disease"] = claims
            if not claims:
                del chart.claims["residual_disease"]
    if claims and max(claims, key=lambda claim: claim.order).value is True and "curative_resection" in chart.claims:
        stated = max(claims, key=lambda claim: claim.order)
        chart.claims["curative_resection"] = [
            replace(stated, fact="curative_resection", value=False, evidence=replace(stated.evidence, how=DERIVED))
        ]


def _latest(events: Iterable[Event]) -> Event | None:
    dated = [event for event in events if event.when is not None]
    return max(dated, key=lambda event: (_day(event.when), event.evidence.source), default=None)


def _elapsed(chart: Chart, fact: str, event: Event, since: When, until: date | None = None) -> None:
    """Months between two dates; a partial date gives the range it leaves."""
    fewest, most = dates.days_before(since, until or chart.today)
    low, high = dates.months(max(fewest, 0)), dates.months(most)
    shown = f"{low:.1f}" if low == high else f"{low:.1f}-{high:.1f}"
    limits = Amount(low, high, "mo", f"{shown} months")
    evidence = replace(event.evidence, how=DERIVED)
    chart.claims.setdefault(fact, []).append(Claim(fact, low, evidence, event.when, limits=limits))


def imaging(chart: Chart) -> dict[str, float]:
    """Timing of past studies; returns days since each study was last done, by procedure key."""
    events = [event for event in chart.events if event.kind == "imaging" and event.when]
    operated = _latest(event for event in chart.events if event.kind == "resection")
    after = [
        event
        for event in events
        if operated is None or operated.when is None or (event.when and event.when.first > operated.when.last)
    ]
    last = _latest(event for event in after if "abdominal" in _attributes(chart, event))
    if last is not None and last.when is not None:
        _elapsed(chart, "months_since_last_imaging", last, last.when)
        if operated is not None and operated.when is not None and last.when.exact:
            _elapsed(chart, "months_resection_to_last_imaging", last, operated.when, last.when.last)
    receptor = _latest(event for event in after if "sstr" in _attributes(chart, event))
    if receptor is not None and receptor.when is not None:
        _elapsed(chart, "months_since_last_sstr_imaging", receptor, receptor.when)
    _staged(chart, events)
    newest_first = sorted(events, key=lambda event: (_day(event.when), event.evidence.source), reverse=True)
    chart.priors = tuple(dict.fromkeys(event.evidence for event in newest_first))
    return _days_since(chart, events)


def _attributes(chart: Chart, event: Event) -> frozenset[str]:
    return chart.attributes.get(event.procedure, event.attributes)


def _staged(chart: Chart, events: list[Event]) -> None:
    """Studies since the diagnosis count as baseline staging and as imaging of the chest."""
    diagnosed = diagnosed_on(chart)
    for event in events:
        since = diagnosed is not None and event.when is not None and event.when.first >= diagnosed.last
        known = _attributes(chart, event)
        if since and known & {"abdominal", "sstr"}:
            _from_event(chart, "baseline_staging_done", event)
        if (since or diagnosed is None) and "chest" in known:
            _from_event(chart, "chest_imaging_done", event)


def _from_event(chart: Chart, fact: str, event: Event) -> None:
    evidence = replace(event.evidence, how=DERIVED)
    chart.claims.setdefault(fact, []).append(Claim(fact, True, evidence, event.when))


def _days_since(chart: Chart, events: list[Event]) -> dict[str, float]:
    """Only exactly dated studies: a duplicate within days cannot be claimed from a month."""
    found: dict[str, float] = {}
    for event in events:
        if event.procedure and event.when is not None and event.when.exact:
            days = float((chart.today - event.when.last).days)
            found[event.procedure] = min(days, found.get(event.procedure, days))
    return found
