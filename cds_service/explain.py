"""Assessments for people in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds_service.cards import whatif_words, wording
from cds_service.cards.followup import day_in
from cds_service.cards.markdown import plain
from cds_service.cards.sentences import fact_in_words, marker_lines
from cds_service.cards.suggestions import is_complement
from cds_service.consult import Consulted
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import Assessment, Conflict, Evidence, Followup, OrderAssessment, PamaRating, WhatIf
from cds_service.domain.terms import NOT_RATED
from cds_service.knowledge.model import Knowledge, Row, SelectionRow, StagingRow
from cds_service.knowledge.site import shown

_SUBJECTS: Final = {
    "Choice of the scenario": ("SEL-",),
    "Grade": ("GRD-",),
    "Stage": ("TNM-",),
    "Follow-up": ("FUP-",),
    "SSTR-PET appropriate use": ("AUC-",),
    "Rating and suggestion": ("R0", "RAT-", "SUG-"),
    "Safety": ("SAF-",),
    "Advice, which is no rating": ("PRO-", "PIT-", "NXT-", "MOD-", "HER-", "RSP-"),
}
"""Headings of rules, by the beginning of their ids."""
_HOW: Final = {"coded": "", "local-code": "", "given": "", "text": ", read from text", "derived": ", worked out"}
_STATUS: Final = {
    "too-early": "the next study would be too early",
    "due": "the next study is due",
    "overdue": "the next study is overdue",
    "not-evaluated": "not evaluated",
}


def print_assessment(console: Console, consulted: Consulted, today: date) -> None:
    """What is known and from where, what follows, for which rule each time, and what could not be settled."""
    assessment, knowledge = consulted.assessed.assessment, consulted.knowledge
    console.rule(Text(f"Assessment {consulted.id or ''} on {today}".replace("  ", " ")))
    console.print(_facts(consulted))
    console.print(_answer(consulted, today))
    if assessment.tnm:
        console.print(_stages(assessment))
    for order in assessment.orders:
        console.print(_order(order, assessment, knowledge))
    console.print(_what_if(consulted.what_if(), assessment, knowledge))
    for table in _rules(assessment, knowledge):
        console.print(table)
    console.print(_nearly(assessment, knowledge))
    if knowledge.site.hash:
        console.print(_site(knowledge))
    console.print(_about_the_data(consulted))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _facts(consulted: Consulted) -> Table:
    table = _table("What is known", "fact", "value", "from")
    for name in FACTS:
        value = getattr(consulted.assessed.chart.facts, name)
        if value is None:
            continue
        evidence = consulted.assessed.chart.evidence.get(name, ())
        source = "; ".join(map(_source, evidence))
        table.add_row(Text(wording.fact_name(name)), Text(fact_in_words(name, value)), Text(source or "as given"))
    return table


def _source(item: Evidence) -> str:
    """Where a fact comes from; what it was worked out from is spelled out."""
    told = f" from {plain(item.label)}" if item.how == "derived" and item.label else ""
    return plain(f"{item.source} {item.date}") + _HOW.get(item.how, f", {item.how}") + told


def _because(rule: str, assessment: Assessment, knowledge: Knowledge) -> str:
    """The statement of a rule, with its id in brackets."""
    return " ".join(f"{row.statement} [{row.id}]" for row in wording.rows_behind(rule, assessment, knowledge))


def _answer(consulted: Consulted, today: date) -> Text:
    assessment, knowledge = consulted.assessed.assessment, consulted.knowledge
    scenario, grade = knowledge.scenarios[assessment.scenario], assessment.grade
    lines = [
        "What follows",
        f"Scenario: {scenario.label} [{scenario.rule_id}].",
        f"  Why: {_because(assessment.scenario_rule, assessment, knowledge)}",
        f"Grade: WHO 2019/2022 {_grade(grade.who2019)}, WHO 2010 {_grade(grade.who2010)}"
        + (" (provisional)" if grade.provisional else "")
        + (f"; stated in the record: {grade.stated}" if grade.stated else "")
        + ".",
        f"Follow-up: {_followup(assessment.followup, today)}.",
    ]
    if assessment.followup.row:
        lines.append(f"  Why: {knowledge.rows[assessment.followup.row].statement} [{assessment.followup.row}]")
    rated = "appropriate" if assessment.auc != NOT_RATED else "not rated, no published situation applies"
    lines.append(f"SSTR-PET appropriate use (a rating of its own): {rated}.")
    lines += marker_lines(assessment, knowledge)
    text = Text("\n".join(lines))
    text.stylize("bold", 0, len(lines[0]))
    return text


def _grade(category: str | None) -> str:
    return wording.word(category) if category else "not computable"


def _followup(followup: Followup, today: date) -> str:
    parts = [_STATUS[followup.status]]
    if followup.row is None:
        parts.append("no schedule applies in this scenario")
    elif followup.interval_months is None:
        parts.append("no source gives an interval here")
    elif followup.elapsed_months is None:
        parts.append("the date of the last imaging is not on record")
    if followup.elapsed_months is not None:
        parts.append(f"{followup.elapsed_months:.1f} months have passed")
    if followup.window_months is not None:
        first, last = (day_in(months, today) for months in followup.window_months)
        parts.append(f"neither early nor late from {first} to {last}")
    return "; ".join(parts)


def _stages(assessment: Assessment) -> Table:
    table = _table("Stage", "system", "T", "N", "M", "stage")
    for system, stage in assessment.tnm.items():
        primary = " (the edition for this patient)" if system == assessment.tnm_primary_system else ""
        group = stage.stage or (f"{stage.stage_if_m0} if there are no metastases" if stage.stage_if_m0 else "")
        table.add_row(
            Text(wording.SYSTEM[system] + primary),
            Text(stage.t + (", as recorded" if stage.t_as_recorded else "")),
            Text(stage.n + (", provisional" if stage.provisional else "")),
            Text(stage.m or "not known"),
            Text(group or "cannot be determined"),
        )
    return table


def _what_if(what_if: WhatIf, assessment: Assessment, knowledge: Knowledge) -> Table:
    table = _table("What would change this answer", "if this were known", "to be", "then")
    for entry in what_if.entries:
        told = [
            (f"order {assessment.order_id(change.order)}: " if change.order else "")
            + whatif_words.change(change, knowledge)
            for change in entry.changes
        ]
        values = whatif_words.values(entry.fact, entry.values)
        table.add_row(Text(wording.fact_name(entry.fact)), Text(values), Text("; ".join(told)))
    if what_if.unexamined:
        names = ", ".join(wording.fact_name(name) for name in what_if.unexamined)
        table.add_row(Text("not tried"), Text(""), Text(names))
    return table


def _order(order: OrderAssessment, assessment: Assessment, knowledge: Knowledge) -> Text:
    """Rating, what speaks against the study, and what is better."""

    def study(key: str | None) -> str:
        return knowledge.procedures[key].label if key else "a study this service does not know"

    scenario = knowledge.scenarios[order.scenario].label
    lines = [f"Order {order.order.id}: {study(order.order.procedure)}"]
    lines.append(f"  Rating: {wording.RATING[order.rating]} for {scenario}.")
    lines.append(f"  Why: {_because(order.rating_rule, assessment, knowledge)}")
    lines += [
        f"  {found.severity.capitalize()}: {_because(found.rule, assessment, knowledge)}" for found in order.safety
    ]
    if order.suggestion or order.no_alternative:
        lines += [
            f"  Ruled out for this patient: {study(other.procedure)} [{', '.join(other.blocked_by)}]."
            for other in order.alternatives
            if other.blocked_by
        ]
    if order.suggestion:
        how = "beside it" if is_complement(order, knowledge) else "instead"
        lines.append(f"  Suggested {how}: {study(order.suggestion)}.")
    if order.no_alternative:
        lines.append("  No rated alternative is left for this patient [SUG-03].")
    lines += _recorded(order.pama)
    text = Text("\n".join(lines))
    text.stylize("bold", 0, len(lines[0]))
    return text


def _recorded(pama: PamaRating | None) -> list[str]:
    """What may be recorded on the order, or what must be settled first."""
    if pama is None:
        return []
    if pama.code is not None:
        return [f"  Recorded on the order as: {pama.code} [{pama.rule}]."]
    needs = ", ".join((*map(wording.fact_name, pama.lacking), *((pama.question,) if pama.question else ())))
    return [f"  Nothing is recorded on the order until this is settled: {needs} [{pama.rule}]."]


def _rules(assessment: Assessment, knowledge: Knowledge) -> Iterator[Table]:
    """The rules that fired, under what they are about; those of staging by system."""
    systems = list(assessment.tnm)
    for title, beginnings in _SUBJECTS.items():
        fired = [rule for rule in assessment.rules if rule.startswith(beginnings)]
        rows = {row.id: row for rule in fired for row in wording.rows_behind(rule, assessment, knowledge)}
        if not rows:
            continue
        table = _table(f"{title}: rules that fired", "statement", "source", "rule")
        staged = sorted(
            rows.values(), key=lambda row: systems.index(row.system) if isinstance(row, StagingRow) else len(systems)
        )
        for row in staged:
            table.add_row(Text(_statement(row)), Text(wording.citation(row, knowledge)), Text(f"[{row.id}]"))
        yield table


def _statement(row: Row) -> str:
    """The statement; of a staging row with the system it belongs to."""
    return f"{wording.SYSTEM[row.system]}: {row.statement}" if isinstance(row, StagingRow) else row.statement


def _nearly(assessment: Assessment, knowledge: Knowledge) -> Table:
    """Rules that nearly fired, under the facts they wait for."""
    table = _table("Rules that nearly fired", "not on record", "would settle whether this holds", "rule")
    waiting: dict[tuple[str, ...], list[str]] = {}
    for rule, names in assessment.nearly.items():
        waiting.setdefault(names, []).append(rule)
    for names, rules in waiting.items():
        shown = ", ".join(wording.fact_name(name) for name in names)
        settled: dict[str, list[str]] = {}
        for rule in rules:
            settled.setdefault(_would_settle(rule, knowledge), []).append(f"[{rule}]")
        for what, ids in settled.items():
            table.add_row(Text(shown), Text(what), Text(" ".join(ids)))
            shown = ""
    return table


def _would_settle(rule: str, knowledge: Knowledge) -> str:
    row = knowledge.rows.get(rule) or knowledge.rule_rows.get(rule)
    if isinstance(row, StagingRow) and row.id != rule:
        axis = "stage group" if row.axis == "stage" else f"{row.axis} category"
        return f"{axis} in {wording.SYSTEM[row.system]}"
    if isinstance(row, SelectionRow):
        return f"scenario: {knowledge.scenarios[row.scenario].label}"
    return row.statement if row else ""


def _about_the_data(consulted: Consulted) -> Text:
    """Conflicts between sources, and what was there and could not be used."""
    lines: list[str] = []
    lines += map(_conflict, consulted.assessed.assessment.conflicts)
    lines += [f"Unusable: {plain(skipped.source)}: {skipped.reason}." for skipped in consulted.assessed.chart.skipped]
    return Text("\n".join(lines))


def _conflict(conflict: Conflict) -> str:
    """Both values of a contradiction with the sources of both, and what hangs on it."""
    fact, other = wording.fact_name(conflict.fact), conflict.other_fact or conflict.fact
    used = "nothing"
    if conflict.value is not None:
        where = "; ".join(map(_source, conflict.chosen))
        used = fact_in_words(conflict.fact, conflict.value) + (f" ({where})" if where else "")
    about = f"about {fact}" if other == conflict.fact else f"between {fact} and {wording.fact_name(other)}"
    says = f"{_source(conflict.other)} says {fact_in_words(other, conflict.other_value)}"
    return f"Conflict {about}: {used} was used, but {says}; it would change {', '.join(conflict.changes)}."


def _site(knowledge: Knowledge) -> Table:
    table = Table(title=f"Site settings in force ({knowledge.site.name or 'unnamed site'})", title_justify="left")
    for column in ("setting", "here", "otherwise", "decides"):
        table.add_column(column)
    for key in sorted(knowledge.settings.changed):
        default = knowledge.engineering_defaults[key]
        here, otherwise = shown(knowledge.settings.values[key]), shown(default.value)
        table.add_row(Text(default.meaning), Text(here), Text(otherwise), Text(", ".join(default.rules)))
    if knowledge.unavailable:
        table.add_row(Text("Studies not available here"), Text(", ".join(sorted(knowledge.unavailable))), Text("none"))
    if knowledge.site.followup.profile != "default":
        table.add_row(Text("Follow-up profile"), Text(knowledge.site.followup.profile), Text("default"), Text("FUP-09"))
    return table
