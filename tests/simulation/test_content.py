"""Label content over a grid: the closed form without samples, one sample evaluated directly, and the limit of many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import SpikedModel, sweep
from phasejax.simulation import bartlett_factor, colour
from phasejax.theory import label_content, label_content_of_covariances

FIXED = {"k": 2, "d": 6, "d_y": 7, "decay": 0.8, "gamma_y": 0.2, "nuisance_y": 4.0}
# Nuisance has the value .3 (CA), .6 (CP) and .3 (CP y->x), and .9, 1.8 and .9; no signal is within 10 % of these.
AXES = {"kappa_bar": [0.75, 1.0, 2.0], "nu": [0.3, 0.9]}
NAMES = ["content_ca", "content_cp", "content_cp_reverse"]
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def grids():
    """Of the population, and of 4 samples of 60 and of a million rows."""
    return (sweep(SpikedModel.geometric, AXES, fixed=FIXED, quantities=NAMES),
            sweep(SpikedModel.geometric, AXES | {"n": [60, 1_000_000]}, fixed=FIXED, quantities=NAMES, seeds=4,
                  key=KEY))


def cells():
    for kappa in AXES["kappa_bar"]:
        for nu in AXES["nu"]:
            yield {"kappa_bar": kappa, "nu": nu}, SpikedModel.geometric(kappa, nu, **FIXED)


def test_population_sweep_is_the_closed_form(grids):
    closed = jax.jit(label_content, static_argnums=1)
    with jax.enable_x64(True):
        for place, model in cells():
            content = closed(model, 2)
            found = [float(grids[0][name].sel(place)) for name in NAMES]
            np.testing.assert_allclose(found, [content.ca, content.cp, content.cp_reverse], atol=1e-12)


@pytest.mark.slow
def test_curves_are_the_closed_form_of_every_number_of_directions():
    curves = [f"content_curve_{name}" for name in ("ca", "cp", "cp_reverse")]
    grid = sweep(SpikedModel.geometric, AXES, fixed=FIXED, quantities=curves)
    closed = jax.jit(label_content, static_argnums=1)
    with jax.enable_x64(True):
        for place, model in cells():
            content = [closed(model, k) for k in range(1, 7)]
            for name, expected in zip(curves, np.transpose([(c.ca, c.cp, c.cp_reverse) for c in content]), strict=True):
                np.testing.assert_allclose(grid[name].sel(place), expected, atol=1e-12)


def test_a_sample_equals_direct_evaluation(grids):
    @jax.jit
    def direct(model, key):
        sample = colour(bartlett_factor(key, 60, 13), model)
        on_x, on_y = (jnp.eye(d, 2) * model.kappa for d in (6, 7))
        content = label_content_of_covariances(sample.xx, sample.xy, sample.yy, on_x, on_y, 2)
        return content.ca, content.cp, content.cp_reverse

    with jax.enable_x64(True):
        for place, model in cells():
            found = [float(grids[1][name].sel(place | {"n": 60, "seed": 1})) for name in NAMES]
            np.testing.assert_allclose(found, direct(model, jax.random.fold_in(KEY, 1)), rtol=1e-9)


def test_many_rows_approach_the_population(grids):
    """Off the boundary the space turns by about sqrt(d / n) over its relative gap, sqrt(13e-6) / .1 = .04 at most; its
    square is what the share of a kept signal loses."""
    population, sampled = grids
    for name in NAMES:
        many, few = (np.abs(sampled[name].sel(n=n) - population[name]) for n in (1_000_000, 60))
        assert float(many.max()) < 0.02
        assert float(few.mean()) > 10 * float(many.mean())
