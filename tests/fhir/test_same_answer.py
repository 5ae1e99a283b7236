"""Against a real FHIR server: the answer is the same however much of the chart came as prefetch."""

from __future__ import annotations

import copy

import pytest

from tests.calling import InProcess, assessment, post
from tests.fhir.reading import DISPATCHED, HOOKS, LARGE, SLUGS, authorization, call, failed, first_pages, same


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", SLUGS)
def test_without_prefetch_the_answer_is_the_same(
    slug: str, hook: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-062: prefetch only, a mixture, and reading only give one answer, for every patient and service."""
    prefix = DISPATCHED if hook == "order-dispatch" else ""
    full = call(slug, hook, prefix, advertised_here, fhir_server)
    expected = post(reading, hook, full)
    keys = list(full["prefetch"])
    mixed = full | {"prefetch": {key: full["prefetch"][key] for key in keys[::2]}}
    same(expected, post(reading, hook, mixed))
    same(expected, post(reading, hook, {name: value for name, value in full.items() if name != "prefetch"}))


@pytest.mark.parametrize("slug", SLUGS)
def test_first_pages_are_completed(
    slug: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-059, CH-188: where only first pages came, the others are read with the token."""
    hook = "order-select"
    full = call(slug, hook, "", advertised_here, fhir_server)
    expected = post(reading, hook, full)
    cut = copy.deepcopy(full)
    first_pages(cut, fhir_server, advertised_here[hook], 1)
    same(expected, post(reading, hook, cut))


def test_a_chart_of_thousands_is_read_to_the_end(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """6,000 Observations: first page only, and nothing at all, lead to the answer of the whole chart."""
    hook = "order-sign"
    full = call("incidental-tail-lesion", hook, LARGE, advertised_here, fhir_server)
    assert full["prefetch"]["laboratory"]["total"] > 4000
    expected = post(reading, hook, full)
    cut = copy.deepcopy(full)
    first_pages(cut, fhir_server, advertised_here[hook], 500)
    assert len(cut["prefetch"]["laboratory"]["entry"]) == 500
    same(expected, post(reading, hook, cut))
    same(expected, post(reading, hook, full | {"prefetch": {}}))


def test_a_first_page_without_the_right_to_read_is_incomplete(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-059, CH-188: what is behind the first page stays unknown, and the answer says so."""
    hook = "order-select"
    made = call("incidental-tail-lesion", hook, LARGE, advertised_here, fhir_server)
    first_pages(made, fhir_server, advertised_here[hook], 500)
    del made["fhirAuthorization"]
    found = assessment(post(reading, hook, made))
    assert found["unavailable_reasons"]["laboratory"] == "more-pages"


@pytest.mark.parametrize("slug", SLUGS)
def test_null_is_an_answer(
    slug: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """Keys of searches without hits may be null: nothing is asked again, and the answer is the same."""
    hook = "order-select"
    full = call(slug, hook, "", advertised_here, fhir_server)
    told = copy.deepcopy(full)
    for key, value in full["prefetch"].items():
        if value is not None and value["resourceType"] == "Bundle" and not value["entry"]:
            told["prefetch"][key] = None
    told["fhirAuthorization"]["access_token"] = "would-be-refused"  # noqa: S105 - invented
    same(post(reading, hook, full), post(reading, hook, told))


@pytest.mark.parametrize("slug", SLUGS)
def test_an_error_that_passes_is_asked_again(
    slug: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """A client whose own search timed out leaves the reading to the service."""
    hook = "order-select"
    full = call(slug, hook, "", advertised_here, fhir_server)
    errors = full | {"prefetch": dict.fromkeys(full["prefetch"], failed("timeout"))}
    same(post(reading, hook, full), post(reading, hook, errors))


@pytest.mark.parametrize("code", ["forbidden", "not-supported", "exception"])
def test_an_error_that_stays_is_not(
    code: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-057: an error is sent to spare a second query; the data count as unavailable, never as none."""
    hook = "order-select"
    made = call("incidental-tail-lesion", hook, "", advertised_here, fhir_server)
    made["prefetch"]["allergies"] = failed(code)
    found = assessment(post(reading, hook, made))
    assert found["unavailable_reasons"] == {"allergies": "sent-as-error"}


@pytest.mark.parametrize(
    "scope",
    [
        "launch patient/*.read",
        "patient/*.rs",
        "user/*.cruds openid",
        "system/Condition.s " + " ".join(f"patient/{kind}.rs" for kind in ("Patient", "Encounter", "Observation")),
    ],
)
def test_only_what_is_granted_is_asked_for(
    scope: str, reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-072, CH-186: both spellings of scopes are understood; what they leave out is named and not asked for."""
    hook = "order-select"
    made = call("incidental-tail-lesion", hook, "", advertised_here, fhir_server)
    made |= {"prefetch": {}, "fhirAuthorization": authorization(scope)}
    found = assessment(post(reading, hook, made))
    lacking = set(found.get("unavailable_reasons", {}).values())
    assert lacking == (set() if "*" in scope else {"not-granted"})


def test_a_token_for_another_patient_is_not_used(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-036: a token that is good for one patient only is not tried on another."""
    made = call("incidental-tail-lesion", "order-sign", "", advertised_here, fhir_server)
    made["prefetch"] = {}
    made["fhirAuthorization"]["patient"] = "someone-else"
    answer = post(reading, "order-sign", made)
    assert (answer.status, answer.slug()) == (412, "prefetch-missing")
    assert "not granted to this service" in answer.message()


def test_a_server_without_a_token_is_not_read(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CH-070: an address alone promises nothing, in demo mode as well."""
    made = call("incidental-tail-lesion", "order-sign", "", advertised_here, fhir_server)
    del made["fhirAuthorization"]
    answer = post(reading, "order-sign", made | {"prefetch": {}})
    assert (answer.status, answer.slug()) == (412, "prefetch-missing")
    assert "not sent with the call" in answer.message()


def test_a_dispatched_order_that_is_nowhere_is_refused(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """Without the order there is nothing to speak about; the refusal says what the server said."""
    made = call("incidental-tail-lesion", "order-dispatch", DISPATCHED, advertised_here, fhir_server)
    made["context"]["dispatchedOrders"] = ["ServiceRequest/no-such-order"]
    answer = post(reading, "order-dispatch", made)
    assert (answer.status, answer.slug()) == (412, "prefetch-missing")
    assert "does not offer it" in answer.message()


def test_a_dispatched_order_alone_is_read_by_id(
    reading: InProcess, advertised_here: dict[str, dict[str, str]], fhir_server: str
) -> None:
    """CR-008: planned services that cannot be had do not stand in the way when the order itself can be read."""
    full = call("incidental-tail-lesion", "order-dispatch", DISPATCHED, advertised_here, fhir_server)
    made = copy.deepcopy(full)
    made["prefetch"]["plannedServices"] = failed("forbidden")
    (reference,) = made["context"]["dispatchedOrders"]
    made["context"]["dispatchedOrders"] = [f"{fhir_server}/{reference}"]
    cards = post(reading, "order-dispatch", made).json()["cards"]
    assert [card["summary"] for card in cards] == [
        card["summary"] for card in post(reading, "order-dispatch", full).json()["cards"]
    ]
