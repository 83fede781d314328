"""What the two modalities of a cell have in common, and the mean counts that follow from it.

Written for arrays of NumPy, from which counts are drawn without compiling anything, as well as for those of JAX, which
are differentiated.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from phasejax._core.pytree import HostOrDevice, pytree

if TYPE_CHECKING:
    from phasejax.instruments._cite_seq import CiteSeq


@pytree
class CellStates:
    """What is common to the two modalities of n cells, before any count is drawn.

    Args:
        cell_type, donor, batch: numbers of the classes, shape (n,).
        programs: shape (n, programs).
        cycle: position in the cell cycle as RNA and as proteins follow it, shape (n, 2), unit variance.
        depth: expected counts of each modality at the droplet's efficiency, shape (n, 2).
        weights: of each cell, smooth in the parameters.
    """

    cell_type: Int[HostOrDevice, "..."]
    donor: Int[HostOrDevice, "..."]
    batch: Int[HostOrDevice, "..."]
    programs: Float[HostOrDevice, "... programs"]
    cycle: Float[HostOrDevice, "... 2"]
    depth: Float[HostOrDevice, "... 2"]
    weights: Float[HostOrDevice, "..."]


def cell_states(experiment: "CiteSeq", uniform: Float[HostOrDevice, "n 2"], normal: Float[HostOrDevice, "n dims"],
                drawn: bool) -> CellStates:
    """What n cells are, from numbers without parameters.

    Args:
        experiment: whose cells.
        uniform: numbers in (0, 1) for the type and the donor.
        normal: standard normal numbers for the cycle in both views, the droplet's efficiency, the depths of both views
            and the programs, `normal_numbers` of them.
        drawn: whether donors are as frequent as they are for the type. Otherwise all are equally frequent, and weights
            make up for that, which unlike the donors are smooth in the parameters.
    """
    xp = _namespace(normal)
    fixed = experiment.fixed
    cell_type = xp.searchsorted(xp.cumsum(xp.asarray(experiment.proportions))[:-1], uniform[:, 0])
    log_odds = (experiment.donor_imbalance * xp.asarray(fixed.type_contrast)[:, None]
                * xp.asarray(fixed.donor_scores)[:, 0])
    shares = _softmax(log_odds)[cell_type]
    if drawn:
        donor = xp.sum(uniform[:, 1:] > xp.cumsum(shares, axis=1)[:, :-1], axis=1)
        weights = xp.ones_like(uniform[:, 0])
    else:
        donor = xp.clip((uniform[:, 1] * experiment.donors).astype(int), 0, experiment.donors - 1)
        weights = experiment.donors * xp.take_along_axis(shares, donor[:, None], axis=1)[:, 0]
    programs = xp.asarray(fixed.type_positions)[cell_type] + experiment.program_spread * normal[:, 5:]
    cycle = xp.stack([normal[:, 0], _correlated(experiment.cycle_common, normal[:, 0], normal[:, 1])], axis=1)
    spreads = xp.stack([xp.asarray(experiment.rna_depth_spread), xp.asarray(experiment.adt_depth_spread)])
    log_depth = experiment.efficiency_spread * normal[:, 2:3] + spreads * normal[:, 3:5]
    log_depth = log_depth - (experiment.efficiency_spread**2 + spreads**2) / 2  # the mean depth is as asked for
    depth = xp.stack([xp.asarray(experiment.rna_depth), xp.asarray(experiment.adt_depth)]) * xp.exp(log_depth)
    return CellStates(cell_type=cell_type, donor=donor, batch=donor % experiment.batches, programs=programs,
                      cycle=cycle, depth=depth, weights=weights)


def mean_counts(experiment: "CiteSeq", states: CellStates) -> tuple[Any, Any, Any, Any]:
    """Mean counts of each gene; of each protein without and with the protein on the cell; how likely it is on.

    Args:
        experiment: whose cells.
        states: of n cells, or of one cell without the leading axis.
    """
    xp = _namespace(states.depth)
    fixed = experiment.fixed
    u, w = (xp.asarray(fixed.donor_scores)[states.donor, place, None] for place in (0, 1))
    batch = xp.asarray(fixed.batch_scores)[states.batch, None]
    expression = experiment.expression_spread * xp.asarray(fixed.gene_levels)
    log_rna = (expression + experiment.rna_programs * states.programs @ fixed.gene_programs.T
               + experiment.rna_donor * u * fixed.gene_donor + experiment.rna_batch * batch * fixed.gene_batch
               + experiment.rna_cycle * states.cycle[..., :1] * fixed.gene_cycle)
    rna = (1 - experiment.rna_ambient) * _softmax(log_rna) + experiment.rna_ambient * _softmax(expression)
    shift = (experiment.adt_donor * _correlated(experiment.donor_common, u, w) * fixed.protein_donor
             + experiment.adt_batch * batch * fixed.protein_batch
             + experiment.adt_cycle * states.cycle[..., 1:] * fixed.protein_cycle)
    # Counts of a cell at the programs' origin add up to the depth.
    odds = experiment.positive_odds + xp.asarray(fixed.protein_odds)
    background = _softmax(experiment.background_spread * xp.asarray(fixed.protein_levels))
    levels = 1 + (experiment.foreground - 1) * _sigmoid(odds)
    background = background / xp.sum(background * levels)
    off = (1 - experiment.adt_ambient) * background * xp.exp(shift)
    ambient = experiment.adt_ambient * background * levels
    likely = _sigmoid(odds + experiment.adt_programs * states.programs @ fixed.protein_programs.T)
    rna_depth, adt_depth = states.depth[..., :1], states.depth[..., 1:]
    return rna * rna_depth, (off + ambient) * adt_depth, (experiment.foreground * off + ambient) * adt_depth, likely


def _namespace(array: HostOrDevice) -> Any:
    """NumPy, or JAX's own."""
    return np if isinstance(array, np.ndarray) else array.__array_namespace__()


def _softmax(values):
    xp = _namespace(values)
    powers = xp.exp(values - xp.max(values, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)


def _sigmoid(values):
    return (1 + _namespace(values).tanh(values / 2)) / 2


def _correlated(correlation, a, b):
    """A standard normal with the given correlation with a, made of a and of b, which are independent."""
    xp = _namespace(a)
    rest = 1 - xp.asarray(correlation) ** 2
    return correlation * a + xp.where(rest > 0, xp.sqrt(xp.where(rest > 0, rest, 1.0)), 0.0) * b
