"""The only importer of requests: time limits on everything, errors without content."""

from __future__ import annotations

from typing import Any, Final

import requests

from cds_service.errors import RemoteError

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30


def get_json(url: str) -> Any:
    """GET a JSON document.

    Raises:
        RemoteError: no connection, no success, or no JSON.
    """
    return _call("GET", url, None)


def post_json(url: str, body: Any) -> Any:
    """POST a JSON document and return the JSON answer.

    Raises:
        RemoteError: no connection, no success, or no JSON.
    """
    return _call("POST", url, body)


def _call(method: str, url: str, body: Any) -> Any:
    try:
        response = requests.request(
            method, url, json=body, timeout=(_CONNECT_SECONDS, _READ_SECONDS), allow_redirects=False
        )
    except requests.RequestException as error:
        raise RemoteError(f"{url} cannot be reached ({type(error).__name__}). Is the service running?") from None
    if not response.ok:
        raise RemoteError(f"{url} answered with status {response.status_code}.")
    try:
        return response.json()
    except ValueError:
        raise RemoteError(f"{url} did not answer with JSON.") from None
