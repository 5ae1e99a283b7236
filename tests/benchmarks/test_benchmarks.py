"""The benchmarks measure what they say: their calls are valid, about different patients, and the report adds up."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from benchmarks import concurrency, limit, stages
from benchmarks.charts import MIXED, SERVICES, STORY, WITHOUT, Call, calls
from benchmarks.load import Sample
from benchmarks.report import Row, Run, remember, remembered, stage_table, table
from cds_service.knowledge import load_knowledge
from cds_service.pipeline import Parts, answer
from cds_service.service import HookService
from fhir_profiles.terminology import load_terminology
from tests.serving import free_port

TODAY = date(2026, 11, 20)
ROW = Row(patient=STORY, size=50, service="pnet-order-sign", calls=10, limit=0.5, cpu=2.0, p50=2.5, p99=5.0)


def posted(kind: str, service: HookService, count: int = 3) -> list[Call]:
    """A few calls about charts of the smallest size."""
    return list(calls(kind, 50, service, count, TODAY))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.hook)
@pytest.mark.parametrize("kind", [STORY, WITHOUT, MIXED])
def test_the_calls_are_valid_and_about_different_patients(kind: str, service: HookService) -> None:
    """Each is answered, with a card where there is a tumour; no defect of the client is found; no two are alike."""
    parts = Parts(load_knowledge(), load_terminology(), lambda: TODAY, lambda: "id")
    outcomes = [answer(service, call.body, parts) for call in posted(kind, service)]
    assert [outcome.defects for outcome in outcomes] == [()] * 3
    assert [bool(outcome.cards) for outcome in outcomes] == [kind != WITHOUT] * 3
    assert all(outcome.unavailable == {} and outcome.skipped == 0 for outcome in outcomes)
    assert len({outcome.patient_id for outcome in outcomes}) == 3
    assessed = [outcome.assessment for outcome in outcomes if outcome.assessment]
    assert all(one.facts != other.facts for one, other in pairwise(assessed))


def test_the_limit_answers_the_same_calls() -> None:
    """The bare server decodes every kind of call and answers with one card."""
    client = limit.make_app().test_client()
    for kind in (STORY, WITHOUT):
        for call in (call for service in SERVICES for call in posted(kind, service, 1)):
            response = client.post(call.path, data=call.body)
            assert len(msgspec.json.decode(response.data)["cards"]) == 1


def test_every_stage_is_measured() -> None:
    """The stages of a call have names, and together they are the whole."""
    found = stages.measure(TODAY, sizes=(50,), patients=1)
    assert list(found) == ["50", "50, nothing remembered"]
    for spent in found.values():
        assert list(spent) == list(stages.STAGES)
        assert sum(ms for name, ms in spent.items() if name != "sum") == pytest.approx(spent["sum"])


def test_the_table_has_ratios() -> None:
    """CPU time in units of the limit, and the slow calls in units of the usual ones."""
    assert table([ROW]).splitlines()[-1] == (
        "| incidental-tail-lesion | 50 | order-sign | 10 | 0.50 | 2.00 | 4.00 | 2.50 | 5.00 | 2.0 |"
    )
    assert "| facts | 1.000 | 2.000 |" in stage_table({"50": {"facts": 1.0}, "500": {"facts": 2.0}})


def test_percentiles_are_of_the_calls() -> None:
    """A sample knows its CPU time per call, and the time that so many of its calls do not exceed."""
    sample = Sample(cpu=50.0, walls=[float(number) for number in range(101)])
    assert (round(sample.per_call, 3), sample.percentile(50), sample.percentile(99)) == (0.495, 50.0, 99.0)


def test_the_history_keeps_every_run(tmp_path: Path) -> None:
    """Runs are added and read back as they were; the history of the project can be read."""
    run = Run(day="2026-11-20", commit="abc", python="3.11", rows=[ROW], stages={"50": {"facts": 1.0}})
    remember(run, tmp_path / "history.jsonl")
    remember(run, tmp_path / "history.jsonl")
    assert remembered(tmp_path / "history.jsonl") == [run, run]
    assert remembered(tmp_path / "none.jsonl") == []
    assert all(kept.rows for kept in remembered())


def test_many_callers_are_measured(tmp_path: Path) -> None:
    """A real server in one of the ways that are compared, with callers of two kinds: each is answered, and timed."""
    bodies = {size: list(calls(STORY, size, SERVICES[0], 2, TODAY)) for size in (50, 500)}
    with concurrency.running(concurrency.VARIANTS[1], free_port(), tmp_path) as target:
        walls = concurrency.load(target, concurrency.Load(((2, 50), (1, 500))), bodies, 1.0)
    assert all(walls[size] and min(walls[size]) > 0 for size in (50, 500))
