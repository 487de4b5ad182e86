"""How Sphinx builds the site: ``tox run -e docs``, into build/docs/html. Nothing is trained for it and no network is asked."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "extensions")]

import bthcheck  # noqa: E402

# Frameworks that own a loop are no dependency. What stands for them here has the one class that callbacks of them are made of.
for _name, _base in {"lightning.pytorch": "Callback", "transformers": "TrainerCallback"}.items():
    _module = ModuleType(_name)
    _module.__spec__ = ModuleSpec(_name, None)
    setattr(_module, _base, type(_base, (), {}))
    sys.modules.setdefault(_name, _module)

project = "bthcheck"
author = "the bthcheck authors"
copyright = "the bthcheck authors, BSD-3-Clause"
version = release = bthcheck.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "docstrings", "catalogue"]

html_theme = "furo"
html_title = f"bthcheck {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "top_of_page_buttons": [],
    "light_css_variables": {"color-code-background": "#f3f5f8"},
    "dark_css_variables": {"color-code-background": "#1d222a"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "fieldlist"]
myst_links_external_new_tab = False
suppress_warnings: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

nitpicky = True
# Types of other libraries, whose inventories would be asked of the network, names of parts of a signature, and words between
# single backticks, most of which name parameters.
nitpick_ignore_regex = [(r"py:(class|exc|func|meth|attr|data|mod)", r"(?!bthcheck\.).*"), (r"py:obj", r".*")]
nitpick_ignore = [
    ("py:class", "bthcheck.evidence.ranking.Labelled"),  # a DataArray or a Dataset, whichever was given
    ("py:class", "bthcheck.training.cache.Entry"),
    ("py:class", "bthcheck.watching.situation.Situation"),
]

linkcheck_anchors = False
linkcheck_timeout = 20
