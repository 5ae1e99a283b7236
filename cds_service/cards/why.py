"""From a card to the rules behind it: one link to a page of the guideline text that shows every rule the card names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cds_service.cards.markdown import document
from cds_service.knowledge.model import Knowledge
from cds_service.protocol.response import Card, Link
from cds_service.service import Consultation

LABEL: Final = "Why? The rules behind this card"
_ID: Final = re.compile(r"\b[A-Z]+[0-9]*-[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*")


def with_why(card: Card, consultation: Consultation) -> Card:
    """The card with the link, in its text and among its links; as it is where the service knows no address of its own.

    The address names rules and nothing of the patient.
    """
    if not consultation.public_url:
        return card
    scenario = consultation.knowledge.scenarios[consultation.assessment.scenario].id
    named = dict.fromkeys((*named_rules(card.detail, consultation.knowledge), *card.rules, scenario))
    url = f"{consultation.public_url}/guideline/why?rules={','.join(named)}"
    links = (*card.links[:1], Link(LABEL, url), *card.links[1:])  # behind the guideline page of the scenario
    return replace(card, detail=document([card.detail, f"[{LABEL}]({url})"]), links=links)


def named_rules(text: str, knowledge: Knowledge) -> Iterator[str]:
    """Rows and rules that a text names, in its order."""
    return (name for name in _ID.findall(text) if name in knowledge.rows or name in knowledge.rule_rows)
