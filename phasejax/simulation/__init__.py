"""What do samples give, over a whole grid of models?

`sweep` evaluates named quantities of the spiked model (K26, eq. 4) at every point of a grid of its
parameters: closed forms of the theory, solutions of the population covariances (eq. 18-20), and
solutions of covariances of n pairs, drawn exactly and repeated over seeds. Figures 2 to 9 of K26 are
such sweeps. `run_checks` compares the three with each other.

Read `_sampling` (draws from the model) and `_population` (their limit for infinitely many pairs)
first, then `_quantities` and `_trained_quantities` (what can be evaluated in a cell). `_sweep` is the
public door. Behind it, `_grid` describes the cells, `_stage` computes all quantities of one source,
`_executor` runs a compiled program over chunks of cells, `_store` keeps the results in memory, and
`_zarr_store` on disk, so that a sweep that was killed goes on, with `_chunk_writer` (a chunk from any
process) and `_journal` (what is finished, with checksums). `_self_check` is `phasejax check`.

K26 is Kamai et al., arXiv 2606.11190.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
