r"""The model whose simulated statistics are those of the data: the method of simulated moments.

With z the statistics of the data (`_simulator`), zbar(u) their simulated mean and W the inverse of their simulated
covariance, the parameters u minimise

.. math::
    Q(u) = (z - \bar z(u))^\top W (z - \bar z(u)) + \sum_i (u_i - m_i)^2 / s_i^2

with the wide Gaussian prior N(m, s^2) of `_simulator.PRIOR` (the search is in `_search`). Near the minimum the
posterior is Gaussian with precision J' W J + diag(1/s^2), where J is the Jacobian of zbar; it is put together from
several such expansions (`_posterior`). Four families of models compete: signals of one strength or decaying, nuisance
correlated in all coordinates or in some. Each counts with its evidence, so that homogeneous data are not read as
slightly heterogeneous, nor the other way round.

The posterior is widened for all that this does not see:

- Rows with heavier tails than Gaussian ones scatter more: the covariance of the statistics is multiplied by the
  overdispersion that a jackknife finds (`_precision`).
- Where no model describes the data, it is multiplied by the reduced chi-squared of the best one (the Birge ratio).
- Gaussian pieces are too narrow where rows are few: their variances are multiplied by 1 + 1.25 ((d_x + d_y) / n)^2,
  a factor that was chosen on the models of `benchmarks/diagnosis.py` with other seeds than the benchmark's.
- No ratio is taken to be known to better than 1 %, since real nuisance has no smooth edge as the model's has.

Nuisance has one variance in each view. Of 19 real pairs (digits, photograph patches, tables of scikit-learn) none is
described so: the reduced chi-squared is 5.6 to 9700, 24 in the median. With a power law of the nuisance variances in
each view, two parameters more, it is 2.2 to 370, 12 in the median, and only one pair, of 178 rows, is within the limit
of 3, since canonical spectra and the labels' share of them decay too. Parameters that do not make the model true only
make its answer slower and less sure, so there are none: what real data have at their number of rows is the label
content (`_content`), which assumes no spectrum.

Source: McFadden 1989 and Gourieroux, Monfort and Renault 1993 for the method; Birge 1932 for the ratio.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float
from scipy.special import chdtrc

from phasejax._core.devices import cores
from phasejax.diagnosis._posterior import LaplaceApproximation, mixture
from phasejax.diagnosis._precision import overdispersion, usable_groups
from phasejax.diagnosis._programs import DRAWS_PER_CALL, compile_programs
from phasejax.diagnosis._search import MANY_SAMPLES, Search, number_of_few_samples
from phasejax.diagnosis._simulator import Design

# Coefficient of ((d_x + d_y) / n)^2 in the factor of all variances.
FEW_ROWS = 1.25
# Standard deviation of a log ratio that no number of rows removes.
MODEL_ERROR = 0.01
# Decimals of the statistics, which are logarithms and shares. Rounding errors of other units than those of the data
# would send the search along other steps, to an end that differs by its tolerance; rounded, they are the same.
DECIMALS = 7
# Level of each test of whether another label direction is predicted beyond chance.
DIRECTION_LEVEL = 0.01


@dataclass(frozen=True)
class Posterior:
    """What the data say about the parameters.

    Args:
        draws: parameters in the order of `_simulator.PRIOR`, shape (m, 8).
        log_ratios: of Delta_CA, Delta_CP and Delta_CP y->x at each draw, shape (m, 3), with the model's error.
        reduced_chi2: Q's first term at the best model over its degrees of freedom; near 1 when a spiked
            model describes the data.
        overdispersion: variance of the parameters over rows, as a multiple of that of Gaussian rows; 1 when not known.
        families: probability of each family, in the order of `_posterior.FAMILIES`: free, equal signals, all
            nuisance correlated, both.
        singular_groups: number of groups of rows without which some direction of a view does not vary any more, so
            that `overdispersion` leaves them out.
    """

    draws: Float[np.ndarray, "m p"]
    log_ratios: Float[np.ndarray, "m 3"]
    reduced_chi2: float
    overdispersion: float
    families: Float[np.ndarray, "4"]
    singular_groups: int = 0


def match_moments(joint: Float[np.ndarray, "s s"], design: Design, *,
                  without: Float[np.ndarray, "g s s"] | None = None, draws: int = 4000, seed: int = 0) -> Posterior:
    """The posterior of the spiked models given a joint sample covariance of (x, y, labels).

    Args:
        joint: divisor `design.n`, positive definite; its block of (x, y) is that of all rows where some have no labels.
        design: dimensions, signals and degrees of freedom.
        without: the same covariance without each of g random groups of rows, which shows how much
            these rows scatter; they are taken for Gaussian when left out.
        draws: of the posterior.
        seed: of everything random.

    Raises:
        ValueError: a singular covariance.
    """
    programs = compile_programs(design, MANY_SAMPLES + number_of_few_samples(design))
    with jax.enable_x64(True):
        target = np.round(np.asarray(programs.observed.result()(joint)), DECIMALS)
    if not np.isfinite(target).all():
        raise ValueError("x, y, labels: expected linearly independent columns in each, got a singular covariance")
    rng = np.random.default_rng(seed)
    with ThreadPoolExecutor(cores()) as pool:
        search = Search(target, design, programs, pool, seed)
        best, weight = search.nearby(search.from_afar(rng))
        usable = None if without is None else usable_groups(joint, without, design)
        dispersion = 1.0 if without is None else round(
            overdispersion(best, weight, without, design, programs, seed, usable), DECIMALS)
        weight = weight / max(dispersion, 1.0)
        # Never below 1: a model is not known better because it fits better than chance.
        reduced_chi2 = LaplaceApproximation(best, target, weight).reduced_chi2
        weight = weight / max(reduced_chi2, 1.0)
        parts = search.parts(best, weight)
    sample, families = mixture(parts, draws, rng, 1 + FEW_ROWS * ((design.d_x + design.d_y) / design.n) ** 2)
    ratios = _log_ratios(programs.log_ratios.result(), sample)
    ratios = ratios + MODEL_ERROR * rng.standard_normal(ratios.shape)
    return Posterior(sample, ratios, reduced_chi2, dispersion, families, 0 if usable is None else int((~usable).sum()))


def _log_ratios(program, sample):
    padded = np.resize(sample, (-(-len(sample) // DRAWS_PER_CALL) * DRAWS_PER_CALL, sample.shape[1]))
    with jax.enable_x64(True):
        return np.concatenate([np.asarray(program(padded[start:start + DRAWS_PER_CALL]))
                               for start in range(0, len(padded), DRAWS_PER_CALL)])[:len(sample)]


def label_directions(joint: Float[np.ndarray, "s s"], d_x: int, d_y: int, q: int, m: int) -> int:
    """How many label directions a view predicts beyond chance, at least 1: the larger count of the two views.

    Bartlett's sequential test of the canonical correlations between labels and a view at level 0.01.

    Args:
        joint: covariance of (x, y, labels); the labels' block is the identity.
        d_x, d_y, q: columns of each.
        m: labelled rows.

    Source: Bartlett 1938; Mardia, Kent and Bibby, Multivariate Analysis, 10.2.
    """
    counts, t = [1], slice(d_x + d_y, d_x + d_y + q)
    for view, d in ((slice(0, d_x), d_x), (slice(d_x, d_x + d_y), d_y)):
        explained = joint[t, view] @ np.linalg.solve(joint[view, view], joint[view, t])
        squares = np.clip(np.linalg.eigvalsh(explained)[::-1][:min(d, q)], 0, 1 - 1e-12)
        factor = m - 1 - (d + q + 1) / 2
        if factor <= 0:
            continue
        tails = -factor * np.cumsum(np.log1p(-squares)[::-1])[::-1]
        freedom = (d - np.arange(len(squares))) * (q - np.arange(len(squares)))
        passed = chdtrc(freedom, tails) < DIRECTION_LEVEL  # the upper tail of chi-squared
        counts.append(int(np.argmin(np.append(passed, False))))
    return max(counts)
