r"""Statistics of paired, labelled data that carry its regime, and their simulation under a family of spiked models.

The statistics are functions of the joint sample covariance of (x, y, labels) that no change of
units and no rotation of either view alters: moments of the spectra of C and of A in both
directions, and of the same spectra as the labels see them. As estimates they are biased, all the more
where n is not far above d. They are not used as estimates: `calibration` looks for the model
under which their simulated values are those of the data, and the bias is then the same on both sides.

Models are simulated through the Bartlett factor of the white joint covariance: no rows are
drawn, and with the factor held fixed each statistic is a smooth function of the parameters.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice

# Mean and standard deviation of the Gaussian prior of each free parameter. Wide: three standard
# deviations of log gamma span four orders of magnitude.
PRIOR = {
    "log_gamma_x": (-0.7, 1.5),    # noise over the leading signal's variance
    "log_gamma_y": (-0.7, 1.5),
    "logit_nu": (0.0, 1.5),        # correlation of the correlated nuisance
    "log_nuisance_x": (0.0, 1.5),  # nuisance variance over the leading signal's
    "log_nuisance_y": (0.0, 1.5),
    "logit_label": (1.0, 2.0),     # share of the labels that the signals explain
    "decay": (0.0, 0.25),          # kappa_i = kappa (1 - decay)^i
    "uncorrelated": (0.0, 0.6),    # share of the nuisance coordinates without correlation
}
# The last two are 0 in a homogeneous model, and stay within these bounds.
BOUNDS = {"decay": (0.0, 0.7), "uncorrelated": (0.0, 0.95)}
# Of the smooth edge between correlated and uncorrelated coordinates, which gives the share a derivative.
EDGE = 0.03


@dataclass(frozen=True)
class Design:
    """What of a data set its simulation copies.

    Args:
        d_x, d_y: dimensions of the views.
        q: label columns, linearly independent.
        k: signals.
        n: rows minus one, the degrees of freedom of the covariances.
        labelled: the same of the rows that have labels, at most n.
    """

    d_x: int
    d_y: int
    q: int
    k: int
    n: int
    labelled: int

    @property
    def directions(self) -> int:
        """Label directions that can carry signal."""
        return min(self.q, self.k)

    @property
    def size(self) -> int:
        """Columns of (x, y, labels)."""
        return self.d_x + self.d_y + self.q


def model_of_parameters(u: Float[Array, "p"], design: Design) -> dict[str, Array]:
    """The model at unconstrained parameters `u` (order of `PRIOR`), in units of the leading signal.

    Returns:
        kappa2 (k,), gamma_x, gamma_y, nu (min(d_x, d_y) - k,), nuisance_x, nuisance_y, label.
    """
    gamma_x, gamma_y, nu, nuisance_x, nuisance_y, label, decay, uncorrelated = u
    correlated = min(design.d_x, design.d_y) - design.k
    place = (jnp.arange(correlated) + 0.5) / max(correlated, 1)
    # Relative to no uncorrelated coordinates, for which all have nu itself.
    profile = (jax.nn.sigmoid((1 + 3 * EDGE - uncorrelated - place) / EDGE)
               / jax.nn.sigmoid((1 + 3 * EDGE - place) / EDGE))
    return {"kappa2": (1 - decay) ** (2 * jnp.arange(design.k)),
            "gamma_x": jnp.exp(gamma_x), "gamma_y": jnp.exp(gamma_y), "nu": jax.nn.sigmoid(nu) * profile,
            "nuisance_x": jnp.exp(nuisance_x), "nuisance_y": jnp.exp(nuisance_y), "label": jax.nn.sigmoid(label)}


def log_ratios(u: Float[Array, "p"], design: Design) -> Float[Array, "3"]:
    """log Delta_CA, log Delta_CP and log Delta_CP reversed of `spiked`: least signal over largest nuisance."""
    m, nu = model_of_parameters(u, design), jax.nn.sigmoid(u[2])
    kappa2 = m["kappa2"]
    of_x, of_y = jnp.sqrt(kappa2 + m["gamma_x"]), jnp.sqrt(kappa2 + m["gamma_y"])
    return jnp.log(jnp.stack([jnp.min(kappa2 / (of_x * of_y)) / nu,
                              jnp.min(kappa2 / of_x) / (nu * jnp.sqrt(m["nuisance_y"])),
                              jnp.min(kappa2 / of_y) / (nu * jnp.sqrt(m["nuisance_x"]))]))


def observed_statistics(joint: Float[HostOrDevice, "s s"], design: Design) -> Float[Array, "f"]:
    """The statistics of a joint sample covariance of (x, y, labels).

    Not finite where the covariance of a view or of the labels is singular.
    """
    x, y = slice(0, design.d_x), slice(design.d_x, design.d_x + design.d_y)
    t = slice(design.d_x + design.d_y, design.size)
    joint = jnp.asarray(joint)
    root_x, root_t = jnp.linalg.cholesky(joint[x, x]), jnp.linalg.cholesky(joint[t, t])
    b = _solved(root_x, joint[x, y])
    t_x = _solved(root_t, joint[t, x])
    return _statistics(joint[x, x], joint[y, y], root_x, b, _solved(root_x, t_x.T), t_x,
                       _solved(root_t, joint[t, y]), design)


def pooled(labelled: Float[HostOrDevice, "s s"], views: Float[HostOrDevice, "d d"], share: float
           ) -> Float[Array, "s s"]:
    """The joint covariance of the labelled rows with its block of (x, y) averaged over all rows.

    Args:
        labelled: covariance of (x, y, labels) of the labelled rows.
        views: covariance of (x, y) of the others.
        share: of the labelled rows among all.
    """
    d = views.shape[0]
    labelled = jnp.asarray(labelled)
    return labelled.at[:d, :d].set(share * labelled[:d, :d] + (1 - share) * views)


def simulated_statistics(u: Float[Array, "p"], factor: Float[Array, "s s"], rest: Float[Array, "d d"] | None, design: Design
              ) -> Float[Array, "f"]:
    """The statistics of one sample of the model at `u`, from the Bartlett factors of white noise.

    Label directions load on the signals in equal parts.

    Args:
        factor: of (x, y, labels), the labelled rows.
        rest: of (x, y), the rows without labels; None where there are none.
    """
    if rest is not None:
        return observed_statistics(joint_covariance(u, factor, rest, design), design)
    rows_x, rows_y, rows_t = _rows(u, factor, design)
    d_x = design.d_x
    root_x = rows_x[:, :d_x]  # lower triangular: whitening x only takes the first d_x columns
    rows_t = _solved(jnp.linalg.cholesky(rows_t @ rows_t.T), rows_t)
    return _statistics(root_x @ root_x.T, rows_y @ rows_y.T, root_x, rows_y[:, :d_x].T, rows_t[:, :d_x].T,
                       rows_t @ rows_x.T, rows_t @ rows_y.T, design)


def joint_covariance(u: Float[Array, "p"], factor: Float[Array, "s s"], rest: Float[Array, "d d"] | None,
                     design: Design) -> Float[Array, "s s"]:
    """The covariance of (x, y, labels) of one sample of the model at `u`; arguments as in `simulated`."""
    labelled = jnp.concatenate(_rows(u, factor, design))
    if rest is None:
        return labelled @ labelled.T
    views = jnp.concatenate(_rows(u, jnp.pad(rest, (0, design.q)), design)[:2])
    return pooled(labelled @ labelled.T, views @ views.T, design.labelled / design.n)


def _rows(u, factor, design):
    """Coloured rows of x, of y and of the labels, whose products are the sample covariances."""
    m, k, d_x, d_y = model_of_parameters(u, design), design.k, design.d_x, design.d_y
    p = min(d_x, d_y)
    kappa2 = m["kappa2"]
    variance_x = jnp.concatenate([kappa2 + m["gamma_x"], jnp.full(d_x - k, 1.0) * m["nuisance_x"]])
    variance_y = jnp.concatenate([kappa2 + m["gamma_y"], jnp.full(d_y - k, 1.0) * m["nuisance_y"]])
    cross = jnp.concatenate([kappa2, m["nu"] * jnp.sqrt(m["nuisance_x"] * m["nuisance_y"])])
    a = jnp.sqrt(variance_x)
    slope = cross / a[:p]
    rest = jnp.sqrt(jnp.concatenate([variance_y[:p] - slope**2, variance_y[p:]]))
    rows_y = (rest[:, None] * factor[d_x:d_x + d_y]).at[:p].add(slope[:, None] * factor[:p])
    return a[:, None] * factor[:d_x], rows_y, _label_rows(m["label"], kappa2, a, slope, rest, factor, design)


def _label_rows(share, kappa2, a, slope, rest, factor, design):
    """Rows of the labels, sqrt(share) loadings s / kappa + noise given x and y, and of columns that carry nothing."""
    k, used = design.k, design.directions
    loadings = _loadings(used, k)
    # E[s_i / kappa_i | x, y] from the white coordinates of x_i and of y_i given x_i, and the variance left.
    from_x = jnp.sqrt(kappa2) / a[:k]
    from_y = (jnp.sqrt(kappa2) - slope[:k] * from_x) / rest[:k]
    left = jnp.maximum(1 - from_x**2 - from_y**2, 0)
    expected = from_x[:, None] * factor[:k] + from_y[:, None] * factor[design.d_x:design.d_x + k]
    shares = jnp.concatenate([jnp.full(used, 1.0) * share, jnp.zeros(design.q - used)])
    loaded = jnp.zeros((design.q, k)).at[:used].set(loadings) * jnp.sqrt(shares)[:, None]
    noise = jnp.linalg.cholesky((loaded * left) @ loaded.T + jnp.diag(1 - shares) + 1e-9 * jnp.eye(design.q))
    return loaded @ expected + noise @ factor[design.d_x + design.d_y:]


def _loadings(used, k):
    """Orthonormal rows that load on all signals alike in sum: a rotation of fixed, arbitrary choice."""
    if used == 1:
        return jnp.full((1, k), k**-0.5)
    mixed = np.random.default_rng(0).standard_normal((k, k))
    return jnp.asarray(np.linalg.qr(mixed)[0][:used])


def _statistics(xx, yy, root_x, b, t_x, s_tx, s_ty, design):
    """From S_xx, S_yy, the Cholesky factor of S_xx, B, whitened labels on whitened x, and S_tx, S_ty."""
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
        *_moments(c, 1.0, p), *_moments(b, scale_y, p), *_moments(reverse, scale_x, p),
        _log(jnp.trace(by_x) / used), _log(jnp.trace(by_y) / used), jnp.trace(t_x.T @ c @ t_y) / used,
        *_seen(t_x, c, by_x, 1.0), *_seen(t_y, c.T, by_y, 1.0),
        *_seen(t_x, b, by_x, scale_y), *_seen(t_y, reverse, by_y, scale_x),
        _log(jnp.sum(s_ty**2) / jnp.trace(by_y) / scale_y), _log(jnp.sum(s_tx**2) / jnp.trace(by_x) / scale_x)])


def _moments(matrix, scale, p):
    """Logarithms of the first moment of the squared singular values, and of the ratios up to the fourth."""
    gram = (matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix) / scale
    square = gram @ gram
    first, second = jnp.trace(gram) / p, jnp.trace(square) / p
    third, fourth = jnp.sum(gram * square) / p, jnp.sum(square * square) / p
    return [_log(first), _log(second / first), _log(third / second), _log(fourth / third)]


def _seen(t, matrix, explained, scale):
    """The same moments in the measure of the label directions, and the least of the directions."""
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
