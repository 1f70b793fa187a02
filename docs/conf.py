"""Sphinx settings: numpydoc API pages, a gallery that runs its scripts, a bibliography shared with `optlab.cite`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import optlab

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "optlab"
author = "The optlab developers"
copyright = f"2026, {author}"
release = version = optlab.__version__

extensions = [
    "myst_parser",
    "optlab_pages",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "gallery", "api/_*.rst", "auto_examples/**/*.ipynb", "auto_examples/**/*.py"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False

default_role = "py:obj"  # `optlab.solve` in a docstring is a link where there is something to link to
templates_path = ["_templates"]
autosummary_imported_members = False  # what autosummary reads is set by optlab_pages: the public names of each package
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

bibtex_bibfiles = [os.path.join(os.path.dirname(optlab.__file__), "references.bib")]
bibtex_default_style = "unsrt"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1,
    "reset_modules": ("matplotlib",),
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "optlab"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
html_static_path = ["_static"]
html_css_files = ["optlab.css"]
html_show_sourcelink = False

# a gallery script that warns has a defect; sphinx's own deprecations are not ours
warnings.filterwarnings("error", module="optlab")
