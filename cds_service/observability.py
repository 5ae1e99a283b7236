"""Structured logs: JSON lines, one per call, without patient data and without credentials.

Callers log identifiers of their own choosing only; the redaction here is the second line of defence.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TextIO, cast

import structlog

HIDDEN: Final = "[redacted]"
_SECRET_NAMES: Final = re.compile(
    r"authori[sz]ation|token|secret|password|cookie|credential|api[-_]?key|body|prefetch|patient|jwk|header|subject",
    re.IGNORECASE,
)
_SECRET_VALUES: Final = re.compile(
    r"eyJ[\w-]*(?:\.[\w-]*)*"  # a token: base64 of an object
    r"|\b(?:bearer|basic|token)\s+[\w.~+/=-]+"
    r"|\bPatient(?:/|%2F)[^\s\"',;)]+"
    r"|(?<=://)[^/@\s]+@",  # user and password in an address
    re.IGNORECASE,
)
_MAY_BE_SECRET: Final = re.compile(r"[\s/%]|eyJ", re.IGNORECASE)
"""What every such value has within; most of what is logged has not, and needs no closer look."""
_LIBRARIES: Final = ("gunicorn.error", "flask-limiter", "urllib3.connectionpool")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(level: str) -> None:
    """Write JSON lines of at least this level to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.CallsiteParameterAdder({structlog.processors.CallsiteParameter.PROCESS}),
            redact,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # One write per line, so that lines of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Steady())),
        cache_logger_on_first_use=False,
    )
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        if not any(isinstance(present, _Redacting) for present in library.filters):
            library.addFilter(_Redacting())


def logger() -> Any:
    """The service's logger."""
    return structlog.get_logger("pnet-cds")


def begin_call(request_id: str) -> None:
    """Every line of this thread carries the identifier from now on, and nothing of the call before."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def note_client(client_id: str) -> None:
    """Every line of this call also names the client."""
    structlog.contextvars.bind_contextvars(client=client_id)


def note_trace(trace_id: str) -> None:
    """Every line of this call also names its trace."""
    structlog.contextvars.bind_contextvars(trace_id=trace_id)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line without what must not be kept: members named like secrets or records, and values that look like them."""
    return {name: _redacted(name, value) for name, value in event.items()}


def without_secrets(text: str) -> str:
    """A text without tokens, credentials and references to patients."""
    return _SECRET_VALUES.sub(HIDDEN, text) if _MAY_BE_SECRET.search(text) else text


@lru_cache(maxsize=256)
def _names_secret(name: str) -> bool:
    """Whether a member is named like a secret; lines have few different names."""
    return _SECRET_NAMES.search(name) is not None


def _redacted(name: str, value: Any) -> Any:
    if _names_secret(name):
        return HIDDEN
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else without_secrets(str(value))


class _Steady:
    """Standard error. A line that cannot be written, as on a full disk, keeps nobody from an answer."""

    def write(self, text: str) -> None:
        """Write, if it can be written."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Write out what was written."""
        with suppress(OSError):
            sys.stderr.flush()


class _Redacting(logging.Filter):
    """Takes secrets out of what libraries write to their own logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the line and its traceback, without secrets."""
        record.msg, record.args = without_secrets(record.getMessage()), None
        if record.exc_info:
            record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
        return True
