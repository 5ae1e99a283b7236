"""The call itself: which service it goes to, what it says, and how it is kept to be sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cds_service.ehr.files import json_in
from cds_service.errors import CallInvalid

_KEPT_OUT: Final = "fhirAuthorization"
"""The one member of a call that holds a token."""


def choose(services: Iterable[Mapping[str, Any]], hook: str, wanted: str | None) -> Mapping[str, Any]:
    """The service a hook fires.

    Args:
        services: those of discovery.
        hook: the hook.
        wanted: id of one of several services of the hook.

    Raises:
        CallInvalid: there is none, or more than one.
    """
    listed = [entry for entry in services if isinstance(entry.get("id"), str)]
    found = [entry for entry in listed if entry.get("hook") == hook and wanted in (None, entry.get("id"))]
    if not found:
        offered = ", ".join(f"{entry['id']} ({entry.get('hook')})" for entry in listed)
        raise CallInvalid(f"No such service for the hook {hook!r}. On offer: {offered or 'nothing'}.")
    if len(found) > 1:
        raise CallInvalid(f"Choose one with --service: {', '.join(entry['id'] for entry in found)}.")
    return found[0]


def selected(orders: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> list[str] | None:
    """References of the orders named by id or reference; None when none is named.

    Raises:
        CallInvalid: a name that is none of the orders.
    """
    if not wanted:
        return None
    there = [f"ServiceRequest/{order['id']}" for order in orders]
    chosen = [name if "/" in name else f"ServiceRequest/{name}" for name in wanted]
    if not set(chosen) <= set(there):
        raise CallInvalid(f"--select: the orders of this call are {', '.join(there)}.")
    return chosen


def keep(request: Mapping[str, Any], path: Path) -> None:
    """Write a call to a file that only its owner may read, without the token.

    Raises:
        CallInvalid: the file cannot be written.
    """
    kept = {name: value for name, value in request.items() if name != _KEPT_OUT}
    try:
        path.touch(mode=0o600)
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CallInvalid(f"--save {path}: {error.strerror}.") from None


def kept(path: Path) -> dict[str, Any]:
    """A call from a file.

    Raises:
        CallInvalid: the file cannot be read, or holds no call.
    """
    request = json_in(path, "--replay")
    if not isinstance(request, dict) or not isinstance(request.get("hook"), str):
        raise CallInvalid(f"--replay {path}: expected a CDS Hooks request.")
    return {name: value for name, value in request.items() if name != _KEPT_OUT}
