"""How much is remembered of what was worked out. It is a function of facts, orders and rows, and names no patient."""

from __future__ import annotations

from typing import Final

KINDS: Final = 1024
"""Kinds of patients with their orders: what is said of each, and what would change it."""

SITUATIONS: Final = 1024
"""Situations that each table remembers."""

KNOWLEDGES: Final = 32
"""Knowledges whose tables are held: one for each site policy, and room for the rows of another day."""
