"""Promises that hold for the package as a whole."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import phasejax as pj

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MODEL = pj.SpikedModel.create([2.0, 1.0], nu=[0.3, 0.6], gamma_x=[0.1, 0.5], gamma_y=1.0, nuisance_x=2.0,
                              nuisance_y=[1.0, 3.0, 0.5], d=4, d_y=5)
FACTOR = pj.bartlett_factor(jax.random.key(0), 40, 9)

# Every public function of a model that returns arrays, and compositions that reach every solver and metric.
FUNCTIONS = {name: getattr(pj, name) for name in (
    "rho", "tau", "xi", "spectrum_ca", "spectrum_cp", "delta_ca", "delta_cp", "delta_cp_reverse", "r_ca", "r_cp",
    "r_cp_reverse", "regime_code", "ratio_bound", "total_mse_ca", "total_mse_cp", "signal_mse_ca", "signal_mse_cp",
    "population_covariances", "signal_covariances")}
FUNCTIONS |= {
    "finite_sample": lambda m: pj.finite_sample(m, 30),
    "colour": lambda m: pj.colour(FACTOR, m),
    "sample_covariances": lambda m: pj.sample_covariances(jax.random.key(1), m, 30),
    "sample_pairs": lambda m: pj.sample_pairs(jax.random.key(1), m, 7),
    "solve_ca": lambda m: pj.mean_squared_sine(jnp.eye(2, 4), pj.solve_ca(pj.colour(FACTOR, m), 2).encoder_x),
    "solve_ca_probe": lambda m: pj.solve_ca_probe(pj.colour(FACTOR, m), 2).predictor,
    "solve_cp": lambda m: pj.solve_cp(pj.colour(FACTOR, m), 2).predictor,
    "solve_joint": lambda m: pj.solve_joint(pj.colour(FACTOR, m), 2, 0.5).predictor,
    "spectra": lambda m: (pj.canonical_correlations(pj.colour(FACTOR, m)),
                          pj.regression_singular_values(pj.colour(FACTOR, m))),
    "projector_distance": lambda m: pj.projector_distance(jnp.eye(2, 4), pj.solve_cp(pj.colour(FACTOR, m), 2).encoder),
    "recovered_count": lambda m: pj.recovered_count(jnp.eye(2, 4), pj.solve_cp(pj.colour(FACTOR, m), 2).encoder),
    "encoder_norm": lambda m: pj.encoder_norm(pj.solve_ca(pj.colour(FACTOR, m), 2), pj.colour(FACTOR, m)),
}


@pytest.fixture(params=FUNCTIONS, ids=FUNCTIONS)
def function(request):
    with jax.enable_x64(True):
        yield FUNCTIONS[request.param]


def assert_equal(a, b):
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-11), a, b)


def test_jit_equals_eager(function):
    assert_equal(jax.jit(function)(MODEL), function(MODEL))


def test_jitted_vmap_equals_a_loop(function):
    nus = jnp.array([0.1, 0.5, 0.7])
    batch = jax.jit(jax.vmap(lambda nu: function(MODEL.replace(nu=nu))))(nus)
    for i, nu in enumerate(nus):
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], batch), function(MODEL.replace(nu=nu)))


def test_gradients_are_finite(function):
    def scalar(model):
        leaves = [leaf for leaf in jax.tree.leaves(function(model)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum((jnp.sum(leaf**2) for leaf in leaves), jnp.sum(model.kappa))

    for leaf in jax.tree.leaves(jax.jit(jax.grad(scalar))(MODEL)):
        assert jnp.all(jnp.isfinite(leaf))


def test_the_second_call_does_not_compile(function):
    compiled = jax.jit(function)
    compiled(MODEL)
    compiled(MODEL.replace(nu=0.2))
    assert compiled._cache_size() == 1


def test_the_public_names_are_all_there_and_documented():
    assert len(set(pj.__all__)) == len(pj.__all__)
    for name in pj.__all__:
        value = getattr(pj, name)
        if callable(value) or inspect.ismodule(value):
            assert len(value.__doc__ or "") > 30, name
    assert set(pj.__all__) == set(dir(pj))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pj.nothing


def test_readme_and_names_agree():
    """Every function in the README's table exists and names a test file that exists."""
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert len(rows) >= 15
    for row in rows:
        functions, _, test = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
        for name in functions.replace("`", "").split(","):
            assert name.strip().split(".")[0] in pj.__all__, name
        assert (ROOT / test.strip("`")).is_file(), test


def test_import_is_light_and_changes_nothing():
    code = ("import sys, jax; before = dict(jax.config.values); import phasejax; "
            "heavy = {'xarray', 'pandas', 'matplotlib', 'sklearn', 'flax', 'orbax', 'rich', 'tyro', 'scipy'}"
            ".intersection(sys.modules); assert not heavy, heavy; assert dict(jax.config.values) == before; "
            "from jax._src import xla_bridge; assert not xla_bridge.backends_are_initialized()")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_submodules_never_hide_functions():
    """`import phasejax.sweeps` must not replace `phasejax.sweep`."""
    code = ("import phasejax.sweeps, phasejax.regimes, phasejax.diagnosis, phasejax; "
            "assert callable(phasejax.sweep) and callable(phasejax.regime) and callable(phasejax.diagnose)")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    modules = {path.stem for path in (ROOT / "phasejax").glob("*.py")}
    assert not modules & {name for name in pj.__all__ if not inspect.ismodule(getattr(pj, name))}


def test_modules_stay_small():
    for folder in ("phasejax", "paper_figs", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 350, path


def test_no_asserts_guard_user_input():
    for path in (ROOT / "phasejax").rglob("*.py"):
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text()))), path
