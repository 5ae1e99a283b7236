"""The only importer of requests: time limits on everything, errors without content."""

from __future__ import annotations

import time
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError

from cds_service.errors import RemoteError

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_CHUNK_BYTES: Final = 16384


def get_json(url: str) -> Any:
    """GET a JSON document.

    Raises:
        RemoteError: no connection, no success, or no JSON.
    """
    return _call("GET", url, None)


def get_bounded(url: str, most_bytes: int, most_seconds: float) -> bytes:
    """GET a small document: no redirects, no proxy, no credentials, no compression, bounded in size and time.

    Raises:
        RemoteError: no connection, another status than 200, too large, or too slow.
    """
    until = time.monotonic() + most_seconds
    content = bytearray()
    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.get(
                url,
                timeout=most_seconds,
                allow_redirects=False,
                stream=True,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as response:
                if response.status_code != requests.codes.ok or response.headers.get("Content-Encoding"):
                    raise RemoteError(f"{url} answered with status {response.status_code}, or compressed.")
                while chunk := response.raw.read1(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > most_bytes or time.monotonic() > until:
                        raise RemoteError(f"{url} sends more than {most_bytes} bytes, or too slowly.")
    except (requests.RequestException, OSError, HTTPError) as error:
        raise RemoteError(f"{url} cannot be read ({type(error).__name__}).") from None
    return bytes(content)


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
