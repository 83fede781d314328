"""Which pairs do the deep encoders see, and what do they show?

Stereo pairs (K26, appendix B): one object seen twice, shifted apart by a baseline, with jitter and pixel noise in
each view. Its shape is the signal, its position the nuisance that both views share. Pairs are pure functions of a
key and are rendered when they are needed.

Read `_stereo` first: the two views, and `draw` and `render`, which make them. `_sprites` draws the canonical images
of dSprites from signed distances, `_solids` those of 3DShapes by ray marching, and `_published` reads either from the
published files. `_batch` has the types that trainings see (`Cell`, `Views`, `Source`); `_sources` opens the rows
of an experiment, which may also be measured features.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
