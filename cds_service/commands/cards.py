"""Cards for people in a terminal, as an EHR might show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from fhir_profiles.pama import RATING
from fhir_profiles.reading import member, objects

_COLOURS: Final = {"critical": "red", "warning": "yellow", "info": "blue"}


def print_cards(console: Console, response: Mapping[str, Any]) -> None:
    """Cards with the numbers by which they are accepted or overridden, and what the service records by itself."""
    cards = list(objects(response["cards"]))
    if not cards:
        console.print(Text("No card: nothing deserves attention."))
    for number, card in enumerate(cards, 1):
        _print_card(console, number, card)
    _print_ratings(
        console, objects(response.get("systemActions") or member(response.get("extension"), "systemActions"))
    )


def _print_card(console: Console, number: int, card: Mapping[str, Any]) -> None:
    indicator = str(card.get("indicator"))
    console.print(
        Panel(
            Group(Text(str(card.get("summary")), style="bold"), Markdown(str(card.get("detail", "")))),
            title=f"Card {number}",
            subtitle=Text(f"{indicator}; {member(card.get('source'), 'label')}"),
            border_style=_COLOURS.get(indicator, "none"),
        )
    )
    for place, suggestion in enumerate(objects(card.get("suggestions")), 1):
        console.print(Text(f"[ {suggestion.get('label')} ]  --accept {number}.{place}", style="bold"))
        for action in objects(suggestion.get("actions")):
            console.print(Text(f"    {action.get('type')}: {action.get('description')}"))
    reasons = ", ".join(str(reason.get("code")) for reason in objects(card.get("overrideReasons")))
    if reasons:
        console.print(Text(f"--override {number} --reason {reasons}", style="dim"))


def _print_ratings(console: Console, actions: Iterable[Mapping[str, Any]]) -> None:
    for action in actions:
        order = action.get("resource")
        for extension in objects(member(order, "extension")):
            if extension.get("url") == RATING:
                rating = extension.get("valueCodeableConcept")
                code = next((coding.get("code") for coding in objects(member(rating, "coding"))), None)
                named = f"{member(order, 'resourceType')}/{member(order, 'id')}"
                console.print(Text(f"Recorded on {named}: {code} ({member(rating, 'text')})"))
