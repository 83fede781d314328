"""Counts of simulated cells, and the views that an analysis makes of them."""

from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax._core.pytree import pytree
from phasejax.instruments._cite_states import CellStates, cell_states, mean_counts

if TYPE_CHECKING:
    from phasejax.instruments._cite_seq import CiteSeq

# Counts of a cell are scaled to this sum before the logarithm, as `phasejax.datasets.load_pbmc_cite` does.
SCALED_TO = 1e4


@pytree
class CiteSeqCells:
    """Counts of n cells, their views and what is known about them.

    Args:
        rna, protein: counts, shapes (n, genes) and (n, proteins).
        x: log(1 + 10^4 c / sum of the cell) of RNA, shape (n, genes).
        y: centred log-ratio of the proteins, log(1 + c) minus its mean over the cell's proteins, shape (n, proteins).
        cell_type, donor, batch: numbers 0, 1, ... of the classes, shape (n,).
        programs: the shared programs, shape (n, programs), which no experiment shows.
        cycle: the continuous nuisance as RNA follows it, shape (n,).
    """

    rna: Int[np.ndarray, "n genes"]
    protein: Int[np.ndarray, "n proteins"]
    x: Float[np.ndarray, "n genes"]
    y: Float[np.ndarray, "n proteins"]
    cell_type: Int[np.ndarray, "n"]
    donor: Int[np.ndarray, "n"]
    batch: Int[np.ndarray, "n"]
    programs: Float[np.ndarray, "n programs"]
    cycle: Float[np.ndarray, "n"]


def draw_cells(key: Array, n: int, experiment: "CiteSeq") -> CiteSeqCells:
    """Draw n independent cells and count their RNA and proteins."""
    # Counts have no derivative, and NumPy draws negative binomial ones ten times as fast as JAX on a CPU.
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    experiment = jax.tree.map(lambda leaf: np.asarray(leaf, float), experiment)
    normal = rng.standard_normal((n, experiment.normal_numbers))
    states = cell_states(experiment, rng.random((n, 2)), normal, drawn=True)
    rna, off, on, likely = mean_counts(experiment, states)
    return count_cells(rng, experiment, states, rna, np.where(rng.random(likely.shape) < likely, on, off))


def count_cells(rng: np.random.Generator, experiment: "CiteSeq", states: CellStates,
                rna_means: Float[np.ndarray, "n genes"], protein_means: Float[np.ndarray, "n proteins"]
                ) -> CiteSeqCells:
    """Count cells of known states, and make the views of the counts."""
    rna, protein = (rng.poisson(rng.gamma(1 / phi, phi * means)) for phi, means in (
        (float(experiment.rna_overdispersion), rna_means), (float(experiment.adt_overdispersion), protein_means)))
    logs = np.log1p(protein)
    return CiteSeqCells(
        rna=rna, protein=protein, x=np.log1p(SCALED_TO * rna / np.maximum(rna.sum(1), 1)[:, None]),
        y=logs - logs.mean(1, keepdims=True), programs=np.asarray(states.programs),
        cycle=np.asarray(states.cycle)[:, 0],
        cell_type=np.asarray(states.cell_type), donor=np.asarray(states.donor), batch=np.asarray(states.batch))
