"""What tests need besides Python: missing, it is a reason to leave them out; where it is required, a failure."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(variable: str, why: str) -> NoReturn:
    """Skip on a stranger's machine; fail where the variable is set, so that these tests cannot rot unseen."""
    if os.environ.get(variable):
        pytest.fail(f"{variable} is set, and {why}")
    pytest.skip(why)


def need(program: str) -> None:
    """Commands of the documentation and of the page are run as they are written."""
    if shutil.which(program) is None:
        missing(f"REQUIRE_{program.upper()}", f"{program} is not installed on this machine")
