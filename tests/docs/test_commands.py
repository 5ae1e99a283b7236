"""Every command of README.md and docs/ works as it is written, or stands in a list here that says where it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.architecture.test_readme import commands as commands_of_ours
from tests.docs.following import PAGES, ROOT, Checkout, at, blocks, commands, is_server, plain
from tests.requirement import need
from tests.signing import key_server, public_jwk

FOLLOWED: Final = {
    "docs/extending.md": "tests/docs/test_extending.py::test_a_hook",
    "docs/sandbox.md": "tests/ehr/test_docs.py::test_the_page_can_be_followed",
}
"""Pages that a test of their own follows step by step, all but the commands that start something."""

ELSEWHERE: Final = {
    "make test": "tests/docs/test_commands.py::test_every_command_of_the_page_works",
    "make bench": "tests/benchmarks/test_benchmarks.py::test_every_stage_is_measured",
    "make bench BENCH=--keep": "tests/benchmarks/test_benchmarks.py::test_the_history_keeps_every_run",
    ".venv/bin/python -m benchmarks.concurrency": "tests/benchmarks/test_benchmarks.py::test_many_callers_are_measured",
    ".venv/bin/pnet-cds check": "tests/cli/test_cli.py::test_check_proves_the_tables",
    "pnet-cds selftest https://cds.example.org --json": "tests/selftest/test_command.py::test_junit",
    "pnet-cds selftest https://cds.example.org --junit selftest.xml": "tests/selftest/test_command.py::test_junit",
    "kill -HUP PID": "tests/web/test_stopping.py::test_a_reload_brings_the_site_file_and_loses_no_call",
    ".venv/bin/pnet-cds check --json": "tests/cli/test_cli.py::test_check_shows_what_does_not_hold",
}
"""Commands that run the tests, measure or take long, and the test that shows what they do."""

NOT_HERE: Final = {
    "python -m pip install pnet-cds[postgres]": "needs a package index; the tests have the extra installed",
    "cp …/fullchain.pem tls/tls.crt && cp …/privkey.pem tls/tls.key": "stands for a site's own certificate",
}
"""Commands that need what the reader has and the tests have not."""

PROGRAMS_NOT_HERE: Final = {
    "docker": "needs Docker; tests/deployment runs what is in the image, with nginx, PostgreSQL and Redis",
    "kubectl": "needs a cluster; tests/deployment/test_manifests.py holds the manifests against their schemas",
}
"""Programs that none of the tests has."""

GOES_ON_FROM: Final = {"docs/smart-app.md": "docs/security.md"}
"""Pages that need what another page did: a registered client."""

POSTGRES: Final = "postgresql://user:password@host/database?sslmode=verify-full"
KEYS: Final = "https://ehr.example.org/cds/jwks.json"
START: Final = "make run"
Addresses = dict[str, Callable[[], str]]
each_page: Final = pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One folder for all pages, as a reader has."""
    return Checkout.made(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def demo(checkout: Checkout) -> Iterator[str]:
    """The demo, started as the pages say."""
    with checkout.running(START) as base:
        yield base


@pytest.fixture(scope="module")
def addresses(request: pytest.FixtureRequest) -> Iterator[Addresses]:
    """What stands behind the addresses of the pages here; each is made when a page has it."""
    with key_server() as keys:
        yield {
            POSTGRES: lambda: request.getfixturevalue("postgres").new_database(),
            KEYS: lambda: keys.publish("/jwks.json", public_jwk("es")),
        }


@each_page
def test_every_command_of_the_page_works(page: str, checkout: Checkout, demo: str, addresses: Addresses) -> None:
    """From above to below in one folder, with the demo running: every block ends with exit status 0."""
    follow(GOES_ON_FROM.get(page, page), checkout, demo, addresses)
    follow(page, checkout, demo, addresses)


def follow(page: str, checkout: Checkout, demo: str, addresses: Addresses) -> None:
    """Type the commands of a page, unless that was done before."""
    if page in checkout.followed:
        return
    checkout.followed.add(page)
    for block in blocks(page):
        typed: list[str] = []
        for command in commands(block):
            if is_server(command) and plain(command) != START:
                type_in(typed, checkout, addresses)
                typed = []
                with checkout.running(command):
                    pass
            elif is_run_here(page, command):
                typed.append(at(command, demo))
        type_in(typed, checkout, addresses)


def type_in(typed: list[str], checkout: Checkout, addresses: Addresses) -> None:
    """Run commands, with what stands behind the addresses of the pages here."""
    script = "\n".join(typed)
    for written, here in addresses.items():
        if written in script:
            script = script.replace(written, here())
    for program in ("curl", "openssl"):
        if program in script:
            need(program)
    assert "Traceback" not in checkout.run(script)


def is_run_here(page: str, command: str) -> bool:
    """Whether a command comes back, and no list says that it is run somewhere else."""
    listed = plain(command) in {*ELSEWHERE, *NOT_HERE} or not PROGRAMS_NOT_HERE.keys().isdisjoint(command.split())
    return not is_server(command) and page not in FOLLOWED and not listed


def test_the_lists_hold_nothing_else() -> None:
    """Each command listed is on a page, and each test that is said to show one is there."""
    typed = {plain(command) for page in PAGES for block in blocks(page) for command in commands(block)}
    assert {*ELSEWHERE, *NOT_HERE} <= typed
    assert set(PROGRAMS_NOT_HERE) <= {word for command in typed for word in command.split()}
    assert {*FOLLOWED, *GOES_ON_FROM, *GOES_ON_FROM.values()} <= set(PAGES)
    for test in (*FOLLOWED.values(), *ELSEWHERE.values()):
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


@each_page
def test_commands_stand_in_blocks_that_are_run(page: str) -> None:
    """No block of commands hides under another name of the language."""
    languages = set(re.findall(r"^ *```(\w+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert languages <= {"sh", "console", "json", "toml", "text", "python", "yaml", "nginx", "ini"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_exist(page: str) -> None:
    """Where a sentence or a table names a command of ours, it is one, and so are its options."""
    prose = re.sub(r"^ *```.*?^ *```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    there = commands_of_ours()
    groups = {name.rpartition(" ")[0] for name in there}
    for said in re.findall(r"`(?:\.venv/bin/)?pnet-cds ([^`]+)`", prose):
        words = said.split()
        name = next((n for n in (" ".join(words[:length]) for length in (3, 2, 1)) if n in {*there, *groups}), None)
        assert name, said
        options = {option for command in there if command == name for p in there[command].params for option in p.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= {*options, "--help"}, said


# --- what they print --------------------------------------------------------------------------------------------------


def test_the_first_answer_is_the_one_shown(checkout: Checkout, demo: str) -> None:
    """README.md: the call and the card are those of the demo, shortened."""
    need("curl")
    (posted,) = (at(block, demo) for block in blocks("README.md") if "curl" in block)
    fetched = posted.partition("\\\n")[0]
    call, answer = (json.loads(checkout.run(command)) for command in (fetched, posted))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown_call, shown_answer = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", readme, re.DOTALL))
    assert_shortened(shown_call, call)
    assert_shortened(shown_answer, answer)


def assert_shortened(shown: Any, real: Any) -> None:
    """Everything shown is there; of a text that ends early a part, and of a list its first items."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_shortened(value, real[name])
    elif isinstance(shown, list):
        for each, there in zip(shown, real, strict=False):
            assert_shortened(each, there)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert shown.removesuffix("…").rstrip() in real
    else:
        assert shown == real


def test_the_example_of_the_first_page_warns(checkout: Checkout, demo: str) -> None:
    """docs/index.md: the card about the pacemaker says what matters."""
    said = " ".join(checkout.run(at(".venv/bin/pnet-cds call --example pacemaker-mri", demo)).split())
    assert "MRI is contraindicated" in said
