"""Valid and invalid messages, each treated as the table beside them says: by our schemas and over HTTP."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from tests.calling import Answer, OverHttp, assessment, without_ids
from tests.conformance.examples import FOLDER, MESSAGES, Example, examples, of
from tests.validity import assert_error, assert_valid_response, validator


def named(found: list[Example]) -> pytest.MarkDecorator:
    """Parametrize with the examples, by their names."""
    return pytest.mark.parametrize("example", found, ids=[example.example for example in found])


def test_every_file_is_in_the_table_and_says_what_it_is() -> None:
    """No example is without its row and none twice; valid and invalid ones are told by their names."""
    files = {(path.parent.name, path.stem) for path in FOLDER.glob("*/*.json")}
    rows = Counter((example.message, example.example) for example in examples())
    assert files == set(rows)
    assert set(rows.values()) == {1}
    assert {example.message for example in examples()} == set(MESSAGES)
    assert all(example.valid or example.requirement for example in examples())


@named([*examples()])
def test_the_schema_takes_or_refuses_it_for_the_reason_in_its_name(example: Example) -> None:
    """A message is refused at the place that is wrong and nowhere else, so that nothing else can be the reason."""
    found = {"/".join(map(str, error.absolute_path)) for error in validator(example.message).iter_errors(example.body)}
    if example.schema == "accepted":
        assert found == set()
    elif example.at:
        assert found
        assert all(f"{place}/".startswith(f"{example.at}/") for place in found), found
    else:
        assert found == {""}


def test_schemas_differ_from_the_texts_only_with_a_reason() -> None:
    """Ours may be stricter about what we send, and cannot see everything; each time the table says why."""
    for example in examples():
        if example.valid != (example.schema == "accepted"):
            assert example.why, example.example


def answered(example: Example, live: OverHttp, path: str = "") -> Answer:
    """The answer to an example sent to its service."""
    return live.request("POST", f"/cds-services/{example.service}{path}", example.text)


def correct(example: Example) -> Example:
    """The correct call that an example deviates from; itself when there is none."""
    return next((other for other in of("request") if other.example == example.like), example)


@named(of("request"))
def test_a_call_is_answered_or_refused_as_told(example: Example, live: OverHttp) -> None:
    """CH-034, CH-047: refused is what cannot be answered safely; all else gets a valid answer."""
    answer = answered(example, live)
    assert answer.status == int(example.status), answer.body
    if answer.status != 200:
        assert_error(answer, answer.status, example.says)
        return
    assert_valid_response(answer, correct(example).body)
    if example.says.startswith("unavailable "):
        key = example.says.removeprefix("unavailable ")
        assert key in assessment(answer)["unavailable"]
        assert all(f"{key} (" in card["detail"] for card in answer.json()["cards"])


@named([example for example in of("request") if example.like])
def test_a_deviation_is_logged_and_gets_the_answer_of_a_correct_call(example: Example, live: OverHttp) -> None:
    """CH-034: the client's maker can be told by number what to mend, and the clinician notices nothing."""
    with capture_logs() as lines:
        answer = answered(example, live)
    (line,) = (line for line in lines if line["event"] == "answered")
    assert [defect for defect in line["client_defects"] if defect.startswith(example.says)]
    assert without_ids(answer.json()) == without_ids(answered(correct(example), live).json())


@named([example for example in of("request") if example.valid and example.status == "200"])
def test_a_correct_call_leaves_no_defect_in_the_log(example: Example, live: OverHttp) -> None:
    """What is logged as a defect is one."""
    with capture_logs() as lines:
        answered(example, live)
    (line,) = (line for line in lines if line["event"] == "answered")
    assert line["client_defects"] == []


@named(of("feedback"))
def test_feedback_is_taken_or_refused_as_told(example: Example, live: OverHttp) -> None:
    """CH-120 to CH-126: a refusal names the rule that is broken; cards that nobody knows are no reason for one."""
    answer = answered(example, live, "/feedback")
    assert answer.status == int(example.status), answer.body
    if answer.status != 200:
        assert f"({example.requirement})" in assert_error(answer, answer.status, example.says)
