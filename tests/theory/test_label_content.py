"""Label content against NumPy's singular value decomposition, the separation ratios, and its own limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax.simulation import population_covariances
from phasejax.theory import delta_ca, delta_cp, delta_cp_reverse, label_content, label_content_of_covariances

MODEL = SpikedModel.create([3.0, 1.2, 0.8], nu=[0.6, 0.5, 0.1], gamma_x=[0.4, 0.7, 0.2], gamma_y=[0.1, 0.25, 1.0],
                           nuisance_x=[1.0, 4.0, 1.0], nuisance_y=[1.0, 1.0, 9.0, 0.5], d=6, d_y=7)
LOADINGS = np.array([[1.0, -2.0, 0.5], [0.3, 0.0, 1.5]])


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


# One program for each number of directions, not one for each operation.
of_covariances = jax.jit(label_content_of_covariances, static_argnums=5)
closed_form = jax.jit(label_content, static_argnums=1)


def as_array(content):
    return np.array([content.ca, content.cp, content.cp_reverse])


def oracle(xx, xy, yy, x_labels, y_labels, k):
    """Symmetric roots, and projections of the whitened views: t is predicted from P P' h, and that is compared with
    the other view's prediction of t."""
    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(values**-0.5) @ vectors.T

    c = root(xx) @ xy @ root(yy)
    b_x, b_y = root(xx) @ x_labels, root(yy) @ y_labels
    def kept(matrix):
        left = np.linalg.svd(matrix)[0][:, :k]
        return left @ left.T

    whole = np.trace(b_x.T @ c @ b_y)
    return np.array([np.trace(b_x.T @ kept(c) @ c @ b_y), np.trace(b_x.T @ kept(root(xx) @ xy) @ c @ b_y),
                     np.trace(b_x.T @ c @ kept(root(yy) @ xy.T) @ b_y)]) / whole


def random_covariances(seed, d_x=4, d_y=6, labels=2):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((30, d_x + d_y + labels)) @ rng.standard_normal((d_x + d_y + labels,) * 2)
    s = rows.T @ rows / 30
    x, y, t = slice(0, d_x), slice(d_x, d_x + d_y), slice(d_x + d_y, None)
    return s[x, x], s[x, y], s[y, y], s[x, t], s[y, t]


@pytest.mark.parametrize("seed", [0, 1])
def test_any_covariances_against_symmetric_roots(seed):
    covariances = random_covariances(seed)
    for k in (2,):
        found = as_array(of_covariances(*covariances, k))
        np.testing.assert_allclose(found, oracle(*covariances, k), rtol=1e-9)
    np.testing.assert_allclose(as_array(of_covariances(*covariances, 4))[[0, 1]], 1, rtol=1e-10)


@pytest.mark.parametrize("mutant", [
    lambda xx, xy, yy, x_t, y_t: (xx, xy, yy, y_t[:4], y_t),  # the other view's labels
    lambda xx, xy, yy, x_t, y_t: (np.eye(4), xy, yy, x_t, y_t),  # not whitened
])
def test_the_oracle_rejects_a_mutant(mutant):
    covariances = random_covariances(0)
    found = as_array(of_covariances(*mutant(*covariances), 2))
    assert np.max(np.abs(found - oracle(*covariances, 2))) > 1e-3


def with_labels(model, loadings):
    """Covariances of a model with labels loadings @ (s / kappa): cov(x_i, t) = kappa_i loading_i on signals, else 0."""
    covariances = population_covariances(model)
    on_signals = np.asarray(model.kappa)[:, None] * loadings.T
    return (*(np.asarray(block) for block in (covariances.xx, covariances.xy, covariances.yy)),
            np.vstack([on_signals, np.zeros((model.d_x - model.k, len(loadings)))]),
            np.vstack([on_signals, np.zeros((model.d_y - model.k, len(loadings)))]))


@pytest.mark.parametrize("loadings", [None, LOADINGS])
def test_closed_form_is_that_of_the_population_covariances(loadings):
    for k in (2, 4):
        expected = oracle(*with_labels(MODEL, np.eye(3) if loadings is None else loadings), k)
        np.testing.assert_allclose(as_array(closed_form(MODEL, k, loadings)), expected, atol=1e-12)


def test_spanning_labels_say_whether_the_separation_ratio_is_above_one():
    """Over a grid off the boundary, for three kinds of models; content is 1 where all signals are kept, else below."""
    checked = np.zeros((3, 2), int)
    contents = jax.jit(lambda model: (label_content(model, 3), jnp.stack([
        delta_ca(model), delta_cp(model), delta_cp_reverse(model)])))
    for decay, gamma_x, nuisance_x, nuisance_y in [(1.0, 1.0, 1.0, 5.0), (0.8, 0.2, 6.0, 0.5), (0.6, 0.5, 1.0, 50.0)]:
        for kappa in np.linspace(0.3, 3, 8):
            for nu in np.linspace(0.05, 0.95, 7):
                model = SpikedModel.geometric(kappa, nu, decay=decay, gamma_x=gamma_x, gamma_y=0.3,
                                              nuisance_x=nuisance_x, nuisance_y=nuisance_y, k=3, d=8, d_y=6)
                content, ratios = contents(model)
                for i, (share, ratio) in enumerate(zip(as_array(content), np.asarray(ratios), strict=True)):
                    if abs(np.log(ratio)) > 1e-6:
                        assert (share > 1 - 1e-12) == (ratio > 1)
                        checked[i, int(ratio > 1)] += 1
    assert checked.min() > 20


def test_ties_on_the_boundary_count_as_not_recovered():
    """rho = nu = 1/2, whatever rounding does to the last digits."""
    model = SpikedModel.homogeneous(1.0, 0.5, k=2, d=5)
    assert float(delta_ca(model)) == 1
    assert float(label_content(model, 2).ca) == 0
    assert float(label_content(model, 5).ca) == 1
    assert float(label_content(SpikedModel.homogeneous(1.0, 0.4, k=2, d=5), 1).ca) == 0.5  # one of two equal signals


def test_without_a_shared_signal_there_is_no_content():
    model = SpikedModel.homogeneous(0.0, 0.3, k=2, d=5)
    np.testing.assert_array_equal(as_array(closed_form(model, 2)), 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(lambda m: label_content(m, 2).ca)(model)))


def test_the_view_swap_exchanges_the_directions():
    content, swapped = as_array(closed_form(MODEL, 2, LOADINGS)), as_array(closed_form(MODEL.reverse(), 2, LOADINGS))
    np.testing.assert_allclose(swapped, content[[0, 2, 1]], rtol=1e-14)


def test_derivatives_against_differences():
    covariances = random_covariances(0)
    content_and_slope = jax.jit(jax.value_and_grad(
        lambda xy: label_content_of_covariances(covariances[0], xy, *covariances[2:], 2).cp))
    direction, step = np.random.default_rng(0).standard_normal((4, 6)), 1e-6
    slope = float(jnp.sum(content_and_slope(covariances[1])[1] * direction))
    up, down = (float(content_and_slope(covariances[1] + sign * step * direction)[0]) for sign in (1, -1))
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5)

    gradient = jax.jit(jax.grad(lambda kappa: label_content(MODEL.replace(kappa=kappa), 2).ca))(MODEL.kappa)
    assert (np.sign(gradient) == [1, 1, -1]).all()  # alignment keeps the first two of three signals


@pytest.mark.parametrize(("arguments", "message"), [
    ((0,), r"k: expected 1 to min\(d_x, d_y\) = 6, got 0"), ((7,), "k: expected 1 to"),
    ((2, np.ones((1, 2))), "loadings: expected 3 columns, one for each signal, got 2")])
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_content(MODEL, *arguments)
