"""Sphinx settings: ``sphinx-build -nW -b html docs docs/_build/html``."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Tocsin"
author = "the Tocsin developers"
copyright = author
version = release = installed("tocsin")

extensions = ["myst_parser", "sphinx.ext.autodoc", "tocsin_docs"]
exclude_patterns = ["_build", "_ext"]

nitpicky = True
nitpick_ignore = [
    ("py:class", "Title"),  # a str, a pattern, or a function: how-to/testing
    ("py:class", "attrs.Attribute"),  # what attrs hands to a validator
]
default_role = "name"  # of tocsin_docs: a public name becomes a link, all else is code

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"Tocsin {release}"
