"""How Sphinx builds the site: `python -m sphinx -W --keep-going -n -j 2 docs docs/_build/html`."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

from tests.support import QUICK_TO_COMPILE  # noqa: E402

# Notebooks run the command `phasejax` of this interpreter, on the CPU, and draw into the page.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("COLUMNS", "110")
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE / "_build" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

project = "phasejax"
author = "the phasejax authors"
release = version_of("phasejax")
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "source_signatures", "public_names",
              "linked_names", "mathml", "gallery", "measurements", "explorer_page", "accessible", "notebooks",
              "site_checks"]
exclude_patterns = ["_build", "_extensions"]
nitpicky = True
highlight_language = "none"  # of blocks that name none: what a command prints
default_role = "py:obj"  # in docstrings `name` links to what is documented, and is plain code where nothing is
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "cache"  # cells that did not change are not run again; a fresh _build runs all
nb_execution_in_temp = True
nb_execution_show_tb = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_ipywidgets_js = {}  # nothing is loaded from the network

html_theme = "furo"
html_title = "phasejax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "default"
