"""How similar are two representations of the same samples, and is that more than chance?

The package holds the metrics that the field compares representations with, each from its own paper (Kornblith et al.
2019, Huh et al. 2024, Raghu et al. 2017, Herdin et al. 2005) and theorem A.1 of K26, whose canonical correlations
`mean_canonical_correlation` averages. "Alignment" is not meant here: in phasejax that is a training objective.

Read `_inputs` (what the metrics take), then the metrics: `_neighbours` (do samples have the same nearest neighbours?),
`_cka` (are the kernel matrices alike?), `_cknna` (both at once) and `_cca` (do the columns correlate?). After them
`_statistics` (the metrics under permuted pairings), `_whole_groups` (pairings where rows are not independent),
`_significance` (p-values and intervals), `_families` (which metrics share work), and `_compare` with `_table`:
`compare_representations` puts all of it into one table.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
