"""What would my instruments see, and which upgrade changes the regime? Simulated pairs of instruments, differentiable.

Read the modules in this order:

- `_instrument`: what every pair of instruments has: parameters with units and ranges, expected views, rows.
- `_stars`, with `_star_spectra` and `_light_curves`: a spectrograph and a photometer that look at the same stars.
- `_moments`: covariances of the views in the limit of many objects.
- `_regime`: label content, separation ratios and the regime.
- `_sensitivity`, `_upgrades`: how each parameter moves the ratios, and the least change of one that moves the regime.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
