"""The documentation site: ``make docs`` builds it from these pages, without anything from another host."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs import api_reference

project = "pnet-cds"
author = "pnet-cds project"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["*.py"]
html_theme = "furo"
html_title = "pnet-cds"
html_static_path = ["static"]
html_show_sphinx = False
myst_heading_anchors = 3


def _complete(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put the interface behind the text of its page."""
    if page == "api":
        source[0] += f"\n{api_reference.reference()}"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _complete)
