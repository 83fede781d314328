r"""How precisely the statistics of a data set are known: the precision W in the objective of `_moment_matching`.

Of Gaussian rows the covariance Omega of the statistics is that of simulations. Rows with heavier tails scatter more:
a jackknife over groups of rows (Quenouille 1956, Tukey 1958) says by how much, as a factor of Omega.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solve_triangular

from phasejax.diagnosis._posterior import MEAN, SD, Linearisation
from phasejax.diagnosis._programs import SAMPLES_PER_CALL, Programs, draw_white_noise
from phasejax.diagnosis._simulator import Design

# Share by which the correlations in Omega are shrunk towards zero.
SHRINKAGE = 0.05
# Simulated data sets whose jackknife that of the data is compared with.
SIMULATED_JACKKNIVES = 2
# Share of a direction's variance that must be left without a group of rows: far above rounding, which leaves 1e-13.
_STILL_VARIES = 1e-8


def precision_of_statistics(values: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "f f"]:
    r"""W = Omega^{-1} from m simulations of f statistics, where Omega also holds the noise of their mean.

    The inverse of a sample covariance is unbiased after division by (m - 1) / (m - f - 2) (Hartlap et al. 2007). Its
    noise still widens the posterior of p parameters by

    .. math::
        \frac{1 + B (f - p)}{1 + A + B (p + 1)}, \quad A = \frac{2}{(m - f - 1)(m - f - 4)}, \quad
        B = \frac{m - f - 2}{(m - f - 1)(m - f - 4)}

    in variance (Percival et al. 2014, eq. 18), and W is divided by that.
    """
    (m, f), p = values.shape, len(MEAN)
    sd = values.std(0, ddof=1) + 1e-6
    correlations = (1 - SHRINKAGE) * np.cov((values / sd).T) + SHRINKAGE * np.eye(f)
    a = 2 / (m - f - 1) / (m - f - 4)
    b = a * (m - f - 2) / 2
    widening = (1 + b * (f - p)) / (1 + a + b * (p + 1))
    return np.linalg.inv(correlations) / np.outer(sd, sd) * (m - f - 2) / (m - 1) / (1 + 1 / m) / widening


def usable_groups(joint: Float[np.ndarray, "s s"], without: Float[np.ndarray, "g s s"], design: Design
                  ) -> Bool[np.ndarray, "g"]:
    """Groups of rows without which every direction of either view still varies.

    Where all rows in which some direction varies, such as a column that is 0 in nearly all rows, lie in one group, the
    covariance without that group is singular, and what is computed from it is rounding.

    Args:
        joint: covariance of (x, y, labels).
        without: the same without each of g groups of rows.
        design: dimensions.
    """
    usable = np.ones(len(without), bool)
    for view in (slice(0, design.d_x), slice(design.d_x, design.d_x + design.d_y)):
        # Generalised eigenvalues do not depend on units and rotations of the view.
        root = np.linalg.cholesky(joint[view, view])
        for group in np.flatnonzero(usable):
            half = solve_triangular(root, without[group][view, view], lower=True)
            least = np.linalg.eigvalsh(solve_triangular(root, half.T, lower=True))[0]
            usable[group] = least > _STILL_VARIES
    return usable


def overdispersion(best: Linearisation, weight: Float[np.ndarray, "f f"], without: Float[np.ndarray, "g s s"],
                   design: Design, programs: Programs, seed: int, usable: Bool[np.ndarray, "g"] | None = None) -> float:
    r"""How much more the parameters scatter over the data's rows than over Gaussian ones, as a ratio of variances.

    With z_g the statistics without group g of the rows and P the posterior precision, the parameters move by
    P^{-1} J' W (z_g - z). The ratio of tr(P cov) over groups of data to that over groups of simulated rows is free of
    the bias that this jackknife has where n is near d, as both have it.

    Args:
        best: the statistics around the best model.
        weight: W, their precision for Gaussian rows.
        without: joint covariance of the data without each of g groups of rows.
        design: of the data.
        programs: compiled for the design.
        seed: of the simulated rows.
        usable: which of the groups count, see `usable_groups`; all when left out.

    Returns:
        The ratio; 1 where there are fewer than three groups, or it is not finite because a group leaves too few rows.
    """
    counted = without if usable is None else without[usable]
    if len(counted) < 3:
        return 1.0
    gain = best.jacobian.T @ weight
    covariance = np.linalg.inv(gain @ best.jacobian + np.diag(SD**-2.0))
    statistics = programs.observed.result()

    def movement(joints):
        with jax.enable_x64(True):
            steps = np.stack([np.asarray(statistics(joint)) for joint in joints]) @ gain.T
        steps -= steps.mean(0)
        return np.einsum("gi,ij,gj->", steps, covariance, steps) / (len(steps) - 1)

    simulated = []
    for number in range(SIMULATED_JACKKNIVES):
        joints = _group_covariances(best.u, design, len(without), programs, seed, number)
        simulated.append(movement((joints.sum(0) - joints) / (len(joints) - 1)))
    ratio = movement(counted) / np.mean(simulated)
    return float(ratio) if np.isfinite(ratio) else 1.0


def _group_covariances(u, design, groups, programs, seed, number):
    """Joint covariances of so many equal groups of simulated rows."""
    group = Design(design.d_x, design.d_y, design.q, design.k, n=max(1, design.n // groups),
                   labelled=max(1, design.labelled // groups))
    noise = jax.tree.map(np.asarray, draw_white_noise(programs, group, groups, seed, number))
    program = programs.covariances.result()
    parts = []
    with jax.enable_x64(True):
        for start in range(0, groups, SAMPLES_PER_CALL):
            samples = np.minimum(np.arange(start, start + SAMPLES_PER_CALL), groups - 1)
            parts.append(np.asarray(program(u, noise.sample(samples), group.labelled / group.n)))
    return np.concatenate(parts)[:groups]
