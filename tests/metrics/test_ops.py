"""Alerts and dashboard ask for numbers that there are, by labels that they have and values that occur."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import Counter, Histogram

from cds_service.domain.terms import SCENARIOS, Lack
from cds_service.errors import PnetCdsError
from cds_service.issuing import NOT_ASSESSED
from cds_service.knowledge.model import Knowledge
from cds_service.metrics.counts import ANSWERED, COMPLETE, INTERNAL, LACKING, SET_ASIDE, SPOOLED, Metrics
from hooks import SERVICES

OPS: Final = Path(__file__).parents[2] / "ops"
ALERTS: Final = (OPS / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD: Final = json.loads((OPS / "dashboard.json").read_text(encoding="utf-8"))
_SELECTOR: Final = re.compile(r"\b(pnet_cds_\w+)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GROUPING: Final = re.compile(r"\bby \(([^)]*)\)")


def alert_queries() -> list[str]:
    """The expressions of the alerts, also those over several lines."""
    found = re.findall(r"^ {8}expr: (?:>-\n)?((?:.+\n)(?:^ {10}.+\n)*)", ALERTS, re.MULTILINE)
    return [" ".join(text.split()) for text in found]


def panel_queries() -> list[str]:
    """The expressions of the panels."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


QUERIES: Final = (*alert_queries(), *panel_queries())


@pytest.fixture(scope="module")
def samples(knowledge: Knowledge) -> dict[str, set[str]]:
    """Every sample there can be, with its labels."""
    metrics = Metrics(SERVICES, knowledge)
    found = {"pnet_cds_build_info": {"version", "knowledge", "knowledge_hash"}, "pnet_cds_spool_bytes": {"state"}}
    for value in vars(metrics).values():
        metric = getattr(getattr(value, "__wrapped__", None), "__self__", value)
        if isinstance(metric, Counter):
            found[f"{metric._name}_total"] = set(metric._labelnames)
        elif isinstance(metric, Histogram):
            labels = set(metric._labelnames)
            found |= {f"{metric._name}_{end}": labels for end in ("sum", "count")}
            found[f"{metric._name}_bucket"] = labels | {"le"}
    assert len(found) > 10
    return found


def slugs(kind: type[PnetCdsError] = PnetCdsError) -> Iterator[str]:
    """The slugs of all errors."""
    yield kind.slug
    for special in kind.__subclasses__():
        yield from slugs(special)


VALUES: Final[dict[str, set[str]]] = {
    "outcome": {ANSWERED, INTERNAL, *slugs()},
    "scenario": {NOT_ASSESSED, *SCENARIOS},
    "inputs": {NOT_ASSESSED, COMPLETE, LACKING},
    "reason": set(map(str, Lack)),
    "state": {SPOOLED, SET_ASIDE},
    "result": {COMPLETE, *map(str, Lack)},
}


def test_there_are_queries() -> None:
    """As many as there are alerts and panels, at least."""
    assert len(alert_queries()) == ALERTS.count("- alert: ") > 5
    assert len(panel_queries()) >= len(DASHBOARD["panels"]) > 5


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_there_is(query: str, samples: dict[str, set[str]]) -> None:
    """Names, labels and values are those of the service, groupings those of what is grouped."""
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")
    selected = _SELECTOR.findall(query)
    assert selected or "up{" in query
    labels: set[str] = set()
    for name, matchers in selected:
        assert name in samples
        labels |= samples[name]
        asked: Any = _MATCHER.findall(matchers)
        assert ",".join(f'{label}{sign}"{value}"' for label, sign, value in asked) == matchers.replace(" ", "")
        for label, sign, value in asked:
            assert label in samples[name]
            assert set(value.split("|") if "~" in sign else [value]) <= VALUES[label]
    for grouping in _GROUPING.findall(query):
        assert {label.strip() for label in grouping.split(",")} <= labels


def test_every_number_is_shown(samples: dict[str, set[str]]) -> None:
    """There is a panel for whatever is counted; sums and counts of the histogram are in its buckets."""
    shown = {name for query in panel_queries() for name, _ in _SELECTOR.findall(query)}
    parts = {name for name in samples if name.endswith(("_sum", "_count"))}
    assert set(samples) - parts == shown - parts


def test_alerts_say_what_to_do() -> None:
    """Each has a summary, an action and a severity."""
    for block in ALERTS.split("- alert: ")[1:]:
        assert re.search(r"labels: \{severity: (critical|warning)\}", block)
        for member in ("summary", "action", "for"):
            assert re.search(rf"^ +{member}: \S", block, re.MULTILINE), (member, block)


def test_labels_in_alerts_are_those_of_the_result() -> None:
    """A summary names labels that its expression leaves."""
    for block, query in zip(ALERTS.split("- alert: ")[1:], alert_queries(), strict=True):
        left = {label.strip() for grouping in _GROUPING.findall(query) for label in grouping.split(",")}
        assert set(re.findall(r"\$labels\.(\w+)", block)) <= left


def test_panels_do_not_overlap() -> None:
    """Each panel has an id and a place of its own."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(set(ids)) == len(DASHBOARD["panels"])


def test_the_page_lists_what_is_counted(samples: dict[str, set[str]]) -> None:
    """The table of docs/operating.md has every metric with its labels, and no other."""
    page = (OPS.parent / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(pnet_cds_\w+)` \| ([^|]*)\|", page, re.MULTILINE)
    told = {name: set(filter(None, labels.strip().split(", "))) for name, labels in rows}
    there = {
        name.removesuffix("_bucket"): labels - {"le"}
        for name, labels in samples.items()
        if not name.endswith(("_sum", "_count"))
    }
    assert told == there
