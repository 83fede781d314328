"""Genes, proteins and cell types of a simulated CITE-seq experiment: what no upgrade of the instrument changes."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class CitePanel(NamedTuple):
    """Fixed numbers of an experiment; loadings have a mean square of 1 over genes or proteins.

    Args:
        gene_levels: how much of each gene there is, on a logarithmic scale of mean 0 and unit variance.
        gene_programs: loadings of each gene's log expression on the programs.
        gene_donor, gene_batch, gene_cycle: loadings on the nuisances.
        protein_levels: the same for the background of each protein.
        protein_odds: the same for the log odds that a cell at the programs' origin carries the protein.
        protein_programs: loadings of these log odds on the programs.
        protein_donor, protein_batch, protein_cycle: loadings of the log counts on the nuisances.
        type_positions: mean of the programs in each cell type; over all cells they have mean 0, and as far as there
            are types enough unit variance and no correlation.
        type_contrast: a contrast between the types, with mean 0 and unit variance over the cells.
        donor_scores: two contrasts between donors, uncorrelated, with mean 0 and unit variance.
        batch_scores: the contrast between the batches.
        log_ratios: orthonormal basis of what is left of the log counts once their mean over proteins is taken away.
    """

    gene_levels: Float[np.ndarray, "genes"]
    gene_programs: Float[np.ndarray, "genes programs"]
    gene_donor: Float[np.ndarray, "genes"]
    gene_batch: Float[np.ndarray, "genes"]
    gene_cycle: Float[np.ndarray, "genes"]
    protein_levels: Float[np.ndarray, "proteins"]
    protein_odds: Float[np.ndarray, "proteins"]
    protein_programs: Float[np.ndarray, "proteins programs"]
    protein_donor: Float[np.ndarray, "proteins"]
    protein_batch: Float[np.ndarray, "proteins"]
    protein_cycle: Float[np.ndarray, "proteins"]
    type_positions: Float[np.ndarray, "types programs"]
    type_contrast: Float[np.ndarray, "types"]
    donor_scores: Float[np.ndarray, "donors 2"]
    batch_scores: Float[np.ndarray, "batches"]
    log_ratios: Float[np.ndarray, "proteins ratios"]


@lru_cache(maxsize=64)
def cite_panel(genes: int, proteins: int, programs: int, donors: int, batches: int, proportions: tuple[float, ...],
               panel: int) -> CitePanel:
    """The panel of a number, the same for the same arguments."""
    rng = np.random.default_rng(panel)
    rna = {f"gene_{name}": _loadings(rng, genes) for name in ("donor", "batch", "cycle")}
    adt = {f"protein_{name}": _loadings(rng, proteins) for name in ("donor", "batch", "cycle")}
    positions = _positions(rng, np.array(proportions))
    type_positions = np.zeros((len(proportions), programs))
    type_positions[:, :len(proportions) - 1] = positions[:, :programs]
    return CitePanel(gene_levels=_levels(rng, genes), gene_programs=_loadings(rng, genes, programs),
                     protein_levels=_levels(rng, proteins), protein_odds=_levels(rng, proteins),
                     protein_programs=_loadings(rng, proteins, programs), type_positions=type_positions,
                     type_contrast=positions[:, 0],
                     donor_scores=np.stack([_contrast(donors, 1), _contrast(donors, 2)], axis=1),
                     batch_scores=_contrast(batches, 1), log_ratios=_helmert(proteins), **rna, **adt)


def _loadings(rng, *shape):
    values = rng.standard_normal(shape)
    return values / np.sqrt(np.mean(values**2, axis=0))


def _levels(rng, count):
    values = rng.standard_normal(count)
    return (values - values.mean()) / values.std()


def _contrast(count, frequency):
    """A cosine: such contrasts of different frequencies are uncorrelated. There is none among one."""
    return np.sqrt(2) * np.cos(np.pi * frequency * (np.arange(count) + 0.5) / count) * (count > frequency)


def _positions(rng, proportions):
    """Uncorrelated contrasts of unit variance between types of unequal sizes, one fewer than there are types."""
    roots = np.sqrt(proportions)
    basis = np.linalg.qr(np.column_stack([roots, rng.standard_normal((len(roots), len(roots) - 1))]))[0][:, 1:]
    return basis / roots[:, None]


def _helmert(count):
    rows = np.arange(1, count)
    basis = np.triu(np.ones((count, count - 1)))
    basis[rows, rows - 1] = -rows
    return basis / np.sqrt(rows * (rows + 1))
