"""The documentation site: ``make docs`` builds it from these pages, without anything from another host."""

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
