"""Joins over the whole chart: what no single resource says alone."""

from __future__ import annotations

from dataclasses import replace

from cds_service.domain.findings import Evidence
from fhir_profiles.chart import DERIVED, Chart, Claim, Event, Tumour, day_of, latest
from fhir_profiles.dates import When
from fhir_profiles.derived import elapsed, since_diagnosis
from fhir_profiles.inputs.devices import WORST_FIRST
from fhir_profiles.reading import Resource, source

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
        best = max(neoplasms, key=lambda t: (_STRENGTH[_status(t)], day_of(t.when), source(t.resource)))
        _claim(chart, best, "nen_status", _status(best))
        chart.indication = _indication(neoplasms)
        _sites(chart, neoplasms, tumours)
        for tumour in others:
            if tumour.role == "other-tumour" and tumour.facts.get("primary_site") == "pancreas":
                chart.set_apart("nen_status", "other-tumour", _evidence(chart, tumour))
        _dated(chart, neoplasms)
    elif syndromes:
        best = max(syndromes, key=lambda t: (day_of(t.when), source(t.resource)))
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
    newest = max(conditions, key=lambda t: (day_of(t.when), source(t.resource)), default=None)
    code = newest.resource.get("code") if newest else None
    return code if isinstance(code, dict) else None


def _status(tumour: Tumour) -> str:
    return "highly-suspected" if tumour.role == "possible-tumour" else tumour.status


def _lone_small_cell(tumour: Tumour, tumours: list[Tumour]) -> bool:
    """Small-cell morphology without a digestive tumour on record: most such tumours are of the lung."""
    if tumour.facts.get("nec_cell_type") != "small" or tumour.role != "morphology":
        return False
    return not any(t.role in _ORGAN_ROLES or t.role in ("tumour", "possible-tumour", "history") for t in tumours)


def _evidence(chart: Chart, tumour: Tumour) -> Evidence:
    return chart.evidence(tumour.resource, tumour.when, tumour.how, tumour.label)


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
    used = [t for t in own if not source(t.resource).startswith("ServiceRequest")] or own
    for tumour in used:
        _claim(chart, tumour, "primary_site", tumour.facts.get("primary_site"))
    for tumour in tumours:
        other = tumour.facts.get("primary_site")
        if other is not None and tumour not in used and tumour.role in _NEN_ROLES:
            chart.set_apart("primary_site", other, _evidence(chart, tumour))
    for tumour in tumours:
        if tumour.role in _ORGAN_ROLES and "pancreas_subsite" in tumour.facts:
            _claim(chart, tumour, "pancreas_subsite", tumour.facts["pancreas_subsite"])


def _dated(chart: Chart, neoplasms: list[Tumour]) -> None:
    """Year of diagnosis from the earliest dated tumour Condition."""
    dated = [t for t in neoplasms if t.diagnosed is not None and t.role in ("tumour", "possible-tumour")]
    earliest = min(dated, key=lambda t: (day_of(t.diagnosed), source(t.resource)), default=None)
    if earliest is None or earliest.diagnosed is None:
        return
    chart.claim(
        "diagnosis_year",
        float(earliest.diagnosed.first.year),
        earliest.resource,
        when=earliest.diagnosed,
        how=DERIVED,
        label=f"date of the diagnosis {earliest.diagnosed.text}",
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
    """Ki-67 of the primary tumour goes before that of a metastasis (GRD-04), which is told when it differs."""
    claims = chart.claims.get("ki67_percent", [])
    primary = [claim for claim in claims if chart.specimens.get(claim.evidence.source, "primary") == "primary"]
    if primary:
        chart.claims["ki67_percent"] = primary
        for claim in claims:
            if claim not in primary:
                chart.set_apart("ki67_percent", claim.value, claim.evidence)
    elif claims:
        winner = max(claims, key=lambda claim: claim.order)
        chart.claims.setdefault("ki67_specimen", []).append(
            Claim("ki67_specimen", "metastasis", winner.evidence, winner.when)
        )


def devices(chart: Chart) -> None:
    """The worst device on record decides and the others stand beside it as evidence; removed ones do not count."""
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
    present.sort(key=lambda item: (WORST_FIRST.index(item[0]), source(item[1])))
    worst = present[0][0]
    for value, resource, label in present:
        told = label if value == worst else f"{label}: {value}"
        evidence = chart.evidence(resource, None, label=told)
        chart.claims.setdefault("implant", []).append(Claim("implant", worst, evidence))


def allergies(chart: Chart) -> None:
    """The worst reaction on record per class of contrast medium, as of its newest entry.

    An allergy stays: a later, milder entry does not undo a severe one, and only a newer statement of the fact itself
    takes it back. An entry that says the allergy is over, beside one that says it is not, is told.
    """
    for fact in dict.fromkeys(item[0] for item in chart.allergies):
        items = [item for item in chart.allergies if item[0] == fact]
        worst = "severe" if any(value == "severe" for _, value, *_ in items) else "mild"
        newest = max((when for _, _, _, when, _, _ in items if when), key=lambda when: when.last, default=None)
        for _, value, resource, when, how, label in items:
            if value == worst:
                evidence = chart.evidence(resource, when, how, label)
                chart.claims.setdefault(fact, []).append(Claim(fact, worst, evidence, newest, rank=1))
        for over, evidence in chart.allergies_over:
            if over == fact:
                chart.set_apart(fact, "none", evidence)


def size(chart: Chart) -> None:
    """Tumour size for staging: the newest before the first treatment, else the newest of all."""
    begun = (event.started or event.when for event in chart.events if event.kind in ("resection", "treatment"))
    started = [when.last for when in begun if when]
    before = [claim for claim in chart.sizes if started and claim.when and claim.when.last <= min(started)]
    candidates = before or chart.sizes
    if not candidates:
        return
    winner = max(candidates, key=lambda claim: claim.order)
    same_lesion = [c for c in candidates if not (c.lesion and winner.lesion) or c.lesion == winner.lesion]
    of_the_day = [c for c in same_lesion if c.order[0] == winner.order[0]]
    chart.claims.setdefault("size_mm", []).extend(of_the_day)


def treatments(chart: Chart) -> None:
    """Treatments given before and now; what has run out is history."""
    events = [event for event in chart.events if event.kind == "treatment"]
    for fact, current in (("current_treatments", True), ("prior_treatments", False)):
        chosen = [(event.procedure, event.evidence, event.when) for event in events if event.current is current]
        chart.merge_lists(fact, chosen)


def operations(chart: Chart) -> None:
    """Time since the latest resection; residual disease stated afterwards takes "curative" back."""
    operation = latest(event for event in chart.events if event.kind == "resection")
    if operation is None or operation.when is None:
        _residual(chart, None)
        return
    elapsed(chart, "months_since_resection", operation, operation.when)
    _residual(chart, operation.when)


def _residual(chart: Chart, operated: When | None) -> None:
    claims = chart.claims.get("residual_disease", [])
    if operated is not None:
        outdated = [claim for claim in claims if claim.value and claim.when and claim.when.last < operated.first]
        for claim in outdated:
            chart.set_apart("residual_disease", True, claim.evidence)
        claims = [claim for claim in claims if claim not in outdated]
        if outdated:
            chart.claims["residual_disease"] = claims
            if not claims:
                del chart.claims["residual_disease"]
    if claims and max(claims, key=lambda claim: claim.order).value is True and "curative_resection" in chart.claims:
        stated = max(claims, key=lambda claim: claim.order)
        for claim in chart.claims["curative_resection"]:
            if claim.value:
                chart.set_apart("curative_resection", True, claim.evidence)
        chart.claims["curative_resection"] = [
            replace(stated, fact="curative_resection", value=False, evidence=replace(stated.evidence, how=DERIVED))
        ]


def imaging(chart: Chart) -> dict[str, float]:
    """Timing of past studies; returns days since each study was last done, by procedure key."""
    events = [event for event in chart.events if event.kind == "imaging" and event.when]
    operated = latest(event for event in chart.events if event.kind == "resection")
    after = [
        event
        for event in events
        if operated is None or operated.when is None or (event.when and event.when.first > operated.when.last)
    ]
    last = latest(event for event in after if "abdominal" in _attributes(chart, event))
    if last is not None and last.when is not None:
        elapsed(chart, "months_since_last_imaging", last, last.when)
        if operated is not None and operated.when is not None and last.when.exact:
            elapsed(chart, "months_resection_to_last_imaging", operated, operated.when, last)
    receptor = latest(event for event in after if "sstr" in _attributes(chart, event))
    if receptor is not None and receptor.when is not None:
        elapsed(chart, "months_since_last_sstr_imaging", receptor, receptor.when)
    _staged(chart, events)
    newest_first = sorted(events, key=lambda event: (day_of(event.when), event.evidence.source), reverse=True)
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
            since_diagnosis(chart, "baseline_staging_done", event, diagnosed)
        if (since or diagnosed is None) and "chest" in known:
            since_diagnosis(chart, "chest_imaging_done", event, diagnosed)


def _days_since(chart: Chart, events: list[Event]) -> dict[str, float]:
    """Only exactly dated studies: a duplicate within days cannot be claimed from a month."""
    found: dict[str, float] = {}
    for event in events:
        if event.procedure and event.when is not None and event.when.exact:
            days = float((chart.today - event.when.last).days)
            found[event.procedure] = min(days, found.get(event.procedure, days))
    return found
