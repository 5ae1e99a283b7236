"""Writes the states and runs of the proof into ``docs/proof.md``: ``python docs/count_states.py``."""

from __future__ import annotations

import re
from pathlib import Path

from cds_service.knowledge import load_knowledge
from cds_service.proof import proving

PAGE = Path(__file__).with_name("proof.md")
TABLE = re.compile(r"(?<=\|---\|---\|---\|\n)(?:\| `.*\n)*")


def main() -> None:
    """Prove the packaged knowledge and replace the rows of the first table."""
    rows = "".join(f"| `{proof.name}` | {proof.states:,} | {proof.runs:,} |\n" for proof in proving(load_knowledge()))
    PAGE.write_text(TABLE.sub(rows, PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
