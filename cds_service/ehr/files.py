"""Files that are named on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cds_service.errors import CallInvalid


def json_in(path: Path, option: str) -> Any:
    """What a file holds.

    Raises:
        CallInvalid: it cannot be read, or is no JSON; the message names the option.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CallInvalid(f"{option} {path}: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise CallInvalid(f"{option} {path}: not valid JSON.") from None
