"""``pnet-cds call`` against a real FHIR server and a real service."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from cds_service.domain.terms import Lack
from cds_service.ehr.prefetch import fill_prefetch
from cds_service.ehr.remote import FhirServer
from cds_service.ehr.sandbox import SYSTEM
from cds_service.errors import CallInvalid
from fhir_profiles.synthetic import hook_request, is_draft, moved_to, resources, synthetic_patients
from tests.calling import HOOK_INSTANCE, OverHttp, post, templates, without_ids
from tests.cli.conftest import Ran
from tests.ehr.conftest import Run, run_command
from tests.ehr.servers import Server
from tests.fhir.reading import DISPATCHED, HOOKS
from tests.fhir.real_server import renamed

SLUGS: Final = ("incidental-tail-lesion", "pacemaker-mri", "tail-lesion-contrast-mri")
STARTS: Final = "2026-12-01"
ABOUT_ORDERS: Final = HOOKS[1:5]


def story(slug: str, prefix: str = "") -> Any:
    """A synthetic patient, today; with the prefix once more with the orders sent."""
    found = next(patient for patient in synthetic_patients() if patient.slug == slug)
    moved = moved_to(found.bundle, date.fromisoformat(found.as_of), date.today())  # noqa: DTZ011
    return renamed(moved, prefix)


@pytest.fixture(scope="module", autouse=True)
def loaded(fhir: Server) -> None:
    """The patients are on the server; once more with their orders sent."""
    ran = run_command(
        "sandbox", "load", "--fhir-server", fhir.url, *(f"--patient={slug}" for slug in SLUGS), **fhir.environment
    )
    assert (ran.status, ran.err) == (0, "")
    for slug in SLUGS:
        sent = resources(story(slug, DISPATCHED))
        fhir.load([one | ({"status": "active"} if is_draft(one) else {}) for one in sent])


def arguments(slug: str, hook: str) -> list[str]:
    """What a user types for the call an EHR would make in the story."""
    chart = resources(story(slug, DISPATCHED if hook == "order-dispatch" else ""))
    one = {resource["resourceType"]: resource["id"] for resource in chart}
    typed = ["--hook", hook, "--patient", one["Patient"], "--encounter", one["Encounter"]]
    if hook in ABOUT_ORDERS:
        typed += [word for order in chart if is_draft(order) for word in ("--order", f"ServiceRequest/{order['id']}")]
    return [*typed, "--appointment-start", STARTS]


def as_told(value: Any) -> Any:
    """An answer without what the load and the server add to a resource of the story."""
    if isinstance(value, dict):
        names = value.get("identifier", ())
        own = [name for name in names if name["system"] != SYSTEM]
        kept = {name: as_told(item) for name, item in value.items() if name not in ("meta", "identifier")}
        return kept | ({"identifier": own} if own else {})
    return [as_told(item) for item in value] if isinstance(value, list) else value


def answer(ran: Ran) -> Any:
    """The answer a command printed."""
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("slug", SLUGS)
def test_the_answer_is_that_of_the_same_call_made_by_hand(slug: str, hook: str, call: Run, cds: OverHttp) -> None:
    """For every hook, what the command fills from the server is what the call needs."""
    made = hook_request(
        story(slug, DISPATCHED if hook == "order-dispatch" else ""),
        hook,
        templates(cds)[hook],
        HOOK_INSTANCE,
        starts=STARTS,
    )
    expected = post(cds, hook, made)
    assert expected.status == 200
    ran = call(*arguments(slug, hook), "--json")
    assert ran.err == ""
    assert as_told(without_ids(answer(ran))) == as_told(without_ids(expected.json()))


@pytest.mark.parametrize(
    "how",
    [
        ("--no-prefetch",),
        ("--prefetch", "patient,conditions"),
        ("--no-follow",),
        ("--no-fhir-authorization",),
    ],
    ids=lambda how: how[0],
)
def test_however_it_is_sent_the_answer_is_the_same(how: tuple[str, ...], call: Run) -> None:
    """The service reads what is not sent; with everything sent it need not read."""
    typed = (*arguments(SLUGS[0], "order-sign"), "--json")
    assert without_ids(answer(call(*typed, *how))) == without_ids(answer(call(*typed)))


def test_without_prefetch_and_without_the_right_to_read_there_is_no_answer(call: Run) -> None:
    """What the service says to a call it cannot answer is shown as text, with exit status 1."""
    ran = call(*arguments(SLUGS[0], "order-sign"), "--no-prefetch", "--no-fhir-authorization")
    assert (ran.status, ran.out) == (1, "")
    assert "answered with status 412" in ran.err
    assert "conditions" in ran.err
    assert ran.err.endswith("[remote-unavailable]\n")


def test_first_pages_are_said_and_linked(call: Run, tmp_path: Path) -> None:
    """A page that is not the last keeps its next link, and the user is told."""
    kept = tmp_path / "call.json"
    ran = call(*arguments(SLUGS[0], "order-sign"), "--no-follow", "--save", str(kept))
    assert "not all pages in prefetch: laboratory" in ran.err
    laboratory = json.loads(kept.read_text(encoding="utf-8"))["prefetch"]["laboratory"]
    assert "next" in [link["relation"] for link in laboratory["link"]]


@pytest.mark.parametrize("order", ["eus", "sct|450556004", "450556004", "http://snomed.info/sct|450556004"])
def test_an_order_is_named_in_many_ways(order: str, call: Run) -> None:
    """A study, or its code with or without its system, is the same draft order."""
    typed = ("--hook", "order-sign", "--patient", "itl-patient", "--order", order, "--json")
    (card,) = answer(call(*typed))["cards"]
    assert "instead of EUS" in card["summary"]
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "ServiceRequest/draft-1"}]


def test_orders_come_from_a_file_and_some_are_selected(call: Run, tmp_path: Path) -> None:
    """A Bundle brings its orders; order-select speaks about the selected one."""
    file = tmp_path / "orders.json"
    orders = [
        {"resourceType": "ServiceRequest", "id": name, "code": {"text": text}}
        for name, text in (("one", "Endoscopic ultrasound"), ("two", "CT abdomen and pelvis without contrast"))
    ]
    file.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": one} for one in orders]}))
    typed = ("--hook", "order-select", "--patient", "itl-patient", "--order", str(file), "--json", "--select", "two")
    (card,) = answer(call(*typed))["cards"]
    assert "davinci-crd.associated-resource" in card["extension"]
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "ServiceRequest/two"}]
    wrong = call(*typed[:-1], "three")
    assert (wrong.status, wrong.out) == (1, "")
    assert "ServiceRequest/one, ServiceRequest/two" in wrong.err


def test_a_call_is_kept_without_its_token_and_sent_again(
    call: Run, run: Run, cds: OverHttp, fhir: Server, tmp_path: Path
) -> None:
    """The file is for its owner only; what is sent again gets the same answer under another hookInstance."""
    kept = tmp_path / "call.json"
    first = answer(call(*arguments(SLUGS[0], "order-sign"), "--json", "--save", str(kept)))
    assert kept.stat().st_mode & 0o777 == 0o600
    content = kept.read_text(encoding="utf-8")
    assert "fhirAuthorization" not in content
    assert not fhir.token or fhir.token not in content
    again = tmp_path / "again.json"
    replay = ("call", "--url", cds.base, "--replay", str(kept), "--json")
    second = run(*replay, "--save", str(again))
    assert without_ids(answer(second)) == without_ids(first)
    one, two = (json.loads(path.read_text(encoding="utf-8")) for path in (kept, again))
    assert one.pop("hookInstance") != two.pop("hookInstance")
    assert one == two
    del one["prefetch"]
    kept.write_text(json.dumps(one), encoding="utf-8")
    if fhir.token:
        assert "status 412" in run(*replay).err  # no token goes to a server that a file names
    assert without_ids(answer(run(*replay, "--fhir-server", fhir.url))) == without_ids(first)


def test_feedback_is_kept_by_the_service(call: Run, store: str) -> None:
    """An accepted suggestion and an override with its reason are in the store."""

    def counted(by: str) -> dict[str, Any]:
        rows = run_command("feedback", "report", "--by", by, "--json", PNET_CDS_DATABASE_URL=store)
        return {row["key"]: row for row in json.loads(rows.out)["rows"]}

    typed = arguments(SLUGS[0], "order-sign")
    before = counted("service").get("pnet-order-sign", {"accepted": 0, "overridden": 0})
    accepted = call(*typed, "--accept", "1")
    assert "Feedback on 1 cards was taken." in accepted.err
    assert call(*typed, "--override", "1", "--reason", "patient-preference", "--comment", "invented").status == 0
    after = counted("service")["pnet-order-sign"]
    assert after["accepted"] == before["accepted"] + 1
    assert after["overridden"] == before["overridden"] + 1
    assert [reason["reason"].partition(" ")[0] for reason in after["reasons"]] == ["patient-preference"]


def test_a_reason_that_is_not_offered_is_not_sent(call: Run) -> None:
    """The message names those that are."""
    ran = call(*arguments(SLUGS[0], "order-sign"), "--override", "1", "--reason", "whim")
    assert ran.status == 1
    assert "patient-preference" in ran.err
    assert "[call-invalid]" in ran.err


@pytest.mark.parametrize("patient", ["no-such-patient", "../Condition", "a/b?c=d&e#f", "%2e%2e", "{{context.userId}}"])
def test_a_patient_that_is_not_there_is_an_error(patient: str, call: Run) -> None:
    """An id is data, whatever it looks like; without a patient there is no answer that could look like good news."""
    ran = call("--hook", "patient-view", "--patient", patient)
    assert (ran.status, ran.out) == (1, "")
    assert "the Patient of this id cannot be read" in ran.err
    assert patient not in ran.err


def test_a_wrong_token_is_said_and_not_repeated(call: Run) -> None:
    """401 of the FHIR server leads to a message with what to set."""
    ran = call("--hook", "patient-view", "--patient", "itl-patient", PNET_CDS_FHIR_TOKEN="wrong-token-xyz")  # noqa: S106
    assert (ran.status, ran.out) == (1, "")
    assert "PNET_CDS_FHIR_TOKEN" in ran.err
    assert "wrong-token-xyz" not in ran.err


def test_what_cannot_be_asked_is_left_out(fhir: Server) -> None:
    """A failed query, and a template without a value or with a token we do not know, is no key in prefetch."""
    server = FhirServer(fhir.url, fhir.token)
    asked = {
        "conditions": "Condition?patient={{context.patientId}}",
        "patient": "Patient/{{context.patientId}}",
        "none": "AllergyIntolerance?patient={{context.patientId}}",
        "wrong": "Condition?no-such-parameter=1",
        "gone": "Patient/no-such-patient",
        "encounter": "Encounter/{{context.encounterId}}",
        "later": "Condition?recorded-date=ge{{today()}}",
        "orders": "ServiceRequest?_id={{context.draftOrders}}",
        "user": "Practitioner/{{userPractitionerId}}",
    }
    context = {"patientId": "itl-patient", "draftOrders": {"resourceType": "Bundle"}}
    filled = fill_prefetch(asked, context, "Practitioner/halvorsen-kari", server)
    assert set(filled.prefetch) == {"conditions", "patient", "none", "user"}
    assert set(filled.left_out) == {"wrong", "gone"}
    assert filled.left_out["wrong"] is Lack.NOT_OFFERED
    assert "entry" not in filled.prefetch["none"]
    assert filled.prefetch["patient"]["id"] == "itl-patient"
    with pytest.raises(CallInvalid, match="the service asks for"):
        fill_prefetch(asked, context, "Patient/x", server, only={"conditions", "conditons"})


def test_a_hostile_id_asks_for_nothing_else(fhir: Server) -> None:
    """A value cannot add a parameter or change the path."""
    server = FhirServer(fhir.url, fhir.token)
    asked = {"search": "Condition?patient={{context.patientId}}", "read": "Patient/{{context.patientId}}"}
    for hostile in ("itl-patient&_id=x", "x&patient=itl-patient", "itl-patient,pmk-patient|", "a/../itl-patient"):
        filled = fill_prefetch(asked, {"patientId": hostile}, "Practitioner/x", server)
        assert "read" not in filled.prefetch
        assert "entry" not in filled.prefetch.get("search", {})


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ((), "Give one of --example, --replay and --fhir-server."),
        (("--fhir-server", "https://x.example.org"), "Give --patient and --hook."),
        (("--fhir-server", "https://x.example.org", "--patient", "1", "--hook", "order-sign"), "give --order"),
        (("--fhir-server", "https://x.example.org", "--patient", "1", "--hook", "encounter-discharge"), "--encounter"),
        (
            ("--fhir-server", "https://x.example.org", "--patient", "1", "--hook", "order-dispatch", "--order", "eus"),
            "ServiceRequest/ID",
        ),
        (("--example", "pacemaker-mri", "--fhir-server", "https://x.example.org"), "no other call"),
        (("--example", "pacemaker-mri", "--reason", "x"), "--override"),
        (("--example", "pacemaker-mri", "--client-id", "x"), "--key"),
        (("--example", "pacemaker-mri", "--cds-issuer", "https://x.example.org"), "--cds-key"),
        (("--example", "pacemaker-mri", "--patient", "x"), "bring their own call"),
        (("--replay", "call.json", "--hook", "order-sign"), "leave --hook out"),
        (
            (
                *("--fhir-server", "https://x.example.org", "--patient", "1", "--hook", "appointment-book"),
                *("--order", "eus", "--appointment-start", "soon"),
            ),
            "2026-12-01",
        ),
    ],
)
def test_wrong_usage_is_said(typed: tuple[str, ...], said: str) -> None:
    """Options that do not go together end with exit status 2 before anything is asked."""
    ran = run_command("call", *typed)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("server", ["ftp://x", "http://fhir.example.org", "https://u:p@fhir.example.org", "nonsense"])
def test_a_server_that_is_none_is_refused(server: str) -> None:
    """Tokens go over https, or stay on this machine."""
    ran = run_command("call", "--fhir-server", server, "--patient", "1", "--hook", "patient-view")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("pnet-cds: ")


def test_a_hook_that_nobody_offers_is_said(call: Run) -> None:
    """The message lists what is on offer."""
    ran = call("--hook", "medication-prescribe", "--patient", "itl-patient")
    assert ran.status == 1
    assert "pnet-order-sign (order-sign)" in ran.err
