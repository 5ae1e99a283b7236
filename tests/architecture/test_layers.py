"""Who may import whom, who alone may import what, and which numbers may stand in clinical code."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("cds_service", "fhir_profiles", "hooks")

LAYERS: Final = (
    {"errors", "settings", "addresses", "stages"},
    {"domain", "observability", "clients"},
    {"knowledge", "protocol"},
    {"clinical", "service", "http_client", "store"},
    {"interchange", "fhir", "fhir_profiles", "auth"},
    {"encoding"},
    {"consult", "cards", "ehr", "issuing", "proof", "reports", "selftest", "sites", "subjects"},
    {"hooks", "artefacts", "metrics", "story", "tracing"},
    {"pipeline", "smart"},
    {"web", "commands"},
    {"explain", "app", "connections", "server", "installation", "checks", "cli", "__main__"},
)
"""Rooms from the ground up; a room imports from the layers below its own."""

WITHIN_A_LAYER: Final = {
    ("settings", "errors"): "the errors are at the very bottom",
    ("settings", "addresses"): "addresses have one grammar, in settings and for clients",
    ("cli", "commands"): "the groups of commands",
    ("cli", "app"): "serve makes the application",
    ("cli", "server"): "serve runs it",
    ("server", "connections"): "its bounds on connections",
    ("cli", "explain"): "the command of that name",
    ("cli", "checks"): "the command check",
    ("cli", "installation"): "every command may ask whether the installation is sound",
    ("commands", "web"): "the feedback report as a page is the page of the demo",
    ("__main__", "cli"): "python -m cds_service",
    ("__main__", "installation"): "which looks at the installation before it uses it",
}
"""The few imports between rooms of one layer."""

ONLY_IN: Final = {
    "flask": {"web", "app", "server"},
    "flask_limiter": {"web"},
    "limits": {"web"},
    "redis": {"web"},
    "werkzeug": {"web"},
    "itsdangerous": {"web"},
    "jwt": {"auth"},
    "gunicorn": {"connections", "server"},
    "requests": {"http_client"},
    "urllib3": {"http_client"},
    "socket": {"connections", "http_client"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "pydantic_settings": {"settings"},
    "structlog": {"observability"},
    "prometheus_client": {"metrics"},
    "opentelemetry": {"tracing"},
    "click": {"cli", "commands"},
    "psycopg": set(),
    "leather": {"web"},
    "markupsafe": {"web"},
    "rich": {"explain", "cli", "commands", "selftest"},
    "hooks": {"app"},
}
"""Modules and the only rooms that may import them."""

FHIR_MODELS: Final = "fhir_profiles/resources.py"
"""The only importer of fhir.resources."""

SETS_A_VARIABLE: Final = "cds_service/metrics/shared.py"
"""The only module that may touch the environment."""

NEEDS_FILES: Final = (
    "cds_service/store/spool.py",
    "cds_service/store/spooled.py",
    "cds_service/store/writer.py",
)
"""The only other modules that may import os: for writes in one piece, for the disk, and for which process this is."""

PURE: Final = ("domain", "knowledge", "clinical", "proof", "cards", "hooks", "reports", "story")
WORLDLY: Final = frozenset(
    {
        "asyncio",
        "http",
        "io",
        "logging",
        "os",
        "random",
        "secrets",
        "shutil",
        "socket",
        "sqlite3",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    }
)
"""What would let a pure room notice the world around it."""

CLOCKS: Final = frozenset(
    {"date.today", "datetime.now", "datetime.today", "datetime.utcnow", "time.time", "time.localtime"}
)
CLOCK_ROOMS: Final = {"app", "cli", "commands"}

NUMBERS: Final = {
    0: "nothing, none, first",
    1: "one, next, whole",
    (2, "markers.py"): "decimals of a number that is shown",
    (3, "markers.py"): "dimensions of a volume",
    (6, "markers.py"): "decimals that absorb the error of floating-point arithmetic",
    (12, "markers.py"): "months of a year",
    (100, "markers.py"): "percent",
    (32, "axes.py"): "sets of axes held in memory",
    (32, "remembering.py"): "knowledges whose tables are held in memory",
    (1024, "remembering.py"): "kinds of patients and situations that are remembered, a bound on memory",
    (64, "whatif.py"): "most values tried in one call, a bound on work",
    (24, "contradictions.py"): "most alternatives looked at in one call, a bound on work",
}
"""Numbers that may stand in clinical code, with the reason; every other one belongs to a row."""


class Import(NamedTuple):
    """One import of one file."""

    file: str
    room: str
    module: str


def sources() -> Iterator[Path]:
    """Every module of the distribution but the migrations, which a tool runs."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """Path of a file from the root of the distribution."""
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """The room a file belongs to."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    return rest[0] if package == "cds_service" else package


def room_named(module: str) -> str:
    """The room a module of ours belongs to; the package itself is the room of the version."""
    package, *rest = module.split(".")
    if package != "cds_service":
        return package
    return rest[0] if rest and not rest[0].startswith("__version") else "__init__"


def modules(node: ast.AST) -> list[str]:
    """The modules an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        inside = node.module in PACKAGES or (ROOT / node.module.replace(".", "/")).is_dir()
        return [f"{node.module}.{alias.name}" for alias in node.names] if inside else [node.module]
    return []


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module, also those inside functions."""
    return tuple(
        Import(name_of(path), room_of(path), module)
        for path in sources()
        for node in ast.walk(tree(path))
        for module in modules(node)
    )


def ours() -> list[Import]:
    """Imports from one room of ours to another."""
    return [
        found
        for found in imports()
        if found.module.split(".")[0] in PACKAGES and room_named(found.module) not in (found.room, "__init__")
    ]


def layer(room: str) -> int:
    """The layer of a room."""
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def test_every_room_has_a_layer() -> None:
    """No room is left out of the table, and no room of the table is gone."""
    assert {room_of(path) for path in sources()} - {"__init__"} == set().union(*LAYERS)
    assert sum(len(rooms) for rooms in LAYERS) == len(set().union(*LAYERS))


def test_imports_go_down() -> None:
    """A room imports from lower layers only; the exceptions within a layer are listed."""
    upwards = [found for found in ours() if layer(room_named(found.module)) > layer(found.room)]
    assert not upwards
    sideways = {
        (found.room, room_named(found.module))
        for found in ours()
        if layer(room_named(found.module)) == layer(found.room)
    }
    assert sideways <= set(WITHIN_A_LAYER)


def test_no_module_needs_itself() -> None:
    """Modules import each other without cycles, so that each can be read from the ground up."""
    known = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in sources()}
    graph: dict[str, set[str]] = defaultdict(set)
    for module, path in known.items():
        for node in tree(path).body:
            for named in modules(node):
                target = named if named in known else named.rpartition(".")[0]
                if target in known and target != module:
                    graph[module].add(target)
    try:
        order = tuple(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        pytest.fail(" → ".join(cycle.args[1]))
    assert "cds_service.errors" in order


@pytest.mark.parametrize("module", ONLY_IN)
def test_some_modules_have_their_rooms(module: str) -> None:
    """Web framework, database, HTTP client and terminal are each known to the rooms that need them, and they do."""
    users = {found.room for found in imports() if found.module.split(".")[0] == module} - {module}
    assert users == ONLY_IN[module]


def test_fhir_models_have_one_importer() -> None:
    """fhir.resources is imported by one module, which takes resources apart one by one."""
    users = {found.file for found in imports() if found.module.split(".")[0] in ("fhir", "fhir_core")}
    assert users == {FHIR_MODELS}


def test_the_version_imports_nothing() -> None:
    """``cds_service/__init__.py`` holds the version and imports nothing, so that a build can read it."""
    assert [found for found in imports() if found.file == "cds_service/__init__.py"] == []


def test_the_environment_is_read_in_one_place() -> None:
    """No module but the settings, which leave it to their library, touches the environment; but for one variable.

    The library that counts over processes takes its folder from a variable only, which is set where it is made.
    """
    for path in (path for path in sources() if name_of(path) != SETS_A_VARIABLE):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("environ", "environb", "getenv"), name_of(path)
    users = {found.file for found in imports() if found.module in ("os", "os.environ", "dotenv")}
    assert users == {SETS_A_VARIABLE, *NEEDS_FILES}


def test_today_is_handed_in() -> None:
    """Only the application and the commands ask for the day or the time."""
    asking = {
        room_of(path)
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in CLOCKS
    }
    assert asking == CLOCK_ROOMS


@pytest.mark.parametrize("room", PURE)
def test_the_core_does_not_notice_the_world(room: str) -> None:
    """Facts, rows, rules, cards and hooks have no chance, clock, file, network or output of their own."""
    worldly = [found for found in imports() if found.room == room and found.module.split(".")[0] in WORLDLY]
    assert not worldly
    for path in (path for path in sources() if room_of(path) == room):
        called = {
            node.func.id
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called.intersection({"open", "print", "input", "exec", "eval", "__import__"}), name_of(path)


def test_clinical_code_knows_no_fhir_and_profiles_no_guideline() -> None:
    """Facts stand between FHIR and medicine: neither side imports the other."""
    pairs = {(found.room, room_named(found.module)) for found in ours()}
    assert not pairs.intersection({("clinical", "fhir_profiles"), ("clinical", "fhir"), ("clinical", "protocol")})
    assert not pairs.intersection({("fhir_profiles", "clinical"), ("fhir_profiles", "knowledge")})
    assert not pairs.intersection({("pipeline", "hooks"), ("web", "hooks"), ("hooks", "clinical")})


def test_exceptions_are_defined_in_one_place() -> None:
    """Our own errors are one tree in ``errors.py``; no other module adds a public one."""
    for path in sources():
        if room_of(path) == "errors":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                assert not {base for base in bases if base.endswith(("Error", "Exception"))}, (name_of(path), node.name)


def numbers(path: Path) -> set[int | float]:
    """The numbers that stand in a module."""
    constants = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, int | float) and not isinstance(value, bool)}


def test_no_clinical_number_stands_in_code() -> None:
    """Thresholds belong to rows: in clinical code only the listed numbers occur, each where it is excused."""
    found = {
        (value, path.name)
        for path in sorted((ROOT / "cds_service" / "clinical").glob("*.py"))
        for value in numbers(path)
    }
    assert not {(value, name) for value, name in found if value not in NUMBERS and (value, name) not in NUMBERS}
    assert {key for key in NUMBERS if isinstance(key, tuple)} <= found


def test_a_month_has_one_length() -> None:
    """Months are days / 30.4375 everywhere: no other mean length of a month is used."""
    lengths = {value for path in sources() for value in numbers(path) if isinstance(value, float) and 27 < value < 32}
    assert lengths == {30.4375}
