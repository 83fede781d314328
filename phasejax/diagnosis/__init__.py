"""Where do my data lie in the phase diagram, and what shall I train?

`diagnose` answers from two paired views and labels. Read the modules in this order: `_reduced_views` and `_paired_data`
prepare the rows; `_shared_signal` asks whether anything is shared, `_content` which share of it each objective keeps at
this n, `_scoring` what encoders would score (`_fair_scores`, with `_representations`, `_lift`, `_cross_fit`, `_folds`
and `_bootstrap`), `_decision` chooses; `_content_diagnosis` puts them together, `_result` and `_uses` are the answer.

Beside it stand two methods of K26 (Kamai et al., arXiv 2606.11190): `_moment_diagnosis` finds the spiked model whose
simulated statistics are those of the data (`_simulator`, `_moment_matching`, `_search`, `_precision`, `_posterior`,
`_programs`, `_estimates`, `_moment_result`), with the ratios of Proposition 3.1; `_spectral_diagnosis` is Algorithm 1.
`_baseline` and `_drift` compare with later data (`_content_drift`, `_spectra_summary`, `_drift_tests`), `report` and
`_plots` show the answer, `_advice` gives its estimator, `_agreement` sets it beside trained encoders, and
`_label_quality` repeats it with worse, coarser, wrong and fewer labels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
