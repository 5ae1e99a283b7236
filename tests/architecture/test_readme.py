"""The README says what the code does: its tables, paths, counts and commands are compared with it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from click import Command, Context, Group

from cds_service.cli import cli
from cds_service.domain.terms import SCENARIOS
from cds_service.errors import PnetCdsError
from cds_service.knowledge import Knowledge
from cds_service.settings import Settings
from cds_service.web.problems import STATUS
from fhir_profiles.synthetic import synthetic_patients
from hooks import SERVICES
from tests.calling import InProcess

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
NUMERALS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
WORDS: Final = {word: number for number, word in enumerate(NUMERALS.split())}


def table(*heading: str) -> list[list[str]]:
    """The rows of the table with this heading."""
    head = "| " + " | ".join(heading) + " |"
    assert README.count(head) == 1, f"one table is headed {head}"
    rows: list[list[str]] = []
    for line in README.split(head, 1)[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert all(len(row) == len(heading) for row in rows)
    return rows


def code(cell: str) -> list[str]:
    """The words set as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def all_errors(root: type[PnetCdsError] = PnetCdsError) -> Iterator[type[PnetCdsError]]:
    """Every error class."""
    yield root
    for kind in root.__subclasses__():
        yield from all_errors(kind)


def test_the_services_are_those_offered() -> None:
    """Id and hook of every service, in discovery order."""
    told = [(code(row[0])[0], row[1]) for row in table("service", "hook", "says")]
    assert told == [(service.id, service.hook) for service in SERVICES]


def test_the_endpoints_are_those_documented(local: InProcess) -> None:
    """Each is in the OpenAPI document, and every path of the document is one of them or below one."""
    told = [endpoint.split(" ") for row in table("endpoint", "answers") for endpoint in code(row[0])]
    paths = local.request("GET", "/openapi.json").json()["paths"]
    for method, path in told:
        there = path if path in paths else path.replace("{service}", SERVICES[0].id)
        assert method.lower() in paths[there]
    roots = [path.split("{")[0].rstrip("/") for _, path in told if path != "/"]
    assert [path for path in paths if path != "/" and not path.startswith(tuple(roots))] == []


def shown(default: object) -> str:
    """A default as the table shows it."""
    if default in (None, ""):
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def commands(group: Group = cli, path: str = "") -> dict[str, Command]:
    """Every command by its words, those of groups included."""
    found: dict[str, Command] = {}
    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, Group):
            found |= commands(command, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = command
    return found


def test_the_settings_are_those_read() -> None:
    """Every setting with its default, and no other."""
    told = {code(row[0])[0]: code(row[1])[0] for row in table("setting", "default", "meaning")}
    defaults = {f"PNET_CDS_{name.upper()}": shown(field.default) for name, field in Settings.model_fields.items()}
    assert told == defaults
    assert set(re.findall(r"PNET_CDS_[A-Z_]+", README)) <= set(defaults)


def test_the_commands_are_those_there() -> None:
    """Every command, and no other; the options mentioned exist."""
    rows = table("command", "does")
    there = {f"pnet-cds {words}": command for words, command in commands().items()}
    assert {code(row[0])[0] for row in rows} == set(there)
    for row in rows:
        known = {option for parameter in there[code(row[0])[0]].params for option in parameter.opts}
        mentioned = set(re.findall(r"--[a-z-]+", " ".join(code(row[1]))))
        assert mentioned <= known, row


def test_the_slugs_are_those_of_the_errors() -> None:
    """Every slug of an error with the status it is answered with, and no other that an error could have."""
    told = {
        slug: {int(status) for status in row[1].split(",")}
        for row in table("slug", "status", "meaning")
        for slug in code(row[0])
    }
    answered: dict[str, set[int]] = {}
    for kind in all_errors():
        answered.setdefault(kind.slug, set()).add(int(STATUS[kind]))
    assert {slug: told.get(slug) for slug in answered} == answered


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing-here"), ("GET", "/cds-services/pnet-order-sign"), ("POST", "/cds-services/none")],
)
def test_every_slug_that_is_answered_is_told(method: str, path: str, local: InProcess) -> None:
    """Whatever goes wrong with a call, the slug in the answer is one the table explains."""
    told = {slug for row in table("slug", "status", "meaning") for slug in code(row[0])}
    slug = local.request(method, path, b"{}" if method == "POST" else None).slug()
    assert slug in told or re.sub(r"\d+", "<status>", slug) in told


def test_the_slug_of_a_fault_of_our_own_is_told() -> None:
    """What the service answers when it fails itself is in the table as well."""
    source = (ROOT / "cds_service" / "web" / "problems.py").read_text(encoding="utf-8")
    answered = set(re.findall(r'_answer\(\s*HTTPStatus\.\w+,\s*"([a-z-]+)"', source))
    assert answered
    assert answered <= {slug for row in table("slug", "status", "meaning") for slug in code(row[0])}


def test_the_files_named_are_there() -> None:
    """Every path set as code leads somewhere in the tree."""
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    paths = [word for word in code(prose) if re.fullmatch(r"[\w./-]+/[\w.-]+\.(py|md|toml|json)", word)]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_counts_are_right(knowledge: Knowledge) -> None:
    """Numbers of patients and scenarios are those of the tree."""
    patients = re.search(r"lists\s+the (\w+) synthetic patients", README)
    assert patients
    assert WORDS[patients[1]] == len(synthetic_patients())
    scenarios = re.search(r"(\w+) of (\w+) scenarios", README)
    assert scenarios
    assert WORDS[scenarios[2]] == len(SCENARIOS)
    assert WORDS[scenarios[1]] == len({scenario for scenario, _ in knowledge.ratings})


def test_the_examples_of_the_demo_exist() -> None:
    """Every example and every path of the demo that is mentioned is one the demo has."""
    slugs = {patient.slug for patient in synthetic_patients()}
    mentioned = set(re.findall(r"/demo/requests/([\w-]+)", README)) | set(re.findall(r"--example ([\w-]+)", README))
    assert mentioned
    assert mentioned <= slugs
    services = set(re.findall(r"/cds-services/([\w-]+)", README))
    assert services <= {service.id for service in SERVICES}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_json_shown_is_json() -> None:
    """Shortened as they are, the bodies shown can be read by a machine."""
    assert [json.loads(block) for block in blocks("json")]


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_the_commands_shown_can_be_typed(page: str) -> None:
    """Shell blocks parse, and what they call of ours is a command with options that exist."""
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        joined = block.replace("\\\n", " ")
        words = shlex.split(joined, comments=True)
        for place, word in enumerate(words):
            if word.endswith("pnet-cds"):
                called = (" ".join(words[place + 1 : place + 1 + length]) for length in (3, 2, 1))
                command = next(commands()[name] for name in called if name in commands())
                known = {option for parameter in command.params for option in parameter.opts}
                assert {w for w in words[place + 2 :] if w.startswith("--")} <= known


@pytest.mark.parametrize("target", re.findall(r"`?make (\w+)`?", README))
def test_the_targets_of_make_exist(target: str) -> None:
    """Every ``make`` target that is mentioned is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_promise_is_kept_in_words() -> None:
    """The README says what the product is not, and never shows a panel score."""
    flat = re.sub(r"[\s>]+", " ", README)
    for word in ("not the ACR", "not a qualified clinical decision support mechanism", "not a medical device"):
        assert word in flat
    assert not re.search(r"\b[1-9]\s*(?:/|of|out of)\s*9\b", README)
