"""The patient's story as a page: it says what the assessment says, with all evidence, and nothing in it is a script."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask

from cds_service.cards import whatif_words, wording
from cds_service.cards.markdown import plain, unmarked
from cds_service.cards.sentences import fact_in_words
from cds_service.clinical.markers import change_percent
from cds_service.consult import Consulted, about_options, from_bundle
from cds_service.domain.facts import FACTS
from cds_service.errors import FactsError
from cds_service.knowledge import Knowledge
from cds_service.story.model import Story
from cds_service.story.tell import DECEASED, NOT_OURS, UNREAD, tell
from cds_service.web.story import story_page
from fhir_profiles.synthetic import synthetic_patients
from fhir_profiles.terminology import Terminology
from tests.builders import AS_OF
from tests.calling import InProcess, MakeApp
from tests.web.test_guideline import POLICY, Page, read

Json = Any
SLUGS = [patient.slug for patient in synthetic_patients()]
NOT_A_NET = "pancreatic-adenocarcinoma"
OURS = [slug for slug in SLUGS if slug != NOT_A_NET]
MEASURED_TWICE = "early-mri-after-prrt"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> & {{ 7*7 }} **b** `c`'
each_patient = pytest.mark.parametrize("slug", SLUGS)
each_of_ours = pytest.mark.parametrize("slug", OURS)


def bundle_of(slug: str) -> Json:
    """The chart of a synthetic patient, to be changed at will."""
    return copy.deepcopy(next(patient.bundle for patient in synthetic_patients() if patient.slug == slug))


def resources_of(bundle: Json, kind: str) -> Iterator[Json]:
    """Resources of a type."""
    return (entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind)


@pytest.fixture
def consulted(slug: str, knowledge: Knowledge, terminology: Terminology) -> Consulted:
    """What the service finds about the patient."""
    return from_bundle(bundle_of(slug), (), AS_OF, knowledge, terminology)


@pytest.fixture
def story(slug: str, knowledge: Knowledge, terminology: Terminology) -> Story:
    """The story of the patient."""
    return tell(bundle_of(slug), AS_OF, knowledge, terminology)


def body(service: InProcess, slug: str, query: str = "") -> str:
    """The page as sent."""
    return service.request("GET", f"/demo/patients/{slug}/story{query}").body.decode()


def shown(service: InProcess, slug: str, query: str = "", status: int = 200) -> Page:
    """The page taken apart."""
    return read(service.request("GET", f"/demo/patients/{slug}/story{query}"), status)


def charts(html: str) -> list[Page]:
    """The charts of a page, their labels apart from each other."""
    return [Page(found.replace("<", " <")) for found in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def rows(html: str, caption: str) -> list[list[str]]:
    """Cells of the body rows of the table with such a caption."""
    table = next(found for found in re.findall(r"<table>.*?</table>", html, re.DOTALL) if caption in found)
    lines = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    return [[Page(cell).flat for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", line, re.DOTALL)] for line in lines]


def one_line(text: str) -> str:
    """As text comes out of a page."""
    return " ".join(text.split())


# --- it says what the assessment says ---------------------------------------------------------------------------------


@each_of_ours
def test_grade_and_stages_are_those_of_the_assessment(slug: str, consulted: Consulted, local: InProcess) -> None:
    """Both editions of the grade; every system with T, N, M and stage, the one for this patient first."""
    assessment = consulted.assessed.assessment
    page, html = shown(local, slug).flat, body(local, slug)
    grade = assessment.grade
    assert f"WHO 2019/2022: {(grade.who2019 or 'not computable').replace('-', ' ')}" in page
    assert f"WHO 2010: {grade.who2010 or 'not computable'}" in page
    if not assessment.tnm:
        assert "No staging system applies" in page
        return
    found = rows(html, "Stage in every system")
    assert len(found) == len(assessment.tnm)
    by_name = {wording.SYSTEM[system]: stage for system, stage in assessment.tnm.items()}
    for name, t, n, m, group in found:
        stage = by_name[name.removesuffix(" (primary)")]
        assert (t.split()[0], n.split()[0], m) == (stage.t, stage.n, stage.m or "unknown")
        assert group == (stage.stage or (f"{stage.stage_if_m0} if M0" if stage.stage_if_m0 else "undetermined"))
    if assessment.tnm_primary_system:
        assert found[0][0] == f"{wording.SYSTEM[assessment.tnm_primary_system]} (primary)"


@each_of_ours
def test_the_follow_up_is_that_of_the_assessment(slug: str, consulted: Consulted, local: InProcess) -> None:
    """Status, interval, rule and window; the window is in chart and table."""
    followup = consulted.assessed.assessment.followup
    html, page = body(local, slug), shown(local, slug)
    if followup.row is None or followup.rule is None:
        assert "No schedule applies" in page.flat
        return
    assert followup.status.replace("-", " ") in page.flat
    assert consulted.knowledge.rows[followup.row].statement in page.flat
    assert f"/guideline/rules/{followup.rule}" in {link["href"] for link in page.all("a")}
    if followup.window_months is None:
        assert "Follow-up window" not in html
        return
    first, last = (AS_OF + timedelta(days=round(months * 30.4375)) for months in followup.window_months)
    span = f"{first} – {last}"
    assert rows(html, "oldest first")[-1][:3] == ["next", span, "Follow-up window"]
    assert span in charts(html)[0].flat


@each_of_ours
def test_sizes_and_growth_are_those_of_the_assessment(slug: str, consulted: Consulted, local: InProcess) -> None:
    """Every measured size with its source in chart and table; change and growth rate as reckoned."""
    chart, assessment = consulted.assessed.chart, consulted.assessed.assessment
    html, page = body(local, slug), shown(local, slug).flat
    if chart.measured:
        told = {(cells[1], cells[2], cells[3]) for cells in rows(html, "Measured sizes")}
        assert told == {(m.evidence.date, f"{m.size_mm:g} mm", m.evidence.source) for m in chart.measured}
        for measured in chart.measured:
            assert f"{measured.size_mm:g} mm" in charts(html)[1].flat
    else:
        assert "No size is on record" in page
    change = change_percent(assessment.facts)
    assert ("Growth rate and change cannot be reckoned" in page) is (change is None)
    if change is not None:
        assert f"{change:+.1f} %" in page
        assert f"{assessment.markers['tgr_percent_per_month']:.2f} % of volume per month" in page


@each_of_ours
def test_unknowns_are_told_in_the_words_of_the_cards(slug: str, consulted: Consulted, local: InProcess) -> None:
    """Each fact that would change something, its values, and every change; what else is missing by name."""
    what_if, page = consulted.what_if(), shown(local, slug).flat
    found = rows(body(local, slug), "What would change this answer") if what_if.entries else []
    assert len(found) == len(what_if.entries)
    for cells, entry in zip(found, what_if.entries, strict=True):
        values = unmarked(whatif_words.values(entry.fact, entry.values))
        assert cells[:2] == [wording.fact_name(entry.fact), one_line(values)]
        for order in {change.order for change in entry.changes}:
            of_order = [change for change in entry.changes if change.order == order]
            for words in whatif_words.changes(of_order, consulted.knowledge):
                assert one_line(unmarked(words)) in cells[2]
    asked = set(consulted.assessed.assessment.missing) - {"days_since_same_procedure", "pregnant"}
    assert all(wording.fact_name(name) in page for name in asked)


@each_patient
def test_every_fact_has_all_its_evidence(slug: str, consulted: Consulted, local: InProcess) -> None:
    """In its row: the value, and every resource with its date and how it was read."""
    chart = consulted.assessed.chart
    found = {cells[0]: cells[1:] for cells in rows(body(local, slug), "Facts as read from the record")}
    known = [name for name in FACTS if getattr(chart.facts, name) is not None]
    assert list(found) == [wording.fact_name(name) for name in known]
    for name in known:
        value, evidence = found[wording.fact_name(name)]
        assert value == one_line(plain(fact_in_words(name, getattr(chart.facts, name))))
        for item in chart.evidence.get(name, ()):
            dated = f"{item.source}, {item.date}" if item.date else item.source
            assert f"{dated}, {wording.READ_AS[item.how]}" in evidence


@each_of_ours
def test_rated_studies_are_those_of_the_assessment(
    slug: str, consulted: Consulted, local: InProcess, terminology: Terminology
) -> None:
    """Each with rating, radiation level, every safety rule that fires for it, and links to scenario and rule."""
    options = about_options(bundle_of(slug), AS_OF, consulted.knowledge, terminology).assessed.assessment
    findings = {option.order.procedure: option.safety for option in options.orders}
    order, *_ = consulted.assessed.assessment.orders
    page, html = shown(local, slug), body(local, slug)
    links = {link["href"] for link in page.all("a")}
    assert f"/guideline/scenarios/{order.scenario}" in links
    if not order.alternatives:
        assert "No source available to this service rates a study" in page.flat
        return
    found = rows(html, "Studies a source rates")
    assert len(found) == len(order.alternatives)
    for cells, study in zip(found, order.alternatives, strict=True):
        label = consulted.knowledge.procedures[study.procedure].label
        assert cells[:3] == [label, wording.RATING[study.rating], study.radiation]
        assert all(rule in cells[3] for rule in study.blocked_by)
        for finding in findings.get(study.procedure, ()):
            assert f"({finding.rule}, {finding.severity})" in cells[3], "also what is no reason to block it"
        assert ("no safety rule applies" in cells[3]) is not bool(study.blocked_by or findings.get(study.procedure))
        assert "as reported by" in cells[4]
        assert f"/guideline/rules/{study.rule}" in links


@each_patient
def test_the_timeline_holds_what_was_done(slug: str, consulted: Consulted, story: Story, local: InProcess) -> None:
    """Every operation, treatment and study that was read, oldest first, with its source; numbers as in the chart."""
    html = body(local, slug)
    if not story.events:
        assert "Nothing that this service reads is dated" in shown(local, slug).flat
        return
    found = [cells for cells in rows(html, "oldest first") if cells[0] != "next"]
    assert len(found) == len(story.events)
    sources = " ".join(cells[4] for cells in found)
    assert all(done.evidence.source in sources for done in consulted.assessed.chart.course)
    dated = [event.first for event in story.events if event.first]
    assert dated == sorted(dated)
    drawn = charts(html)[0].flat
    for cells, event in zip(found, story.events, strict=True):
        assert (cells[1] or "no date", cells[2]) == (event.when or "no date", event.kind)
        assert event.first is None or re.search(rf"\b{cells[0]}\b", drawn)


def test_a_story_without_orders_has_its_rated_studies(knowledge: Knowledge, terminology: Terminology) -> None:
    """Which studies there are does not hang on something being ordered."""
    bundle = bundle_of("incidental-tail-lesion")
    ordered = tell(bundle, AS_OF, knowledge, terminology)
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "ServiceRequest"]
    assert tell(bundle, AS_OF, knowledge, terminology).studies == ordered.studies != ()


def test_contradictions_and_unusable_data_are_told(app: Flask, knowledge: Knowledge, terminology: Terminology) -> None:
    """Both values of a contradiction with their sources; every resource that was set aside."""
    bundle = bundle_of("incidental-tail-lesion")
    ki67 = next(found for found in resources_of(bundle, "Observation") if found["id"].endswith("ki67"))
    other = copy.deepcopy(ki67) | {"id": "other-ki67", "valueQuantity": ki67["valueQuantity"] | {"value": 30}}
    unusable = [
        copy.deepcopy(ki67) | {"id": f"odd-{n}", "valueQuantity": {"value": 300, "code": "%"}} for n in range(12)
    ]
    bundle["entry"] += [{"resource": found} for found in (other, *unusable)]
    page = told(app, bundle, knowledge, terminology)
    assert "Conflict about Ki-67" in page.flat
    assert "Observation/other-ki67" in page.flat
    assert "The record contradicts itself" in page.flat
    assert all(f"Observation/odd-{n}" in page.flat for n in range(12)), "no list is cut on the page"


def told(app: Flask, bundle: Json, knowledge: Knowledge, terminology: Terminology, root: str = "") -> Page:
    """The page about any Bundle, as an application that holds a chart would show it."""
    with app.test_request_context("/"):
        return Page(story_page(bundle, AS_OF, knowledge, terminology, root).get_data(as_text=True))


def test_nothing_is_advised_about_others(local: InProcess, knowledge: Knowledge, terminology: Terminology) -> None:
    """No tumour of this kind, or nobody to image: the page says so and keeps silent."""
    page = shown(local, NOT_A_NET)
    assert NOT_OURS in page.flat
    assert "What would change" not in page.flat
    bundle = bundle_of("active-surveillance")
    next(resources_of(bundle, "Patient"))["deceasedBoolean"] = True
    story = tell(bundle, AS_OF, knowledge, terminology)
    assert (story.silent, story.window, story.unknown) == (DECEASED, None, ())


def test_what_cannot_be_read_is_not_called_absent(knowledge: Knowledge, terminology: Terminology) -> None:
    """A diagnosis that cannot be read may be one of ours: the page says that it is not known."""
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"}, "code": 5}
    held: list[Json] = [{"resourceType": "Patient", "id": "1"}, condition]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in held]}
    story = tell(bundle, AS_OF, knowledge, terminology)
    assert story.silent == UNREAD
    assert any("Condition/c" in line for line in story.unusable)


# --- the page as a page -----------------------------------------------------------------------------------------------


@each_patient
def test_the_page_is_strict_and_holds_no_script(slug: str, local: InProcess) -> None:
    """The policy of the guideline pages; neither scripts nor inline styles."""
    answer = local.request("GET", f"/demo/patients/{slug}/story")
    assert answer.headers["Content-Security-Policy"] == POLICY
    page = read(answer)
    assert not page.all("script")
    assert not page.all("style")
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


@each_patient
def test_it_can_be_read_aloud(slug: str, local: InProcess) -> None:
    """One heading of the first level, none skipped; tables with captions and scopes; charts with name, description and
    a table behind each.
    """
    html, page = body(local, slug), shown(local, slug)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.all("a") if str(a["href"]).startswith("#")} <= set(ids)
    for chart in charts(html):
        assert chart.all("svg")[0]["role"] == "img"
        assert chart.tags[1][0] == "title"
        assert chart.tags[2][0] == "desc"
    assert len(page.all("table")) > len(charts(html))


@each_patient
def test_its_links_lead_somewhere(slug: str, local: InProcess) -> None:
    """Into the guideline text, on the same day."""
    page = shown(local, slug, f"?as-of={AS_OF}")
    for target in {str(a["href"]).partition("#")[0] for a in page.all("a")} - {""}:
        assert target.endswith(f"?as-of={AS_OF}"), target
        assert local.request("GET", target).status == 200, target


def test_a_story_can_be_moved_to_a_day(local: InProcess, make_app: MakeApp) -> None:
    """The same story, as of another day: dates move along, answers do not."""
    later = AS_OF + timedelta(days=100)
    there = body(local, MEASURED_TWICE, f"?as-of={later}")
    assert f"as of {later}" in Page(there).flat
    of_that_day = body(InProcess(make_app(today=later)), MEASURED_TWICE)
    assert of_that_day == there.replace(f"?as-of={later}", "").replace(
        f'<p class="note">As it was in force on {later}.</p>', ""
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [("nobody/story", 404), (f"{NOT_A_NET}/story?as-of=soon", 400), (f"{NOT_A_NET}/story?as-of=1999-01-01", 404)],
)
def test_what_cannot_be_shown_is_said_on_a_page(path: str, status: int, local: InProcess) -> None:
    """No such patient, no day, no rules on that day."""
    answer = local.request("GET", f"/demo/patients/{path}")
    assert read(answer, status).all("main")
    assert answer.headers["Content-Security-Policy"] == POLICY


def test_links_begin_with_the_path_a_proxy_adds(app: Flask, knowledge: Knowledge, terminology: Terminology) -> None:
    """A page under a public URL with a path leads to guideline pages under it."""
    page = told(app, bundle_of(MEASURED_TWICE), knowledge, terminology, root="/pnet")
    assert all(str(a["href"]).startswith(("/pnet/guideline", "#")) for a in page.all("a"))


# --- hostile records --------------------------------------------------------------------------------------------------


def test_text_of_a_record_is_never_markup(app: Flask, knowledge: Knowledge, terminology: Terminology) -> None:
    """Markup in names, conditions, procedures, studies and values is shown as written, in tables and charts."""
    for slug in OURS:
        bundle = json.loads(json.dumps(bundle_of(slug)))
        next(resources_of(bundle, "Patient"))["name"] = [{"family": HOSTILE, "given": [HOSTILE]}]
        for entry in bundle["entry"]:
            resource = entry["resource"]
            for name in ("code", "medicationCodeableConcept", "valueCodeableConcept"):
                if isinstance(resource.get(name), dict):
                    resource[name]["text"] = HOSTILE
        page = told(app, bundle, knowledge, terminology)
        assert not page.all("script")
        assert not page.all("img")
        assert "<script>alert(1)</script>" in page.flat
        assert "{{ 7*7 }}" in page.flat
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize(
    "patient",
    [
        {},
        {"name": "Smith"},
        {"name": [{"given": "Ann"}]},
        {"name": [{"text": "Ann Smith"}]},
        {"birthDate": 7},
        {"name": [{"given": [7, None]}], "birthDate": "once"},
    ],
)
def test_a_damaged_patient_is_survived(patient: Json, knowledge: Knowledge, terminology: Terminology) -> None:
    """Whatever stands where the name belongs."""
    bundle = bundle_of(MEASURED_TWICE)
    found = next(resources_of(bundle, "Patient"))
    for name in ("name", "birthDate"):
        found.pop(name)
    found.update(patient)
    assert tell(bundle, AS_OF, knowledge, terminology).person.name in ("Patient without a name", "Ann Smith")


def test_lesions_are_told_apart(app: Flask, knowledge: Knowledge, terminology: Terminology) -> None:
    """Several lesions are several lines, named in chart and table."""
    bundle = bundle_of(MEASURED_TWICE)
    sizes = [found for found in resources_of(bundle, "Observation") if "-size-" in found["id"]]
    for found in sizes:
        for site in ("Tail of pancreas", "Liver"):
            focus = [{"reference": f"Condition/{site[:5]}"}]
            again = copy.deepcopy(found) | {
                "id": f"{found['id']}-{site[:5]}",
                "bodySite": {"text": site},
                "focus": focus,
            }
            bundle["entry"].append({"resource": again})
        twin = copy.deepcopy(found) | {"id": f"{found['id']}-twin", "focus": [{"reference": "Condition/twin"}]}
        bundle["entry"].append({"resource": twin})
    page = told(app, bundle, knowledge, terminology)
    for name in ("Tail of pancreas", "Liver", "Head of pancreas (1)", "Head of pancreas (2)"):
        assert f"({name})" in page.flat, "in the chart"
        assert f"{name}2023-05-2234 mm" in page.flat, "in the table"


def test_what_has_no_date_is_told_and_not_drawn(app: Flask, knowledge: Knowledge, terminology: Terminology) -> None:
    """Findings without a date end the table; sizes without one are on no chart; without any date there is no chart."""
    bundle = bundle_of(MEASURED_TWICE)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for name in ("onsetDateTime", "recordedDate", "effectiveDateTime", "performedDateTime", "started", "meta"):
            resource.pop(name, None)
    with app.test_request_context("/"):
        html = story_page(bundle, AS_OF, knowledge, terminology, "").get_data(as_text=True)
    assert charts(html) == []
    assert {cells[1] for cells in rows(html, "oldest first")} == {"no date"}
    assert "No size is on record as one number with a date" in Page(html).flat
    bare = tell(
        {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "1"}}]},
        AS_OF,
        knowledge,
        terminology,
    )
    assert (bare.events, bare.lesions, bare.silent) == ((), (), NOT_OURS)


def test_another_patients_resources_are_on_no_timeline(knowledge: Knowledge, terminology: Terminology) -> None:
    """What says that it is about somebody else is left out."""
    bundle = bundle_of(MEASURED_TWICE)
    for found in resources_of(bundle, "Procedure"):
        found["subject"] = {"reference": "Patient/somebody-else"}
    story = tell(bundle, AS_OF, knowledge, terminology)
    assert not [source for event in story.events for source in event.sources if source.startswith("Procedure/")]


def test_a_chart_of_nobody_is_refused(knowledge: Knowledge, terminology: Terminology) -> None:
    """A Bundle has exactly one Patient."""
    with pytest.raises(FactsError):
        tell({"resourceType": "Bundle", "entry": []}, date(2026, 11, 20), knowledge, terminology)
