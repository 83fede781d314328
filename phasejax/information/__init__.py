"""Which modality holds what about the label, and what does alignment do to encoders of such modalities?

Nothing here is a spiked model: modalities are bits, so that all information about the label is known exactly, by
summing over states. Part of it is redundant, held by both modalities, part unique to one of them, part synergistic:
I(X; T) = R + U_x, I(Y; T) = R + U_y, I(X, Y; T) = R + U_x + U_y + S. Two experiments train encoders on these bits:
F26 (arXiv 2511.12121) adds InfoNCE with a strength lambda, T25 (arXiv 2502.16282) lets alignment emerge.

Read `_shared_unique_bits`, the bits, their label and their information; `_pid`, the parts R, U_x, U_y and S of a
probability table, and `_pid_estimate`, the same from rows; `_encoders`, the networks and how they are trained;
`_imposed_alignment` and `_emergent_alignment`, the experiments of F26 and T25.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
