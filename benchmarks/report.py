"""From measurements to a table with ratios, and to the history that is kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

HISTORY: Final = Path(__file__).with_name("history.jsonl")
_COLUMNS: Final = (
    "patient", "Observations", "service", "calls", "limit", "service CPU", "ratio", "p50", "p99", "p99/p50"
)  # fmt: skip


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of call, measured on both servers in the same run; milliseconds."""

    patient: str
    size: int
    service: str
    calls: int
    limit: float
    cpu: float
    p50: float
    p99: float

    @property
    def ratio(self) -> float:
        """CPU time per call of the service, in units of the limit."""
        return self.cpu / self.limit


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the benchmarks."""

    day: str
    commit: str
    python: str
    rows: list[Row]
    stages: dict[str, dict[str, float]]


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table, milliseconds of CPU per call and their ratio."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for row in rows:
        cells = (
            row.patient, str(row.size), row.service.removeprefix("pnet-"), str(row.calls), f"{row.limit:.2f}",
            f"{row.cpu:.2f}", f"{row.ratio:.2f}", f"{row.p50:.2f}", f"{row.p99:.2f}", f"{row.p99 / row.p50:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stage_table(stages: dict[str, dict[str, float]]) -> str:
    """Milliseconds of CPU by stage, a column for each size."""
    sizes = list(stages)
    names = list(stages[sizes[0]])
    lines = ["| stage | " + " | ".join(sizes) + " |", "|" + "---|" * (len(sizes) + 1)]
    lines += [f"| {name} | " + " | ".join(f"{stages[size][name]:.3f}" for size in sizes) + " |" for name in names]
    return "\n".join(lines)


def remember(run: Run, history: Path = HISTORY) -> None:
    """Add a run to the history, one line each."""
    with history.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def remembered(history: Path = HISTORY) -> list[Run]:
    """The runs of the history, oldest first."""
    lines = history.read_bytes().splitlines() if history.exists() else []
    return [msgspec.json.decode(line, type=Run) for line in lines]
