"""Assessments and cards for people in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cds_service.cards import wording
from cds_service.consult import Consulted
from cds_service.domain.facts import FACTS
from cds_service.domain.findings import Assessment, PamaRating
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.site import shown
from fhir_profiles.pama import RATING

_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


def print_assessment(console: Console, consulted: Consulted) -> None:
    """Facts with evidence, what follows from them, the rules that fired, and those that nearly fired."""
    assessment, knowledge = consulted.assessed.assessment, consulted.knowledge
    console.rule(Text(f"Assessment {consulted.id or ''}".strip()))
    console.print(_facts(consulted))
    console.print(_answer(assessment, knowledge))
    for order in assessment.orders:
        console.print(
            Text(
                f"Order {order.order.id}: {order.order.procedure or 'no procedure key'}: "
                f"{wording.RATING[order.rating]} ({order.rating_rule})"
                + (f"; suggested instead: {order.suggestion}" if order.suggestion else "")
                + (f"; blocked by {', '.join(order.blocked_by)}" if order.blocked_by else "")
                + _recorded(order.pama)
            )
        )
    console.print(_rules(assessment, knowledge))
    console.print(_nearly(assessment, knowledge))
    if knowledge.site.hash:
        console.print(_site(knowledge))
    for conflict in assessment.conflicts:
        console.print(
            Text(
                f"Conflict about {wording.fact_name(conflict.fact)}: {conflict.other.source} says "
                f"{conflict.other_value}; would change {', '.join(conflict.changes)}"
            )
        )
    for skipped in consulted.assessed.chart.skipped:
        console.print(Text(f"Unusable: {skipped.source}: {skipped.reason}"))


def _recorded(pama: PamaRating | None) -> str:
    """What may be recorded on the order, or what must be settled first."""
    if pama is None:
        return ""
    if pama.code is not None:
        return f"; recorded as {pama.code} ({pama.rule})"
    needs = ", ".join((*map(wording.fact_name, pama.lacking), *((pama.question,) if pama.question else ())))
    return f"; not recorded until settled: {needs} ({pama.rule})"


def _facts(consulted: Consulted) -> Table:
    table = Table(title="Facts", title_justify="left")
    for column in ("fact", "value", "from"):
        table.add_column(column)
    for name in FACTS:
        value = getattr(consulted.assessed.chart.facts, name)
        if value is None:
            continue
        evidence = consulted.assessed.chart.evidence.get(name, ())
        source = "; ".join(f"{e.source} {e.date} ({e.how})" for e in evidence) or "given"
        table.add_row(Text(wording.fact_name(name)), Text(wording.fact_value(name, value)), Text(source))
    return table


def _answer(assessment: Assessment, knowledge: Knowledge) -> Text:
    scenario = knowledge.scenarios[assessment.scenario]
    lines = [
        f"Scenario: {scenario.label} ({scenario.rule_id}, chosen by {assessment.scenario_rule})",
        f"Grade: WHO 2019 {assessment.grade.who2019 or 'not computable'}, WHO 2010 "
        f"{assessment.grade.who2010 or 'not computable'}" + (", provisional" if assessment.grade.provisional else ""),
    ]
    for system, stage in assessment.tnm.items():
        primary = " (primary)" if system == assessment.tnm_primary_system else ""
        group = stage.stage or (f"{stage.stage_if_m0} if M0" if stage.stage_if_m0 else "undetermined")
        lines.append(f"{wording.SYSTEM[system]}{primary}: {stage.t} {stage.n} {stage.m or 'M unknown'}: stage {group}")
    lines.append(f"Follow-up: {assessment.followup.status} ({assessment.followup.rule or 'no rule'})")
    lines.append(f"SSTR-PET appropriate use (separate rating): {assessment.auc}")
    return Text("\n".join(lines))


def _rules(assessment: Assessment, knowledge: Knowledge) -> Table:
    table = Table(title="Rules that fired", title_justify="left")
    for column in ("rule", "statement", "source"):
        table.add_column(column)
    for rule in assessment.rules:
        for row in wording.rows_behind(rule, assessment, knowledge):
            table.add_row(Text(rule), Text(row.statement), Text(wording.citation(row, knowledge)))
    return table


def _nearly(assessment: Assessment, knowledge: Knowledge) -> Table:
    table = Table(title="Rules that nearly fired", title_justify="left")
    for column in ("rule", "would need to know", "statement"):
        table.add_column(column)
    for rule, names in assessment.nearly.items():
        row = knowledge.rows.get(rule) or knowledge.rule_rows.get(rule)
        needs = ", ".join(wording.fact_name(name) for name in names)
        table.add_row(Text(rule), Text(needs), Text(row.statement if row else ""))
    return table


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


def print_cards(console: Console, response: Mapping[str, Any]) -> None:
    """Cards as an EHR might show them."""
    if not response["cards"]:
        console.print(Text("No card: nothing deserves attention."))
    for card in response["cards"]:
        console.print(
            Panel(
                Markdown(card.get("detail", "")),
                title=Text(card["summary"]),
                subtitle=Text(f"{card['indicator']}; {card['source']['label']}"),
                border_style=_COLOURS[card["indicator"]],
            )
        )
        for suggestion in card.get("suggestions", []):
            console.print(Text(f"[ {suggestion['label']} ]", style="bold"))
            for action in suggestion["actions"]:
                console.print(Text(f"    {action['type']}: {action['description']}"))
    for action in response.get("systemActions") or response.get("extension", {}).get("systemActions", []):
        order = action["resource"]
        rating = next(item["valueCodeableConcept"] for item in order["extension"] if item["url"] == RATING)
        code = rating["coding"][0]["code"]
        console.print(Text(f"Recorded on {order['resourceType']}/{order['id']}: {code} ({rating['text']})"))
