"""The clinical content for a clinician who has to judge it: the page docs/clinical-content.md, made from the rows.

Run it from the project's root with ``PYTHONPATH=.``; a test compares the page with what it would print.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

from cds_service.cards import wording
from cds_service.cards.sentences import BASIS
from cds_service.knowledge import Knowledge, load_knowledge
from cds_service.web.guideline_pages import TABLE, cited_by

PAGE: Final = Path(__file__).with_name("clinical-content.md")
_WIDTH: Final = 120
_HEAD: Final = """\
# Clinical content, its sources and its limits

Written by `docs/clinical_content.py` from the rows; do not edit. For whoever has to decide whether the content may be
used at a hospital. Every running service shows the same in full at `/guideline`: each rule with its conditions, its
sources with the place in them, what it rests on, and since when it is valid.

A *row* is one statement of the guideline, with its source; a *rule* is one or more rows under one id, such as R01-06.
Everything that a card says carries the ids of its rules, and *Why?* on a card leads to them.
"""
_DISAGREE: Final = {
    "Which study comes first: CT in two sources, MRI in two, CT after resection in one": "RAT-03",
    "Pancreas, T1 or T2 at exactly 20 mm: the editions differ": "TNM-36",
    "Ki-67 of G1 in WHO 2010: one source says below 2 % in its text and up to 2 % in its table": "GRD-14",
    "Imaging after resection of G1: at intervals in one source, SSTR imaging not as a routine in two": "FUP-01.later",
    "FDG PET/CT in staging: may be appropriate by rating, indicated from a Ki-67 by another source": "MOD-07",
    "Radionuclide therapy: uptake of Krenning 3 to 4, or above 2": "TRT-01",
    "Tumour markers in follow-up: part of it in one source, not recommended in another": "FUP-13",
    "Metastases not recorded: registries count them as absent": "TNM-25",
}
"""What sources disagree about, and the row that says what is done here."""
_NOT_SOURCED: Final = (
    "ratings for local extent and resectability, for localising a primary, and for suspected recurrence",
    "more than the leading study for untreated tumours, surveillance after resection, and liver-dominant disease",
    "numeric panel scores of the ACR, the year of its topic, and the scores behind the criteria for SSTR PET",
    "three of the twelve situations in the criteria for SSTR PET, graded lower",
    "T categories of ENETS for stomach, duodenum, small bowel and appendix, and stage groups of AJCC version 9",
    "intervals for untreated and liver-dominant disease",
    "how long before SSTR PET a somatostatin analogue is to be paused",
    "cut-offs of glucagon, VIP and somatostatin",
    "thresholds of Choi and mRECIST",
    "the radiation level of PET/CT by itself",
)


def page() -> str:
    """The page as Markdown."""
    knowledge = load_knowledge()
    parts = (_scenarios, _ratings, _standing, _disagreements, _limits, _sources, _upkeep)
    text = "\n".join([_HEAD, *(line for part in parts for line in part(knowledge))])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _scenarios(knowledge: Knowledge) -> Iterator[str]:
    rated = Counter(scenario for scenario, _ in knowledge.ratings)
    yield from ("## Scenarios", "", "One is chosen for each patient, from a list that is read from above.", "")
    yield from ("| scenario | id | for whom | rated studies |", "|---|---|---|---|")
    for name, row in knowledge.scenarios.items():
        number = "where both candidates agree" if row.candidates else rated[name] or "none"
        yield f"| {wording.capital(row.label)} | {row.id} | {row.statement} | {number} |"
    yield ""


def _ratings(knowledge: Knowledge) -> Iterator[str]:
    yield from (
        "## Ratings",
        "",
        "All there are. Any other study in any scenario is *not rated*, which is no judgement.",
        "",
    )
    yield from ("| scenario | study | rating as reported | radiation level | row and source |", "|---|---|---|---|---|")
    for row in knowledge.rating_rows:
        studies = "; ".join(knowledge.procedures[key].label for key in row.procedures)
        scenario = wording.capital(knowledge.scenarios[row.scenario].label)
        source = wording.citation(row, knowledge)
        yield f"| {scenario} | {studies} | {wording.RATING[row.rating]} | {row.radiation} | {row.id}, {source} |"
    yield ""


def _standing(knowledge: Knowledge) -> Iterator[str]:
    rows = list(knowledge.rows.values())
    yield from ("## What the rows rest on", "", "| rests on | rows |", "|---|---|")
    counts = Counter[str](basis for row in rows for basis in set(row.basis))
    yield from (f"| {said} | {counts[basis]} |" for basis, said in BASIS.items())
    yield from ("", f"Of {len(rows)} rows; some rest on more than one. By table:", "", "| table | rows |", "|---|---|")
    tables = Counter(knowledge.tables[row.id] for row in rows)
    yield from (f"| {title} | {tables[key]} |" for key, title in TABLE.items() if tables[key])
    yield from _paragraph(
        "Values that no source states have names and limits, can be set by a site, and stand in [](site-policy.md). "
        "[](coverage.md) lists every rule with its worked cases, [](proof.md) what is proven of the tables."
    )


def _disagreements(knowledge: Knowledge) -> Iterator[str]:
    yield from ("## Where sources disagree", "", "| about | here | row |", "|---|---|---|")
    for about, name in _DISAGREE.items():
        yield f"| {about} | {knowledge.rows[name].statement} | {name} |"
    yield ""


def _limits(knowledge: Knowledge) -> Iterator[str]:
    rated = {procedure for _, procedure in knowledge.ratings}
    unrated = [procedure.label for key, procedure in knowledge.procedures.items() if key not in rated]
    yield from (
        "## What was not to be had",
        "",
        "No source was available for the following, so nothing is said about it:",
        "",
    )
    yield from (f"- {thing}" for thing in _NOT_SOURCED)
    yield from ("", f"Studies that are known and in no scenario rated: {'; '.join(unrated)}.", "")
    yield from _paragraph(
        "Beyond that: adults only; no doses and no choice of treatment; no reading of images, or of free-text reports "
        "beyond short reviewed labels. Clinicians of the deploying site have to review the content before it is used; "
        "nobody has certified it."
    )


def _sources(knowledge: Knowledge) -> Iterator[str]:
    cited = cited_by(knowledge)
    yield from (
        "## Sources",
        "",
        "Where a source reports somebody else's criteria, the owner's current publication prevails.",
        "",
    )
    yield from ("| source | restates | rules |", "|---|---|---|")
    for source in knowledge.sources.values():
        if source.kind != "project":
            link = f" <{source.url}>" if source.url else ""
            yield f"| {source.citation}{link} | {source.reports or '–'} | {len(cited[source.key]) or '–'} |"
    yield ""


def _upkeep(knowledge: Knowledge) -> Iterator[str]:
    rows = knowledge.rows.values()
    newest = knowledge.editions[0]
    yield from ("## How it is kept up", "")
    yield from _paragraph(
        f"This is version {newest.version} of {newest.date}; `/guideline/changes` lists what changed. The version and "
        "a hash of all rows are on every page and in every assessment, stored consult and FHIR artefact. "
        "A row that is replaced keeps its text and gets a last day; `?as-of=DATE` and `--as-of DATE` go by the day. "
        f"Rows were checked against their sources from {min(row.checked for row in rows)} to "
        f"{max(row.checked for row in rows)}; the first review is due by {min(row.review_by for row in rows)}."
    )


def _paragraph(text: str) -> Iterator[str]:
    """A paragraph between blank lines."""
    yield from ("", *wrap(text, _WIDTH, break_on_hyphens=False), "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
