"""Who calls, as client authentication found out."""

from __future__ import annotations

from flask import g

from cds_service.clients import DEMO_CALLER, Caller


def note_caller(caller: Caller) -> None:
    """Keep who calls for the rest of the call."""
    g.caller = caller


def known_caller() -> Caller | None:
    """The client that makes the call, once it has proven who it is."""
    caller: Caller | None = g.get("caller")
    return caller


def current_caller() -> Caller:
    """The client that makes the call; for views that only clients reach."""
    caller: Caller = g.caller
    return caller


def client_id() -> str:
    """The authenticated client of this call; empty where calls are open (demo mode)."""
    caller = current_caller()
    return "" if caller is DEMO_CALLER else caller.client.id
