"""Who calls, as client authentication found out."""

from __future__ import annotations

from flask import g


def client_id() -> str:
    """The authenticated client of this call; empty where calls are open (demo mode)."""
    return str(g.get("client_id", ""))
