"""When to align, when to predict: theory, simulation and diagnosis of multimodal representation learning.

CA stands for cross-modal alignment, CP for cross-modal prediction, and K26 for Kamai, Van Assel,
Regev, Perets and Balestriero, *When to Align, When to Predict*, arXiv 2606.11190.
"""

import lazy_loader

from phasejax._core import forks as _forks  # noqa: F401, notes a fork, before anything else is imported
from phasejax._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
