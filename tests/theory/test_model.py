"""The spiked model: shapes, refusals, pytree behaviour."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax.simulation import population_covariances, signal_covariances


def test_scalars_are_spread_over_their_coordinates():
    model = SpikedModel.create([3.0, 2.0], nu=0.2, gamma_x=0.5, nuisance_y=4.0, d=5, d_y=7)
    assert (model.k, model.d_x, model.d_y) == (2, 5, 7)
    np.testing.assert_array_equal(model.nu, [0.2] * 3)
    np.testing.assert_array_equal(model.nuisance_y, [4.0] * 5)
    np.testing.assert_allclose(model.eta, 0.2 * 2.0, rtol=1e-6)


def test_parameters_keep_float64_on_the_host():
    assert SpikedModel.homogeneous(0.1, 0.2, k=2, d=4).kappa.dtype == np.float64
    assert not jax.config.jax_enable_x64


def test_geometric_strengths():
    model = SpikedModel.geometric(3.0, 0.1, decay=0.6, k=4, d=9)
    np.testing.assert_allclose(model.kappa, [3.0, 1.8, 1.08, 0.648], rtol=1e-15)


def test_no_nuisance_at_all():
    model = SpikedModel.homogeneous(1.0, 0.5, k=3, d=3)
    assert model.nu.shape == (0,)
    assert population_covariances(model).xy.shape == (3, 3)


def test_reverse_swaps_the_views():
    model = SpikedModel.create([2.0, 1.0], nu=[0.3, 0.1], gamma_x=[0.1, 0.2], gamma_y=3.0, nuisance_x=5.0,
                               nuisance_y=[1.0, 2.0, 3.0], d=4, d_y=5)
    forward, backward = population_covariances(model).reverse(), population_covariances(model.reverse())
    jax.tree.map(np.testing.assert_array_equal, forward, backward)


@pytest.mark.parametrize(("change", "message"), [
    ({"nu": 1.2}, r"nu: expected values in \[0, 1\], got 1.2"),
    ({"nu": -0.1}, "nu: expected"),
    ({"nu": float("nan")}, "nu: expected"),
    ({"gamma_x": -1.0}, "gamma_x: expected finite values >= 0, got -1"),
    ({"nuisance_y": [1.0, -2.0]}, "nuisance_y: expected finite values >= 0, got -2 at index 1"),
    ({"gamma_y": float("inf")}, "gamma_y: expected finite"),
    ({"kappa": [-1.0, 1.0]}, "kappa: expected finite values >= 0"),
    ({"kappa": [1.0] * 5}, r"k: expected at most min\(d_x, d_y\) = 4 signals, got 5"),
    ({"kappa": []}, "kappa: expected at least one signal"),
    ({"kappa": 2.0}, "kappa: expected one dimension"),
    ({"kappa": ["a"]}, "kappa: expected real numbers"),
    ({"kappa": [1j, 2.0]}, "kappa: expected real numbers"),
    ({"kappa": [[1.0], [1.0, 2.0]]}, "kappa: expected numbers"),
    ({"d": 0}, "d: expected a whole number of at least 1, got 0"),
    ({"d_y": -3}, "d_y: expected a whole number of at least 1, got -3"),
    ({"gamma_x": [1.0] * 3}, r"gamma_x: expected a number or 2 values, got shape \(3,\)"),
])
def test_bad_parameters_are_refused_in_one_line(change, message):
    arguments = {"kappa": [2.0, 1.0], "nu": 0.5, "d": 4} | change
    with pytest.raises(ValueError, match=message) as caught:
        SpikedModel.create(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("build", [lambda: SpikedModel.homogeneous(1.0, 0.1, k=0, d=3),
                                   lambda: SpikedModel.geometric(1.0, 0.1, decay=0.5, k=-1, d=3)])
def test_no_signals_are_refused(build):
    with pytest.raises(ValueError, match="k: expected a whole number of at least 1"):
        build()


def test_fields_must_fit_together():
    with pytest.raises(ValueError, match="nu: expected 2 values"):
        SpikedModel(*(np.full(length, 0.5) for length in (1, 3, 1, 1, 2, 2)))
    with pytest.raises(ValueError, match="eta: expected one of kappa, nu"):
        SpikedModel.homogeneous(1.0, 0.1, k=1, d=3).replace(eta=0.2)


def test_traced_values_out_of_range_become_nan():
    nu = jax.jit(jax.vmap(lambda nu: SpikedModel.homogeneous(1.0, nu, k=1, d=2).nu[0]))(jnp.array([0.5, 1.5, -0.5]))
    np.testing.assert_array_equal(jnp.isnan(nu), [False, True, True])


def test_pytree_survives_placeholders_and_batches():
    model = SpikedModel.homogeneous(1.0, 0.5, k=2, d=4)
    leaves, structure = jax.tree.flatten(model)
    assert jax.tree.unflatten(structure, [None] * len(leaves)).kappa is None
    again = jax.tree.map(lambda leaf: leaf, model)
    jax.tree.map(np.testing.assert_array_equal, model, again)
    assert "kappa" in jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(model)[0][0])
    batch = jax.vmap(lambda nu: model.replace(nu=nu))(jnp.linspace(0, 1, 5))
    assert batch.nu.shape == (5, 2)


def test_population_covariances_match_the_definition_in_any_bases():
    """Sigma_xy = E[x y'] written out from x = Q_x [s + e_x; u], y = Q_y [s + e_y; v]."""
    rng = np.random.default_rng(0)
    model = SpikedModel.create([2.0, 1.0], nu=[0.3, 0.1], gamma_x=[0.1, 0.2], gamma_y=3.0,
                               nuisance_x=[5.0, 0.5], nuisance_y=[1.0, 2.0, 3.0], d=4, d_y=5)
    q_x, q_y = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (4, 5))
    # Loadings of x and y on independent unit-variance sources: s, e_x, e_y, u, and v's own part.
    load_x, load_y = np.zeros((4, 11)), np.zeros((5, 11))
    load_x[:2, :2] = load_y[:2, :2] = np.diag(model.kappa)
    load_x[:2, 2:4], load_y[:2, 4:6] = np.diag(np.sqrt(model.gamma_x)), np.diag(np.sqrt(model.gamma_y))
    load_x[2:, 6:8] = np.diag(np.sqrt(model.nuisance_x))
    load_y[2:4, 6:8] = np.diag(model.nu * np.sqrt(model.nuisance_y[:2]))
    load_y[2:, 8:] = np.diag(np.sqrt(model.nuisance_y) * np.sqrt(1 - np.r_[model.nu, 0] ** 2))
    load_x, load_y = q_x @ load_x, q_y @ load_y
    with jax.enable_x64(True):
        covariances = population_covariances(model, q_x, q_y)
        signal = signal_covariances(model, q_x, q_y)
    np.testing.assert_allclose(covariances.xx, load_x @ load_x.T, atol=1e-13)
    np.testing.assert_allclose(covariances.xy, load_x @ load_y.T, atol=1e-13)
    np.testing.assert_allclose(covariances.yy, load_y @ load_y.T, atol=1e-13)
    clean = load_y.copy()
    clean[:, 2:] = 0
    np.testing.assert_allclose(signal.xy, load_x @ clean.T, atol=1e-13)
    np.testing.assert_allclose(signal.yy, clean @ clean.T, atol=1e-13)
