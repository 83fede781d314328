r"""Random-matrix theory: sample spectra of n Gaussian rows, predicted from population spectra.

Sample covariances are second moments of n rows, without centring. Leaving one row out of the pencil
whose roots are the sample values gives a deterministic equivalent, valid for n comparable with the
dimensions, that couples the population's own coordinates through a few traces. The traces can be
eliminated by hand. What is left is one curve, the squared sample value E against the squared
population value q, a sum over nuisance coordinates of weight 1/n each. It is read in three ways:

- a signal of population value q appears at E(q) where the curve rises: an outlier;
- where the curve falls, next to nuisance values, there is a bulk; its upper edge is the minimum of E
  to the right of them;
- near that edge the sample values of the nuisance have counting density (A / pi) sqrt(edge - E), with
  A from the second derivative of E: the largest of them is edge + A^{-2/3} chi, chi of mean -1.2065
  (Tracy-Widom, real data). The correction falls as n^{-2/3} while d / n is fixed. For how a few
  coordinates alone are treated see `_sample_spectrum`.

Signals are left out of the sums, in which a neighbour of weight 1/n would be a pole. They enter at
first order instead, where neighbours closer than three standard deviations count less. The error that
remains is O(1/n), and larger within a few standard deviations of a threshold.

Source: the curves are derived above each function; without correlated nuisance the first is that of
Bao, Hu, Pan and Zhou 2019.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import ArrayLike, Float, Int, Num

from phasejax._core.pytree import HostOrDevice
from phasejax._core.root_finding import bisect, differentiable_root, newton
from phasejax.theory._sample_spectrum import (
    TRACY_WIDOM_MEAN,
    SampleSpectrum,
    damped_inverse,
    own_weights,
    positive_root,
)

# Canonical correlations l = sqrt(E). The pencil (1/n) sum_i U_i B U_i' with U_i = blockdiag(x_i, y_i) and
# B = [[l, 1], [1, l]] has the equivalent Sigma o K (blockwise Schur product), K = (B^-1 + T)^-1 and
# T_ab = (1/n) tr Sigma_ab R_ba with R = (Sigma o K)^-1. In canonical coordinates, blocks [[1, nu_j], [nu_j, 1]],
# K and T are 2 x 2. A coordinate of population value q is singular where K11 K22 = q K12^2. Eliminating K and
# T with Y = 1 - q and s = (1/n) sum_j nu_j^2 Y / (q - nu_j^2) gives `_canonical_value`, in which nothing
# cancels as nu or rho tend to 1. The density of sample values follows from d/dE log det, which is stationary
# in K and T: its derivative along q is -(n / E) (1 / Y^2 - (1/n) sum_j nu_j^2 / (q - nu_j^2)^2).


def canonical_spectrum(rho: Float[HostOrDevice, "k"], nu: Float[HostOrDevice, "p"], q_x: Int[ArrayLike, ""],
                       q_y: Int[ArrayLike, ""], n: Num[ArrayLike, ""]) -> SampleSpectrum:
    r"""Sample canonical correlations that n rows are expected to show.

    .. math::
        \lambda^2 = \frac{(1 - Y w_x)(1 - Y w_y)}{1 - Y}, \quad w_a = \frac{1 - q_a / n}{1 + s}, \quad
        s = \frac1n \sum_j \frac{\nu_j^2 Y}{\rho^2 - \nu_j^2}, \quad Y = 1 - \rho^2

    Args:
        rho: population correlations of the signals, shape (k,), in [0, 1].
        nu: those of the paired nuisance coordinates, shape (p,), in [0, 1].
        q_x, q_y: number of nuisance coordinates of each view, both at least p.
        n: number of rows, above 2k + q_x + q_y.

    Returns:
        The predicted spectrum.

    Source: derived above; Bao, Hu, Pan and Zhou 2019, Theorem 1.8, when nu = 0.

    >>> spectrum = jax.jit(canonical_spectrum)(jnp.array([0.9]), jnp.zeros(19), 19, 19, 200)
    >>> f"{float(spectrum.signals[0]):.2f} {float(spectrum.edge):.2f} {float(spectrum.nuisance):.2f}"
    '0.92 0.59 0.55'
    """
    rho, nu = jnp.asarray(rho), jnp.asarray(nu)
    n = jnp.asarray(n, rho.dtype)
    if nu.shape[0]:
        edge, largest, threshold = _canonical_edge(rho, nu, q_x, q_y, n)
    else:
        edge, largest, threshold = 0 * n, 0 * n, 0 * n - 1
    locate = partial(_canonical_outlier, nu=nu, q_x=q_x, q_y=q_y, others=(rho.shape[0] - 1) / n)
    levels, outlier, variance = jax.vmap(partial(locate, n=n))(rho)
    return SampleSpectrum.assemble(rho, nu, levels, outlier, outlier & (rho > threshold), variance,
                                   jnp.full_like(rho, threshold), edge, largest)


def _canonical_value(missing, s, c_x, c_y):
    """E at Y = `missing`, and the derivatives of log E by Y (s fixed), s, and c_x plus c_y."""
    w_x, w_y = (1 - c_x) / (1 + s), (1 - c_y) / (1 + s)
    rest_x, rest_y = 1 - missing * w_x, 1 - missing * w_y
    weighted = w_x / rest_x + w_y / rest_y
    by_s = missing * weighted / (1 + s)
    return (rest_x * rest_y / (1 - missing), 1 / (1 - missing) - weighted, by_s,
            missing / (1 + s) * (1 / rest_x + 1 / rest_y))


def _canonical_outlier(rho, nu, q_x, q_y, others, n):
    gaps = (rho - nu) * (rho + nu)
    usable = (rho > 0) & jnp.all(jnp.abs(gaps) > _coincident(rho))
    gaps, missing = jnp.where(usable, gaps, 1), jnp.where(usable, 1 - rho**2, 0.5)
    # Another signal i counts as r_i^2 Y / x = q Y / x - Y, x = q - r_i^2, with its pole left out.
    s = jnp.sum(nu**2 * missing / gaps) / n - others * missing
    s_slope = jnp.sum(nu**2 * (1 - nu**2) / gaps**2) / n - others
    c_x, c_y = q_x / n + others, q_y / n + others
    level, by_missing, by_s, _ = _canonical_value(missing, s, c_x, c_y)
    slope = -level * (by_missing + by_s * s_slope)
    # Beyond a bulk the curve has further branches, where a factor has changed its sign.
    outlier = usable & (slope > 0) & (1 + s > 0) & (1 + s > missing * (1 - jnp.minimum(c_x, c_y)))
    return level, outlier, slope * level * by_s * rho**2 * missing / n


def _canonical_edge(rho, nu, q_x, q_y, n):
    # Distances from 1 in units of the least, Y = least (1 - t) with 0 < t < 1: exact as nu -> 1, where
    # the edge tends to 1 with a finite slope. The factor keeps `least` positive at nu = 1.
    distance = 1 - nu**2 * (1 - 4 * jnp.finfo(nu.dtype).eps)
    least = jnp.min(distance)
    beyond = (distance - least) / least
    variance = 4 * rho**2 * (1 - rho**2) ** 2 / n

    def at(t, weights, nu, beyond, least, n):
        """E, d log E / dt over `least`, the density without its factor n / (least E), and the push of the signals."""
        counted = jnp.sum(weights) - weights.shape[0]
        missing, atoms = least * (1 - t), weights * nu**2 / n
        s, s_slope = jnp.sum(atoms * (1 - t) / (beyond + t)), -jnp.sum(atoms * (1 + beyond) / (beyond + t) ** 2)
        value, by_missing, by_s, by_c = _canonical_value(missing, s, (q_x + counted) / n, (q_y + counted) / n)
        poles = damped_inverse(1 - missing - rho**2, variance)
        push = value * (by_s * missing * jnp.sum(rho**2 * poles) + by_c * rho.shape[0]) / n
        density = 1 / (1 - t) ** 2 - jnp.sum(atoms / (beyond + t) ** 2)
        # by_s carries a factor Y: divided by `least` analytically, as missing / least = 1 - t.
        return value, by_s / missing * (1 - t) * s_slope - by_missing, density, push

    def solve(weights):
        data = (weights, nu, beyond, least, n)
        frozen = stop_gradient(data)
        t = bisect(lambda t: at(t, *frozen)[1], 0 * n, 1 + 0 * n)
        t = differentiable_root(lambda t: at(t, *data)[1], t)
        edge, _, density, push = at(t, *data)
        _, bend = jax.jvp(lambda t: at(t, *data)[1], (t,), (jnp.ones_like(t),))
        scale = n * density * jnp.sqrt(2 / (edge**3 * bend))
        return edge, edge + push + TRACY_WIDOM_MEAN * least * scale ** (-2 / 3), 1 - least * (1 - t)

    edge, largest, threshold = jax.vmap(solve)(jnp.stack([jnp.ones_like(nu), own_weights(beyond)]))
    return edge[0], jnp.maximum(largest[1], _least_largest(n)), jnp.sqrt(threshold[0])


# Singular values of A = S_yx S_xx^{-1/2}, s = sqrt(E): B = [[s, 1], [1, 0]] and the equivalent Sigma o K +
# blockdiag(0, s I). With x white, coordinate j has the block [[1, sqrt a_j], [sqrt a_j, b_j]], a_j its squared
# population value and b_j its variance in y. The equations for K and T give K12 = 1 - c_x. With phi and sigma
# standing for -K11 K22 / K12^2 and s K11 / K12^2, and D_j = sigma - b_j phi - a_j, two equations remain:
#     1 / (1 + phi) = 1 - c_x - (1/n) sum_j a_j / D_j,      E = sigma ((1/n) sum_j b_j / D_j + 1 / (1 + phi)).
# The first is the curve; a coordinate (a, b) is singular where sigma = a + b phi. Stationarity makes
# n phi / sigma the derivative of log det by E, hence the density.

def regression_spectrum(tau: Float[HostOrDevice, "k"], variance: Float[HostOrDevice, "k"],
                        xi: Float[HostOrDevice, "p"], nuisance: Float[HostOrDevice, "q_y"], q_x: Int[ArrayLike, ""],
                        n: Num[ArrayLike, ""]) -> SampleSpectrum:
    r"""Sample singular values of A = S_yx S_xx^{-1/2} that n rows are expected to show, in units of y.

    .. math::
        s^2 = \sigma \Big(\frac1n \sum_j \frac{b_j}{D_j} + \frac1{1 + \phi}\Big), \quad
        \frac1{1 + \phi} = 1 - \frac{q_x}n - \frac1n \sum_j \frac{\xi_j^2}{D_j}, \quad
        D_j = \sigma - b_j \phi - \xi_j^2, \quad \sigma = \tau_i^2 + b_i \phi

    Args:
        tau: population singular values of the signals, shape (k,), in units of y.
        variance: b_i, variances of y's signal coordinates, shape (k,), at least tau^2.
        xi: population singular values of the paired nuisance coordinates, shape (p,).
        nuisance: b_j, variances of y's nuisance coordinates, shape (q_y,), at least xi^2.
        q_x: number of x's nuisance coordinates, at least p.
        n: number of rows, above k + q_x.

    Returns:
        The predicted spectrum.

    Source: derived above.

    >>> predict = jax.jit(regression_spectrum)
    >>> spectrum = predict(jnp.array([2.0]), jnp.array([5.0]), jnp.zeros(19), jnp.ones(19), 19, 200)
    >>> f"{float(spectrum.signals[0]):.2f} {float(spectrum.edge):.2f} {float(spectrum.nuisance):.2f}"
    '2.05 0.62 0.57'
    """
    tau, variance, xi, nuisance = map(jnp.asarray, (tau, variance, xi, nuisance))
    n = jnp.asarray(n, tau.dtype)
    top = jnp.max(nuisance, initial=0)
    unit = jnp.where(top > 0, top, 1)
    signal = (tau**2 / unit, variance / unit)
    # Without any variance there is no nuisance; the ones only keep what is not used finite.
    others = (jnp.pad(xi**2, (0, nuisance.shape[0] - xi.shape[0])) / unit, jnp.where(top > 0, nuisance / unit, 1))
    if xi.shape[0]:
        edge, largest, phi, sigma = _regression_edge(signal, others, xi.shape[0], q_x, n)
        edge, largest = (jnp.where(top > 0, unit * value, 0 * n) for value in (edge, largest))
        threshold, edge_place = positive_root(unit * (sigma - signal[1] * phi)), sigma - jnp.max(others[1]) * phi
    else:
        edge, largest, threshold, edge_place = 0 * n, 0 * n, jnp.full_like(tau, -1), 0 * n
    levels, outlier, place, noise = jax.vmap(partial(_regression_outlier, others=others, q_x=q_x, n=n))(*signal)
    visible = outlier & (place > edge_place)
    return SampleSpectrum.assemble(tau, xi, unit * levels, outlier, visible, unit**2 * noise, threshold, edge, largest)


def _regression_curve(phi, sigma, atoms, n):
    """Residual of the first equation, E, and their derivatives by (phi, sigma); atoms: (a, b, weights, c_x)."""
    a, b, weights, c_x = atoms
    inverse, kept = 1 / (sigma - b * phi - a), 1 / (1 + phi)

    def mean(values):
        return jnp.sum(weights * values) / n

    residual, value = 1 - c_x - mean(a * inverse) - kept, mean(b * inverse) + kept
    slopes = (kept**2 - mean(a * b * inverse**2), mean(a * inverse**2))
    value_slopes = (sigma * (mean((b * inverse) ** 2) - kept**2), value - sigma * mean(b * inverse**2))
    return residual, sigma * value, slopes, value_slopes


def _along(b, slopes, value_slopes):
    """(d phi, dE) along the curve, and the residual's derivative by phi, with a = sigma - b phi as the parameter."""
    by_phi = slopes[0] + b * slopes[1]
    phi = -slopes[1] / by_phi
    return phi, value_slopes[1] + (value_slopes[0] + b * value_slopes[1]) * phi, by_phi


def _regression_outlier(a, b, others, q_x, n):
    # A coordinate equal to a nuisance coordinate lies in the bulk; moved away, it gives no NaN.
    apart = jnp.abs(a - others[0]) + jnp.abs(b - others[1])
    usable = (a > 0) & jnp.all(apart > _coincident(a) * (a + b))
    a, b = jnp.where(usable, a, 2), jnp.where(usable, b, 2)

    def residual(phi, a, b, others, n):
        value, _, slopes, _ = _regression_curve(phi, a + b * phi, (*others, 1, q_x / n), n)
        return value, slopes[0] + b * slopes[1]

    data = (a, b, others, n)
    frozen = stop_gradient(data)
    start = stop_gradient(q_x / (n - q_x))
    phi = newton(lambda phi: residual(phi, *frozen), start)
    solved = jnp.abs(residual(phi, *frozen)[0]) < _coincident(phi)
    phi = differentiable_root(lambda phi: residual(phi, *data)[0], jnp.where(solved, phi, start))
    sigma = a + b * phi
    _, level, slopes, value_slopes = _regression_curve(phi, sigma, (*others, 1, q_x / n), n)
    _, slope, by_phi = _along(b, slopes, value_slopes)
    outlier = usable & solved & (by_phi > 0) & (slope > 0) & (sigma > 0) & (phi > -1)
    # Its place on the curve, as `_regression_edge` counts it; below some nuisance coordinate it is none.
    above = jnp.all(sigma - others[1] * phi > others[0])
    place = jnp.where(above, sigma - jnp.max(others[1], initial=0) * phi, -1)
    return level, outlier, place, slope * ((value_slopes[0] + b * value_slopes[1]) / by_phi * a + sigma * b) / n


def _regression_edge(signal, others, p, q_x, n):
    # Follow the curve by a = sigma - max(b) phi: as max(b) - b_j >= 0 the residual is increasing and
    # concave in phi, so each a has at most one phi, and Newton from the left cannot miss it.
    a_signal, b_signal = signal
    paired = jnp.arange(others[0].shape[0]) < p

    def atoms(weights, others, n):
        return *others, weights, (q_x - p + jnp.sum(jnp.where(paired, weights, 0))) / n

    def system(point, weights, others, n):
        residual, _, slopes, value_slopes = _regression_curve(point[0], point[1], atoms(weights, others, n), n)
        return jnp.stack([residual, _along(jnp.max(others[1]), slopes, value_slopes)[1]])

    def search(weights, others, n):
        (a, b, _, c_x), base = atoms(weights, others, n), jnp.max(others[1])
        floor, below = jnp.max(jnp.where(b == base, a, 0)), b < base

        def point_at(log_place):
            place = floor + jnp.exp(log_place)
            poles = (a + weights * a / (n * (1 - c_x)) - place) / jnp.where(below, base - b, 1)

            def residual(phi):
                value, _, slopes, _ = _regression_curve(phi, place + base * phi, (a, b, weights, c_x), n)
                return value, slopes[0] + base * slopes[1]

            phi = newton(residual, jnp.maximum(c_x / (1 - c_x), jnp.max(jnp.where(below, poles, 0))))
            return jnp.stack([phi, place + base * phi])

        def rising(log_place):  # too far left there is no phi, or a huge one
            point = point_at(log_place)
            slope = system(point, weights, others, n)[1]
            return jnp.where((point[0] > 0) & (point[0] < 1e8) & jnp.isfinite(slope), slope, -1)

        return point_at(bisect(rising, 0 * n - 25, 15 - jnp.log(1 - c_x)))

    def solve(weights, _):
        data = (weights, others, n)
        (a, b, _, _), base = atoms(*data), jnp.max(others[1])
        point = differentiable_root(lambda z: system(z, *data), search(*stop_gradient(data)))
        phi, sigma = point
        _, edge, slopes, value_slopes = _regression_curve(phi, sigma, atoms(*data), n)
        along, _, by_phi = _along(base, slopes, value_slopes)
        _, bend = jax.jvp(lambda z: system(z, *data)[1], (point,), (jnp.stack([along, 1 + base * along]),))
        scale = n * (phi - along * (sigma - base * phi)) / sigma**2 * jnp.sqrt(2 / bend)
        poles = damped_inverse(sigma - b_signal * phi - a_signal, 2 * a_signal * (2 * b_signal - a_signal) / n)
        by_sum = (value_slopes[0] + base * value_slopes[1]) / by_phi
        push = by_sum * (jnp.sum(a_signal * poles) + a_signal.shape[0]) + sigma * jnp.sum(b_signal * poles)
        largest = edge + push / n + TRACY_WIDOM_MEAN * scale ** (-2 / 3)
        return own_weights((sigma - b * phi - a) / sigma), (edge, largest, phi, sigma)

    # Once with every coordinate in full, once more with less of those found at the edge.
    _, (edge, largest, phi, sigma) = jax.lax.scan(solve, jnp.ones_like(others[0]), length=2)
    return edge[0], jnp.maximum(largest[1], _least_largest(n)), phi[0], sigma[0]


def _coincident(value):
    """Relative distance below which a signal and a nuisance coordinate count as one, in the bulk."""
    return jnp.finfo(value.dtype).eps ** 0.5


def _least_largest(n):
    """Squared mean modulus of one entry of an uncorrelated sample, below which no largest value can be expected."""
    return 2 / (jnp.pi * n)
