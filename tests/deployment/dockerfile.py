"""What the Dockerfile says, stage by stage."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction with its arguments, on one line."""

    name: str
    arguments: str

    def command(self) -> list[str]:
        """The command of an instruction that gives it as a list, whatever stands before it."""
        command: list[str] = json.loads(self.arguments[self.arguments.index("[") :])
        return command


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, the first of which is its FROM."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    found: list[list[Instruction]] = []
    for line in filter(str.strip, lines):
        name, _, arguments = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, arguments.strip()))
    return found


def all_of(name: str, stage: list[Instruction]) -> list[Instruction]:
    """Every instruction of that name."""
    return [instruction for instruction in stage if instruction.name == name]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """The variables that a stage sets."""
    pairs = [pair for instruction in all_of("ENV", stage) for pair in shlex.split(instruction.arguments)]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
