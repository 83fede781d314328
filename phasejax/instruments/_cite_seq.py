r"""CITE-seq: RNA and surface proteins of the same cells, as counts whose expected views are differentiable.

A cell of type t has programs z (mean m_t, spread sigma within the type) that both modalities express. With shares p_g
of the genes in a mean cell, loadings a of the genes and b of the proteins, and the donor, the batch and the cell cycle
as nuisance,

.. math::
    \log \mu_g = \log(d_x \omega) + \log\left[(1 - \alpha_x)\,\mathrm{softmax}_g(\log p_g + A\, a_g \cdot z
        + \mathrm{nuisance}_g) + \alpha_x p_g\right]

is the mean of gene g at depth d_x and droplet efficiency omega, of which a share alpha_x is ambient. Protein p is on
the cell with log odds c_p + B b_p . z; its mean is then F times the background that all cells have. Counts are
negative binomial with variance mu + phi mu^2, proteins thus a mixture of two. The views are log(1 + 10^4 c / total) of
RNA and the centred log-ratio of proteins.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.pytree import pytree
from phasejax._core.validation import KeyLike, check_count, check_key, check_number, shown
from phasejax.instruments._cite_cells import SCALED_TO, CiteSeqCells, draw_cells
from phasejax.instruments._cite_panel import CitePanel, cite_panel
from phasejax.instruments._cite_states import CellStates, cell_states, mean_counts
from phasejax.instruments._count_moments import LogCountMoments, log_count_moments
from phasejax.instruments._instrument import (
    ExpectedViews,
    Instrument,
    InstrumentSample,
    Number,
    admissible,
    count,
    parameter,
)

_ROWS_AT_ONCE = 128  # bounds memory: each row takes a number for each column and each of 63 nodes


@pytree
class CiteSeq(Instrument):
    """A CITE-seq experiment: x is log-normalised RNA, y the centred log-ratio of surface proteins.

    Labels are the `cell_type` (classes); nuisances the donor, the batch and the cell cycle. The view y is given in as
    many orthonormal coordinates as the centred log-ratio has dimensions, one fewer than there are proteins
    (isometric log-ratio): no distance, variance or regime changes by that.

    Args:
        rna_depth, adt_depth: mean counts of a cell in each modality (ADT: antibody-derived tags, that is proteins).
        efficiency_spread: spread of the logarithm of a droplet's capture efficiency, which both modalities share.
        rna_depth_spread, adt_depth_spread: spread of the logarithm of what each modality has to itself.
        rna_overdispersion, adt_overdispersion: phi in the variance mu + phi mu^2 of a count.
        rna_ambient, adt_ambient: share of the counts that comes from the solution, not from the cell.
        expression_spread, background_spread: spread over genes of the logarithm of their expression, and over proteins
            of their background.
        foreground: mean counts of a protein that is on the cell, over the background that every cell has.
        positive_odds: mean over proteins of the log odds that a cell at the programs' origin carries them.
        rna_programs: log fold change of a gene by one unit of a program (root mean square over genes).
        adt_programs: the same for the log odds that a protein is on the cell.
        program_spread: spread of the programs within a type; between types it is 1.
        rna_donor, adt_donor: log fold change by donor (root mean square over genes or proteins, and over donors).
        donor_common: correlation over donors between their effects on RNA and on proteins.
        donor_imbalance: log odds by which donors differ in their composition; 0 when all have the same types.
        rna_batch, adt_batch: log fold change by batch; donors d, d + batches, ... share one.
        rna_cycle, adt_cycle: log fold change by a continuous nuisance such as the cell cycle.
        cycle_common: correlation of that nuisance between the modalities.
        genes, proteins: columns of the views before log-ratios.
        programs: shared programs, at most as many as genes and proteins.
        donors, batches: how many of them there are.
        panel: number of the panel of genes and proteins (`CitePanel`).
        proportions: of the cell types, one number for each; they sum to 1.

    Raises:
        ValueError: a parameter out of its range, proportions that do not sum to 1, more programs than genes or
            proteins, more batches than donors.

    Source: the model of the counts follows Zappia et al., Genome Biology 2017 (Splatter), that of the proteins
    Gayoso et al., Nature Methods 2021 (totalVI); log-ratios Egozcue et al., Mathematical Geology 2003.

    >>> from phasejax.instruments import observe
    >>> observe(0, CiteSeq(adt_depth=500.0, proteins=10), n=4).y.shape
    (4, 9)
    """

    rna_depth: Number = parameter(3000.0, "counts", 1.0, 1e6)
    adt_depth: Number = parameter(1500.0, "counts", 1.0, 1e6)
    efficiency_spread: Number = parameter(0.2, "1", 0.0, 2.0)
    rna_depth_spread: Number = parameter(0.2, "1", 0.0, 2.0)
    adt_depth_spread: Number = parameter(0.3, "1", 0.0, 2.0)
    rna_overdispersion: Number = parameter(0.3, "1", 1e-3, 10.0)
    adt_overdispersion: Number = parameter(0.1, "1", 1e-3, 10.0)
    rna_ambient: Number = parameter(0.05, "1", 0.0, 0.99)
    adt_ambient: Number = parameter(0.05, "1", 0.0, 0.99)
    expression_spread: Number = parameter(1.0, "1", 0.0, 5.0)
    background_spread: Number = parameter(0.8, "1", 0.0, 5.0)
    foreground: Number = parameter(15.0, "1", 1.0, 1e3)
    positive_odds: Number = parameter(-0.5, "1", -10.0, 10.0)
    rna_programs: Number = parameter(0.6, "1", 0.0, 5.0)
    adt_programs: Number = parameter(4.0, "1", 0.0, 50.0)
    program_spread: Number = parameter(0.3, "1", 0.0, 5.0)
    rna_donor: Number = parameter(0.1, "1", 0.0, 3.0)
    adt_donor: Number = parameter(0.1, "1", 0.0, 3.0)
    donor_common: Number = parameter(0.5, "1", 0.0, 1.0)
    donor_imbalance: Number = parameter(0.2, "1", 0.0, 5.0)
    rna_batch: Number = parameter(0.05, "1", 0.0, 3.0)
    adt_batch: Number = parameter(0.05, "1", 0.0, 3.0)
    rna_cycle: Number = parameter(0.1, "1", 0.0, 3.0)
    adt_cycle: Number = parameter(0.1, "1", 0.0, 3.0)
    cycle_common: Number = parameter(0.3, "1", 0.0, 1.0)
    genes: int = count(40, 2, 500)
    proteins: int = count(20, 3, 500)
    programs: int = count(3, 1, 50)
    donors: int = count(6, 1, 200)
    batches: int = count(2, 1, 200)
    panel: int = count(0, 0, 2**31)
    proportions: tuple[float, ...] = dataclasses.field(default=(0.35, 0.3, 0.2, 0.15), metadata={"static": True})

    def __post_init__(self):
        object.__setattr__(self, "proportions", _checked_proportions(self.proportions))
        for field in dataclasses.fields(self):
            if field.name != "proportions":
                object.__setattr__(self, field.name, admissible(field, getattr(self, field.name)))
        for name, most in (("genes", self.genes), ("proteins", self.proteins)):
            if self.programs > most:
                raise ValueError(f"programs: expected at most {most} as there are {name}, got {self.programs}")
        if self.batches > self.donors:
            raise ValueError(f"batches: expected at most {self.donors} as there are donors, got {self.batches}")

    @property
    def types(self) -> int:
        """Number of cell types."""
        return len(self.proportions)

    @property
    def fixed(self) -> CitePanel:
        """The panel: loadings of genes and proteins, positions of types, contrasts between donors and batches."""
        return cite_panel(self.genes, self.proteins, self.programs, self.donors, self.batches, self.proportions,
                          self.panel)

    @property
    def label_classes(self) -> Mapping[str, int]:
        """The cell type, with its number of classes."""
        return {"cell_type": self.types}

    @property
    def default_k(self) -> int:
        """As many directions as it takes to tell the types apart."""
        return self.types - 1

    @property
    def default_labels(self) -> tuple[str, ...]:
        """The cell type."""
        return ("cell_type",)

    @property
    def normal_numbers(self) -> int:
        """How many standard normal numbers make a cell: cycle and depth of each view, efficiency and programs."""
        return self.programs + 5

    def log_counts(self, state: CellStates) -> tuple[LogCountMoments, Float[Array, ""], Float[Array, "proteins"],
                                                     Float[Array, "proteins"]]:
        """Moments of the logarithms of one cell's counts.

        Args:
            state: of one cell, without the leading axis.

        Returns:
            Those of log(1 + 10^4 c / E total) of RNA, where c is in units of E total, and the squared coefficient of
            variation of the total; mean and variance of log(1 + c) of proteins.
        """
        rna, off, on, likely = mean_counts(self, state)
        total = jnp.sum(rna)
        x = log_count_moments(rna[None], jnp.ones_like(rna)[None], self.rna_overdispersion, SCALED_TO / total)
        y = log_count_moments(jnp.stack([off, on]), jnp.stack([1 - likely, likely]), self.adt_overdispersion)
        spread = jnp.sum(rna + self.rna_overdispersion * rna**2) / total**2
        return LogCountMoments(x.mean, x.variance, x.with_count / total, x.slope), spread, y.mean, y.variance

    def expected_views(self, key: Array, n: int) -> ExpectedViews:
        """Draw n cells, and the exact moments of the logarithms of their counts.

        Moments of the proteins' log-ratios are exact. Those of RNA are exact for a given total; that the total
        varies with the counts is taken to first order.
        """
        points = _even_points(key, n, 2 + self.normal_numbers)
        states = cell_states(self, points[:, :2], jax.scipy.special.ndtri(points[:, 2:]), drawn=False)
        ratios = jnp.asarray(self.fixed.log_ratios)
        x, spread, mean_y, variance_y = jax.lax.map(jax.checkpoint(self.log_counts), states, batch_size=_ROWS_AT_ONCE)
        spread = spread[:, None]
        weights = jnp.asarray(states.weights)
        weights = weights / jnp.sum(weights)
        across = (x.slope * weights[:, None]).T @ (x.with_count - spread * x.slope / 2)
        return ExpectedViews(
            x=x.mean, y=mean_y @ ratios,
            variance_x=x.variance - 2 * x.slope * x.with_count + spread * x.slope**2, variance_y=variance_y @ ratios**2,
            labels={"cell_type": jnp.asarray(states.cell_type)},
            nuisances={"donor": jnp.asarray(states.donor), "batch": jnp.asarray(states.batch),
                       "cycle": jnp.asarray(states.cycle)[:, 0]},
            weights=weights, noise_x=jnp.diag(weights @ x.variance) - across - across.T,
            noise_y=ratios.T @ ((weights @ variance_y)[:, None] * ratios))

    def observed(self, key: Array, n: int) -> InstrumentSample:
        """Count n cells and make the views of the counts."""
        cells = draw_cells(key, n, self)
        return InstrumentSample(x=jnp.asarray(cells.x), y=jnp.asarray(cells.y @ self.fixed.log_ratios),
                                labels={"cell_type": jnp.asarray(cells.cell_type)},
                                nuisances={"donor": jnp.asarray(cells.donor), "batch": jnp.asarray(cells.batch),
                                           "cycle": jnp.asarray(cells.cycle)})


@checked
def simulate_cells(key: KeyLike, n: int, experiment: CiteSeq) -> CiteSeqCells:
    """Count RNA and surface proteins of n cells.

    Args:
        key: random key or a seed.
        n: number of cells, >= 1.
        experiment: whose counts.

    Returns:
        Counts, views and labels, as NumPy arrays. A cell without any RNA has x = 0.

    Raises:
        ValueError: n < 1.

    >>> cells = simulate_cells(0, 500, CiteSeq(genes=30, proteins=12))
    >>> cells.rna.shape, cells.protein.shape, len(set(cells.cell_type.tolist()))
    ((500, 30), (500, 12), 4)
    """
    key = check_key("key", key)
    check_memory("n", 64 * (experiment.genes + experiment.proteins) * check_count("n", n))
    return draw_cells(key, n, experiment)


def _even_points(key, n, dims):
    """Points that fill the unit cube evenly, shifted at random.

    Multiples of the powers of the generalised golden ratio, modulo 1 (Roberts, 2018). Covariances of 4096 such cells
    scatter by less than half of what independent ones do.
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dims + 1))
    steps = jnp.arange(1, n + 1)[:, None] * np.power(ratio, -np.arange(1.0, dims + 1)) % 1
    least = jnp.finfo(steps.dtype).eps
    return jnp.clip((steps + jax.random.uniform(key, (dims,))) % 1, least, 1 - least)


def _checked_proportions(value: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(check_number("proportions", one, above=0) for one in value)
    except (TypeError, ValueError):
        raise ValueError(f"proportions: expected positive numbers that sum to 1, got {shown(value)}") from None
    if len(numbers) < 2 or abs(sum(numbers) - 1) > 1e-6:
        raise ValueError("proportions: expected at least 2 positive numbers that sum to 1, "
                         f"got {shown(value)} with sum {sum(numbers):g}")
    return numbers
