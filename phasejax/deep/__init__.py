"""Do deep networks obey the theory? (K26, section 4 and appendix B)

Encoders of image pairs or of measured features are trained by alignment (CA), by cross-modal prediction (CP, K26
eq. 2), by both, or with labels, over a grid of jitters, noises and seeds. Frozen linear probes then tell what the
embeddings hold of the signal and of the nuisance.

Read `_experiment` first: every choice of a run in one object. Then `losses` and `_objectives`: what is minimised;
`_networks` (on `_convolution`): by which networks; `_training`: one cell; `_grid` (with `_checkpoints`): all cells,
also after an interruption, and those of other experiments (`_grid_experiment`). `_linear_probe` and `_evaluation`
score the frozen encoders. `_pilot` trains small ones (`_pilot_training`) on any two views. `_heads` trains light heads
on the frozen features of two models, with labels that probes predict. The pairs of images are in `phasejax.deep.data`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
