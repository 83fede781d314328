"""Where do my data lie in the phase diagram, and what shall I train?

`diagnose` answers from two paired views and labels, by moment matching or by Algorithm 1 of K26 (Kamai et al., arXiv
2606.11190); the ratios are those of its Proposition 3.1. Read the modules in this order: `_paired_data` reduces the
rows to moments, `_simulator` has the statistics of data and of the model, `_moment_matching` finds the model whose
statistics are those of the data (with `_search`, `_precision`, `_posterior` and the compiled `_programs`),
`_estimates` puts the result into units of the data. `_predicted_scores` measures what each representation predicts
(with `_linear_readout`); `_result` holds all answers, `_recommendation` and `_advice` say what to train. `_spectral`
and `_spectral_result` are Algorithm 1. `_saved` reads a diagnosis back, `_baseline`, `_drift` and `_drift_tests`
compare it with later data. `report` and `_plots` show it. `_agreement` sets the answer beside trained encoders of
`phasejax.deep`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
