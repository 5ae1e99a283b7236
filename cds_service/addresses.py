"""Addresses, origins and rates as people write them: one grammar for settings and for clients.

Each function returns the value in its one spelling, or raises ValueError with a sentence that says what is expected.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_SAFE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,1000}")
"""What an address may be written with (RFC 3986), and how long it may be."""

_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")


def base_url(given: str) -> str:
    """An address others are built from: https (http on this machine only), no query, no trailing slash."""
    parts = _split(given)
    if parts.query or parts.fragment or "?" in given or "#" in given:
        raise ValueError("expected an address without query or fragment")
    return given.rstrip("/")


def document_url(given: str) -> str:
    """The address of a document: https (http on this machine only), no fragment."""
    if _split(given).fragment or "#" in given:
        raise ValueError("expected an address without fragment")
    return given


def origin(given: str) -> str:
    """The origin of a page as a browser sends it: scheme, host, port, nothing else, lower case."""
    parts = _split(given)
    if parts.path or parts.query or "?" in given or "#" in given:
        raise ValueError("expected an origin such as https://ehr.example.org, without a path")
    return given.lower()


def rate(given: str) -> str:
    """A number of calls in a time, such as ``600/minute``."""
    if not _RATE.fullmatch(given):
        raise ValueError("expected calls per time, such as 600/minute")
    return given


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _split(given: str) -> SplitResult:
    wrong = "expected an address such as https://cds.example.org; plain http is for this machine only"
    if not _SAFE.fullmatch(given):
        raise ValueError(wrong)
    try:
        parts = urlsplit(given)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ValueError(wrong) from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    if not usable or not secure or parts.username is not None or parts.password is not None:
        raise ValueError(wrong)
    return parts
