"""Why? on a card: every rule and scenario a card names has its place on the pages that its links lead to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from cds_service.cards.why import LABEL
from cds_service.pipeline import Parts, answer, prefetch_templates
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.builders import chart, hook_request
from tests.calling import InProcess, post, synthetic_request
from tests.cases_loader import clinical_cases
from tests.web.test_guideline import guideline_links, read

NAMED: Final = re.compile(r"\b(?!GLP-1\b)(?:[A-Z]{3}|R\d\d)-[A-Z0-9](?:[\w.-]*\w)?")
"""How ids of rules look in a text; one hormone looks like that too."""
Card = Mapping[str, Any]


def cards_of_patients(service: InProcess, advertised: Any) -> Iterator[Card]:
    """Every card of every hook about every synthetic patient."""
    for patient in synthetic_patients():
        for offered in SERVICES:
            call = synthetic_request(patient.slug, offered.hook, advertised)
            yield from post(service, offered.hook, call).json()["cards"]


def cards_of_cases(service: InProcess, advertised: Any) -> Iterator[Card]:
    """The cards of every worked case: on its orders, or on opening the chart when nothing is ordered."""
    for case in clinical_cases():
        hook = "order-sign" if case.orders else "patient-view"
        call = hook_request(chart(case.facts, case.orders), "order-sign", keys=advertised[hook])
        if not case.orders:
            call["hook"] = hook
            del call["context"]["draftOrders"]
        yield from post(service, hook, call).json()["cards"]


@pytest.mark.parametrize("cards", [cards_of_patients, cards_of_cases])
def test_every_link_leads_to_what_the_card_names(cards: Any, local: InProcess, advertised: Any) -> None:
    """The link is in the text and among the links; it names every rule of the text, and each has its anchor there."""
    linked, pages = set[str](), set[str]()
    for card in cards(local, advertised):
        (why,) = [link["url"] for link in card["links"] if link["label"] == LABEL]
        assert f"]({why})" in card["detail"]
        rules = set(why.partition("?rules=")[2].split(","))
        text = re.sub(r"https?://\S+", "", card["detail"])
        assert set(NAMED.findall(text)) <= rules
        linked |= rules
        pages |= {urlsplit(url).path for url in guideline_links({"cards": [card]})}
    assert len(linked) > 2 * len(SERVICES)
    for page in pages:
        read(local.request("GET", page))
    for rule in linked:
        shown = read(local.request("GET", f"/guideline/why?rules={rule}"))
        assert rule in {attributes.get("id") for _, attributes in shown.tags}


def test_a_service_without_an_address_of_its_own_links_to_nothing_of_its_own(parts: Parts) -> None:
    """Where nobody can follow them, neither text nor links name pages of the service."""
    (service,) = [service for service in SERVICES if service.hook == "order-select"]
    call = synthetic_request("incidental-tail-lesion", service.hook, {service.hook: prefetch_templates(service)})
    cards = answer(service, json.dumps(call).encode(), parts).body["cards"]
    assert cards
    for card in cards:
        assert "/guideline" not in card["detail"]
        assert not [link for link in card["links"] if "/guideline" in link["url"]]
