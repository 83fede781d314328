"""What does the spiked model say? Section 3 and Lemma A.3 of K26, for given parameters and without data.

Read the modules in this order:

- `_model`: the model itself, two views of k shared signals with noise and correlated nuisance (eq. 4, 18-20).
- `_regimes`: the separation ratio of a spectrum (Proposition 3.1) and the four regimes that two ratios make.
- `_closed_forms`: spectra of alignment and prediction (Lemma A.3), ratios, counts (Proposition 3.2), boundaries,
  the bound of eq. 22, prediction errors.
- `_bottlenecks`: how many dimensions can be shared, and how large a feasible encoder must be.
- `_sensitivity`, `_nearest_boundary`: which parameter moves a ratio, and the least change that leads into a regime.
- `_sample_spectrum`, `_random_matrix`, `_finite_sample`: what n rows show instead of the population.
- `_expected_content`, `_content_spread`, `_plan_curves`, `_label_need`, `_plan`: how many pairs and labels are needed.

Section 3 is exact for the population; only the last two lines' modules approximate.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
