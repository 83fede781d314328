r"""Statistics of paired, labelled data that carry its regime, and their simulation under a spiked model.

The statistics are functions of the joint sample covariance of (x, y, labels) that no change of units and no rotation
of either view alters: moments of the spectra of C and of A in both directions, and of the same spectra as the labels
see them. As estimates of the population's values they are biased, all the more where n is not far above d. That does
no harm, since they are never read as estimates: moment matching (`_moment_matching`) looks for the model under which
their simulated values are those of the data, and the bias is then the same on both sides.

A sample of the model is simulated through the Bartlett factor of the white joint covariance (`bartlett_factor`): no
rows are drawn, and with the factor held fixed each statistic is a smooth function of the parameters.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import HostOrDevice
from phasejax.simulation._sampling import coloured_rows
from phasejax.theory import SpikedModel, delta_ca, delta_cp, delta_cp_reverse

# Mean and standard deviation of the Gaussian prior of each free parameter. Wide: three standard deviations of
# log gamma span four orders of magnitude.
PRIOR = {
    "log_gamma_x": (-0.7, 1.5),    # noise over the leading signal's variance
    "log_gamma_y": (-0.7, 1.5),
    "logit_nu": (0.0, 1.5),        # correlation of the correlated nuisance
    "log_nuisance_x": (0.0, 1.5),  # nuisance variance over the leading signal's
    "log_nuisance_y": (0.0, 1.5),
    "logit_label": (1.0, 2.0),     # share of the label directions that the signals explain
    "decay": (0.0, 0.25),          # kappa_i = kappa (1 - decay)^i
    "uncorrelated": (0.0, 0.6),    # share of the nuisance coordinates without correlation
}
# Range of the two parameters that are 0 in a homogeneous model.
BOUNDS = {"decay": (0.0, 0.7), "uncorrelated": (0.0, 0.95)}
# Width of the smooth edge between correlated and uncorrelated coordinates, as a share of all coordinates. A sharp
# edge would give the simulated statistics no derivative by the uncorrelated share.
EDGE = 0.03
LABEL, UNCORRELATED = (list(PRIOR).index(name) for name in ("logit_label", "uncorrelated"))


@dataclass(frozen=True)
class Design:
    """Everything about a data set that its simulation copies.

    Args:
        d_x, d_y: columns of the views.
        q: label columns, linearly independent.
        k: signals.
        n: rows minus one, the degrees of freedom of the covariances.
        labelled: the same for the rows that have labels, at most n.
    """

    d_x: int
    d_y: int
    q: int
    k: int
    n: int
    labelled: int

    @property
    def directions(self) -> int:
        """Number of label directions that can carry signal."""
        return min(self.q, self.k)

    @property
    def size(self) -> int:
        """Number of columns of (x, y, labels)."""
        return self.d_x + self.d_y + self.q


def model_of_parameters(u: Float[Array, "p"], design: Design) -> SpikedModel:
    """The spiked model at the unconstrained parameters `u` (order of `PRIOR`), with kappa_1 = 1 and equal units.

    Nuisance coordinates are correlated with the same nu up to the share `uncorrelated`, from where on their correlation
    falls to 0 within about `EDGE`.
    """
    gamma_x, gamma_y, nu, nuisance_x, nuisance_y, _, decay, uncorrelated = u
    paired = min(design.d_x, design.d_y) - design.k
    place = (jnp.arange(paired) + 0.5) / max(paired, 1)
    # Divided by its own value at a share of 0, so that there all coordinates have exactly nu.
    profile = (jax.nn.sigmoid((1 + 3 * EDGE - uncorrelated - place) / EDGE)
               / jax.nn.sigmoid((1 + 3 * EDGE - place) / EDGE))
    return SpikedModel.create(
        (1 - decay) ** jnp.arange(design.k), jax.nn.sigmoid(nu) * profile, d=design.d_x, d_y=design.d_y,
        gamma_x=jnp.exp(gamma_x), gamma_y=jnp.exp(gamma_y),
        nuisance_x=jnp.exp(nuisance_x), nuisance_y=jnp.exp(nuisance_y))


def log_ratios(u: Float[Array, "p"], design: Design) -> Float[Array, "3"]:
    """log Delta_CA, log Delta_CP and log Delta_CP y->x (K26, Proposition 3.1) of the model at `u`.

    The ratios only depend on the largest nuisance correlation. The parameter nu is that of the coordinates that have
    one, but the smooth edge of the simulated model takes something from it: less than 1 % where there are ten
    nuisance coordinates or more and at most 0.9 of them are uncorrelated, and nearly all of it where of very few
    none is left. So the ratios are those of the model without uncorrelated coordinates, in which all have nu.
    """
    model = model_of_parameters(u.at[UNCORRELATED].set(0.0), design)
    return jnp.log(jnp.stack([delta_ca(model), delta_cp(model), delta_cp_reverse(model)]))


def observed_statistics(joint: Float[HostOrDevice, "s s"], design: Design) -> Float[Array, "f"]:
    """The statistics of a joint sample covariance of (x, y, labels).

    They are not finite where the covariance of a view or of the labels is singular.
    """
    x, y = slice(0, design.d_x), slice(design.d_x, design.d_x + design.d_y)
    t = slice(design.d_x + design.d_y, design.size)
    joint = jnp.asarray(joint)
    root_x, root_t = jnp.linalg.cholesky(joint[x, x]), jnp.linalg.cholesky(joint[t, t])
    b = _solved(root_x, joint[x, y])
    t_x = _solved(root_t, joint[t, x])
    return _statistics(joint[x, x], joint[y, y], root_x, b, _solved(root_x, t_x.T), t_x,
                       _solved(root_t, joint[t, y]), design)


def pooled(labelled: Float[HostOrDevice, "s s"], views: Float[HostOrDevice, "d d"],
           share: Float[ArrayLike, ""]) -> Float[Array, "s s"]:
    """The joint covariance of the labelled rows with its block of (x, y) averaged over all rows.

    Args:
        labelled: covariance of (x, y, labels) of the labelled rows.
        views: covariance of (x, y) of the others.
        share: of the labelled rows among all.
    """
    d = views.shape[0]
    labelled = jnp.asarray(labelled)
    return labelled.at[:d, :d].set(share * labelled[:d, :d] + (1 - share) * views)


def simulated_statistics(u: Float[Array, "p"], factor: Float[Array, "s s"], rest: Float[Array, "d d"] | None,
                         design: Design) -> Float[Array, "f"]:
    """The statistics of one sample of the model at `u`, from the Bartlett factors of white noise.

    Label directions load on the signals in equal parts.

    Args:
        u: parameters in the order of `PRIOR`.
        factor: of (x, y, labels), the labelled rows.
        rest: of (x, y), the rows without labels; None where there are none.
        design: dimensions and degrees of freedom.
    """
    if rest is not None:
        return observed_statistics(joint_covariance(u, factor, rest, design.labelled / design.n, design), design)
    rows_x, rows_y, rows_t = _sample_rows(u, factor, design)
    d_x, d = design.d_x, design.d_x + design.d_y
    # The factor of x is lower triangular, so whitening x leaves the first d_x columns of y's rows as they are.
    rows_t = _solved(jnp.linalg.cholesky(rows_t @ rows_t.T), rows_t)
    return _statistics(rows_x @ rows_x.T, rows_y @ rows_y.T, rows_x, rows_y[:, :d_x].T, rows_t[:, :d_x].T,
                       rows_t[:, :d_x] @ rows_x.T, rows_t[:, :d] @ rows_y.T, design)


def joint_covariance(u: Float[Array, "p"], factor: Float[Array, "s s"], rest: Float[Array, "d d"] | None,
                     share: Float[ArrayLike, ""], design: Design) -> Float[Array, "s s"]:
    """The covariance of (x, y, labels) of one sample of the model at `u`.

    Args:
        u, factor, rest, design: as in `simulated_statistics`.
        share: of the labelled rows among all.
    """
    rows = _sample_rows(u, factor, design)
    stacked = jnp.concatenate([jnp.pad(part, ((0, 0), (0, design.size - part.shape[1]))) for part in rows])
    labelled = stacked @ stacked.T
    if rest is None:
        return labelled
    rows_x, rows_y, _ = coloured_rows(rest, model_of_parameters(u, design))
    views = jnp.concatenate([jnp.pad(rows_x, ((0, 0), (0, design.d_y))), rows_y])
    return pooled(labelled, views @ views.T, share)


def _sample_rows(u, factor, design):
    """Rows R_x, R_y and R_t of a sample, whose products are its covariances; each without columns that are all 0."""
    model, d = model_of_parameters(u, design), design.d_x + design.d_y
    rows_x, rows_y, _ = coloured_rows(factor[:d, :d], model)
    return rows_x, rows_y, _label_rows(jax.nn.sigmoid(u[LABEL]), model, rows_x, rows_y, factor, design)


def _label_rows(share, model, rows_x, rows_y, factor, design):
    r"""Rows of the labels, sqrt(share) times loadings on s / kappa plus noise, and of label columns that carry nothing.

    A signal given its two coordinates is Gaussian,

    .. math::
        E[s | x, y] = v (x / \gamma_x + y / \gamma_y), \quad
        v = 1 / (1 / \kappa^2 + 1 / \gamma_x + 1 / \gamma_y)

    so the labels are a combination of rows of x and y and of noise that is independent of both.
    """
    k, used = design.k, design.directions
    kappa, gamma_x, gamma_y = (jnp.asarray(part) for part in (model.kappa, model.gamma_x, model.gamma_y))
    # v / gamma_x, v / gamma_y and v without a division by a noise variance that may be next to nothing.
    over_x, over_y = gamma_y * kappa, gamma_x * kappa
    scale = gamma_x * gamma_y + kappa**2 * (gamma_x + gamma_y)
    unexplained = gamma_x * gamma_y / scale
    expected = ((over_y / scale)[:, None] * rows_y[:k]).at[:, :design.d_x].add((over_x / scale)[:, None] * rows_x[:k])
    shares = jnp.concatenate([jnp.full(used, 1.0) * share, jnp.zeros(design.q - used)])
    loaded = jnp.zeros((design.q, k)).at[:used].set(_loadings(used, k)) * jnp.sqrt(shares)[:, None]
    noise = jnp.linalg.cholesky((loaded * unexplained) @ loaded.T + jnp.diag(1 - shares) + 1e-9 * jnp.eye(design.q))
    d = design.d_x + design.d_y
    return (noise @ factor[d:]).at[:, :d].add(loaded @ expected)


def _loadings(used, k):
    """Orthonormal rows that load on all signals alike in sum: a rotation of fixed, arbitrary choice."""
    if used == 1:
        return jnp.full((1, k), k**-0.5)
    mixed = np.random.default_rng(0).standard_normal((k, k))
    return jnp.asarray(np.linalg.qr(mixed)[0][:used])


def _statistics(xx, yy, root_x, b, t_x, s_tx, s_ty, design):
    """The statistics from S_xx, S_yy, the Cholesky factor of S_xx, B, whitened labels on whitened x, S_tx and S_ty."""
    used, p = design.directions, min(design.d_x, design.d_y)
    root_y = jnp.linalg.cholesky(yy)
    c = _solved(root_y, b.T).T
    reverse = c.T @ root_x.T
    t_y = _solved(root_y, s_ty.T)
    scale_x, scale_y = jnp.trace(xx) / design.d_x, jnp.trace(yy) / design.d_y
    if design.q > used:  # keep the label directions that the views explain best
        kept = jnp.linalg.eigh(t_x.T @ t_x + t_y.T @ t_y)[1][:, ::-1][:, :used]
        t_x, t_y, s_tx, s_ty = t_x @ kept, t_y @ kept, kept.T @ s_tx, kept.T @ s_ty
    by_x, by_y = t_x.T @ t_x, t_y.T @ t_y
    return jnp.stack([
        _log(jnp.sum(xx**2) / design.d_x / scale_x**2), _log(jnp.sum(yy**2) / design.d_y / scale_y**2),
        *_spectral_moments(c, 1.0, p), *_spectral_moments(b, scale_y, p), *_spectral_moments(reverse, scale_x, p),
        _log(jnp.trace(by_x) / used), _log(jnp.trace(by_y) / used), jnp.trace(t_x.T @ c @ t_y) / used,
        *_label_moments(t_x, c, by_x, 1.0), *_label_moments(t_y, c.T, by_y, 1.0),
        *_label_moments(t_x, b, by_x, scale_y), *_label_moments(t_y, reverse, by_y, scale_x),
        _log(jnp.sum(s_ty**2) / jnp.trace(by_y) / scale_y), _log(jnp.sum(s_tx**2) / jnp.trace(by_x) / scale_x)])


def _spectral_moments(matrix, scale, p):
    """Logarithms of the first moment of the squared singular values, and of the ratios up to the fourth."""
    gram = (matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix) / scale
    square = gram @ gram
    first, second = jnp.trace(gram) / p, jnp.trace(square) / p
    third, fourth = jnp.sum(gram * square) / p, jnp.sum(square * square) / p
    return [_log(first), _log(second / first), _log(third / second), _log(fourth / third)]


def _label_moments(t, matrix, explained, scale):
    """The first two moments in the measure of the label directions, and the least value among those directions."""
    once = matrix.T @ t
    twice = matrix @ once
    first = once.T @ once / scale
    found = [_log(jnp.trace(first) / jnp.trace(explained)), _log(jnp.sum(twice**2) / scale**2 / jnp.trace(first))]
    if t.shape[1] > 1:
        root = jnp.linalg.cholesky(explained)
        found.append(_log(jnp.linalg.eigvalsh(_solved(root, _solved(root, first).T))[0]))
    return found


def _solved(lower, right):
    return jax.scipy.linalg.solve_triangular(lower, right, lower=True)


def _log(value):
    return jnp.log(jnp.maximum(value, 1e-12))
