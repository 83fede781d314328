r"""Label content that n pairs of a spiked model are expected to keep: a deterministic equivalent.

The label content of the k leading components of a sample (`_label_content`) is a sum over the sample's squared singular
values E_c = sigma_c^2, largest first, of weights f_c. Both sums, of ones and of weights, are integrals of resolvents

.. math::
    g(E) = \sum_c \frac1{E - E_c}, \qquad  G(E) = \sum_c \frac{f_c}{E - E_c}, \qquad
    \sum_{E_c > x} f_c = \frac1{2 \pi i} \oint G(E)\, dE

along a path that crosses the real axis at x and beyond the largest value. Off the axis both resolvents are near
deterministic functions for n comparable with the dimensions, so that nothing has to be assumed about where signals and
nuisance lie: apart, merged, or in the wrong order. The place x is where the first sum is k.

With rows U_i = blockdiag(x_i, y_i) the sample's resolvent is the inverse of M(s) = (1/n) sum_i U_i B U_i' + D, where
B = [[s, 1], [1, s]], D = 0 for alignment, and B = [[s, 1], [1, 0]], D = blockdiag(0, s I) for predicting y from x, with
s^2 = E. Leaving one row out gives the equivalent (as in `_random_matrix`)

.. math::
    M \simeq \Sigma \circ K + D, \quad K = (B^{-1} + T)^{-1}, \quad T_{ab} = \frac1n \mathrm{tr}\, \Sigma_{ab} R_{ba},
    \quad R = (\Sigma \circ K + D)^{-1}

with 2 x 2 matrices K and T, and Sigma made of 2 x 2 blocks [[1, c_j], [c_j, b_j]], one for each pair of coordinates (x
whitened, y in its own units). Signals are among the coordinates of T. Then, by d log det M / ds at fixed T,

.. math::  2 s\, g = n\, \mathrm{tr}\, (T - T K T) B' + \mathrm{tr} R_{22} D' + const,

and G is minus the x-y part of R at the signals for alignment, whose weights are f_c = sigma_c w_c[i] v_c[i] of
canonical vectors w_c and v_c. Prediction's weights hold S_yy^{-1} beside the y-vector. A third block of rows y_i with
B_33 = 1, coupled to the second by eps I, has the inverse's corner -eps R_12 S_yy^{-1}: its derivative by eps solves two
linear equations for T_13 and T_23, with K_33 = 1 - d_y / n.

Means over samples differ from this by O(1/n) and, since only few coordinates make a bulk, by a few hundredths where
signals and nuisance merge.
"""

from typing import Literal

import numpy as np
from jaxtyping import Complex, Float

from phasejax.theory._model import SpikedModel

# Nodes of the path, on its way up from x and along the arc: for counting values, and for the content.
_COUNTING, _INTEGRAL = (16, 8), (40, 16)
# The path starts at this relative distance from the axis.
_NEAREST = 1e-9
_BISECTIONS = 22
# The place x lies midway between where this much less and this much more than k values are above it.
_MARGIN = 0.25

Complex2 = tuple[Complex[np.ndarray, "..."], Complex[np.ndarray, "..."], Complex[np.ndarray, "..."]]


class ExpectedContent:
    """Expected label content of one objective in as many components as there are signals, which are the labels.

    Args:
        model: the spiked model; for predicting x from y pass `model.reverse()`.
        objective: "ca" or "cp".
    """

    def __init__(self, model: SpikedModel, objective: Literal["ca", "cp"]):
        self.objective, self.k, self.d_y = objective, model.k, model.d_y
        coordinates, self.count = np.unique(_coordinates(model), axis=0, return_counts=True)
        self.cross, self.variance, in_x, in_y, self.weight = coordinates.T
        self.in_x, self.in_y = in_x > 0, in_y > 0
        # Above all squared sample values: canonical correlations end at 1, and n > d_x + d_y keeps S_yy's eigenvalues
        # below four times the largest variance.
        self.top = 1.2 if objective == "ca" else 5 * float(np.max(self.variance))

    def at(self, n: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        """Expected content of samples of n pairs, n > d_x + d_y."""
        n = np.asarray(n, float)
        both = np.concatenate([n, n])
        wanted = np.repeat([self.k - _MARGIN, self.k + _MARGIN], len(n))
        high = np.full(len(both), np.log(self.top))
        low = high - 30
        start = None
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            number, _, start = self._above(np.exp(middle), both, _COUNTING, start)
            more = number > wanted
            low, high = np.where(more, middle, low), np.where(more, high, middle)
        place = np.exp(np.mean(((low + high) / 2).reshape(2, -1), axis=0))
        far = np.full(len(n), 1e8 * self.top, complex)
        whole = (far * self._resolvents(far, n)[1]).real
        return self._above(place, n, _INTEGRAL)[1] / whole

    def _above(self, x, n, nodes, start=None):
        """Number and weight of the squared sample values above x, and T along the path, from `start` on."""
        (up, up_weights), (arc, arc_weights) = map(np.polynomial.legendre.leggauss, nodes)
        radius = (self.top - x)[:, None]
        # Up from x with nodes even in the logarithm, which resolves every scale; then around to beyond all values.
        log_span = -np.log(_NEAREST) + np.log(radius / x[:, None])
        height = radius * np.exp((up - 1) / 2 * log_span)
        turn = np.exp(1j * np.pi / 4 * (1 - arc))
        path = np.concatenate([x[:, None] + 1j * height, x[:, None] + radius * turn], axis=1)
        steps = np.concatenate([1j * height * log_span / 2 * up_weights,
                                -1j * np.pi / 4 * radius * turn * arc_weights], axis=1)
        *found, t = self._resolvents(path.ravel(), np.repeat(n, path.shape[1]), start)
        number, content = (-np.sum(values.reshape(path.shape) * steps, axis=1).imag / np.pi for values in found)
        return number, content, t

    def _resolvents(self, energy, n, start=None):
        """g, G and T at complex squared values."""
        s = np.sqrt(energy)
        weights = self.count / n[:, None]
        t = self._solved(s, weights, start)
        k = self._k(t, s)
        r = self._r(k, s)
        counted = n * (t[0] - _sandwich(t[:2], k))
        if self.objective == "ca":
            counted = counted + n * (t[2] - _sandwich(t[1:], k))
            return counted / (2 * s), -np.sum(self.count * self.weight * r[1], axis=1), t
        counted = counted + np.sum(self.count * r[2], axis=1)
        return counted / (2 * s), np.sum(self.count * self.weight * self._corner(k, r, weights, n), axis=1), t

    def _solved(self, s, weights, start):
        """T_11, T_12, T_22: by damped steps from 0 or from `start` on, then Newton's."""
        t = np.zeros((3, len(s)), complex) if start is None else start
        for _ in range(30 if start is None else 2):
            t = (t + self._traces(self._r(self._k(t, s), s), weights)) / 2
        for step in range(60):
            k = self._k(t, s)
            r = self._r(k, s)
            missing = t - self._traces(r, weights)
            if step and np.max(np.abs(missing) / (np.abs(t) + 1e-6)) < 1e-9:
                break
            jacobian = np.stack([self._traces(self._r_change(r, change), weights) for change in _k_changes(k)], 1)
            jacobian = np.eye(3)[:, :, None] - jacobian
            t = t - np.linalg.solve(np.moveaxis(jacobian, 2, 0), missing.T[:, :, None])[:, :, 0].T
        return t

    def _k(self, t, s) -> Complex2:
        if self.objective == "ca":
            below = s * s - 1
            a, b, c = s / below + t[0], -1 / below + t[1], s / below + t[2]
        else:
            a, b, c = t[0], 1 + t[1], t[2] - s
        det = a * c - b * b
        return c / det, -b / det, a / det

    def _r(self, k, s) -> Complex2:
        k11, k12, k22 = (values[:, None] for values in k)
        of_x = np.where(self.in_x, k11, 1)
        of_y = np.where(self.in_y, self.variance * k22 + (0 if self.objective == "ca" else s[:, None]), 1)
        both = self.cross * k12
        det = of_x * of_y - both**2
        return np.where(self.in_x, of_y / det, 0), -both / det, np.where(self.in_y, of_x / det, 0)

    def _r_change(self, r, change) -> Complex2:
        """-R (Sigma o dK) R."""
        a, b, c = change[0][:, None], self.cross * change[1][:, None], self.variance * change[2][:, None]
        r11, r12, r22 = r
        x1, x2, y1, y2 = r11 * a + r12 * b, r11 * b + r12 * c, r12 * a + r22 * b, r12 * b + r22 * c
        return -(x1 * r11 + x2 * r12), -(x1 * r12 + x2 * r22), -(y1 * r12 + y2 * r22)

    def _traces(self, r, weights):
        return np.stack([np.sum(weights * r[0], 1), np.sum(weights * self.cross * r[1], 1),
                         np.sum(weights * self.variance * r[2], 1)])

    def _corner(self, k, r, weights, n):
        """Derivative by eps of the inverse's block between x and the third block of rows."""
        last = (1 - self.d_y / n)[:, None]
        own = np.where(self.in_y, 1 / (np.where(self.in_y, self.variance, 1) * last), 0)
        k11, k12, k22 = (values[:, None] for values in k)
        r11, r12, r22 = r

        def response(t_13, t_23, eps):
            of_x = -self.cross * last * (k11 * t_13 + k12 * t_23)
            of_y = eps - self.variance * last * (k12 * t_13 + k22 * t_23)
            first, second = -(r11 * of_x + r12 * of_y) * own, -(r12 * of_x + r22 * of_y) * own
            return first, np.sum(weights * self.cross * first, 1), np.sum(weights * self.variance * second, 1)

        (_, *fixed), (_, *by_13), (_, *by_23) = response(0, 0, 1), response(1, 0, 0), response(0, 1, 0)
        a, b, c, d = 1 - by_13[0], -by_23[0], -by_13[1], 1 - by_23[1]
        det = a * d - b * c
        t_13, t_23 = (d * fixed[0] - b * fixed[1]) / det, (a * fixed[1] - c * fixed[0]) / det
        return response(t_13[:, None], t_23[:, None], 1)[0]


def _coordinates(model: SpikedModel) -> Float[np.ndarray, "d 5"]:
    """For each coordinate: its covariance with x white, its variance in y, whether x and y have it, and the product of
    both views' covariances with its label (a signal of unit variance)."""
    kappa, gamma_x, gamma_y, nu, nuisance_x, nuisance_y = (
        np.asarray(getattr(model, name), np.float64)
        for name in ("kappa", "gamma_x", "gamma_y", "nu", "nuisance_x", "nuisance_y"))
    root, p = np.sqrt(kappa**2 + gamma_x), len(nu)
    ones = np.ones(p)
    signals = np.stack([kappa**2 / root, kappa**2 + gamma_y, np.ones_like(kappa), np.ones_like(kappa),
                        kappa**2 / root], 1)
    paired = np.stack([nu * np.sqrt(nuisance_y[:p]), nuisance_y[:p], ones, ones, 0 * ones], 1)
    of_x = np.tile([0.0, 1, 1, 0, 0], (len(nuisance_x) - p, 1))
    of_y = np.array([[0.0, variance, 0, 1, 0] for variance in nuisance_y[p:]]).reshape(-1, 5)
    return np.concatenate([signals, paired, of_x, of_y])


def _sandwich(row, k):
    """row K row'."""
    first, second = row
    return first * first * k[0] + 2 * first * second * k[1] + second * second * k[2]


def _k_changes(k) -> tuple[Complex2, Complex2, Complex2]:
    """Derivatives of K by T_11, T_12 and T_22: -K dT K."""
    k11, k12, k22 = k
    return ((-k11 * k11, -k11 * k12, -k12 * k12), (-2 * k11 * k12, -(k11 * k22 + k12 * k12), -2 * k12 * k22),
            (-k12 * k12, -k12 * k22, -k22 * k22))
