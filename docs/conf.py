"""Sphinx's settings: `sphinx-build -W --keep-going -b html docs docs/_build`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import django_diskcache  # noqa: E402

project = "django_diskcache"
copyright = "the authors of django_diskcache; Apache-2.0"
release = version = django_diskcache.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "options_table"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "django_diskcache"

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]  # a term, and below it a colon and what it is
default_role = "code"  # a name between single backticks in a docstring
autodoc_preserve_defaults = True  # else DEFAULT_TIMEOUT would be printed as an address
autodoc_member_order = "bysource"
