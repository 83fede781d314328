"""Promises that hold for the package as a whole."""

import ast
import importlib
import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import phasejax as pj
from tests.support import ROOT

MODEL = pj.SpikedModel.create([2.0, 1.0], nu=[0.3, 0.6], gamma_x=[0.1, 0.5], gamma_y=1.0, nuisance_x=2.0,
                              nuisance_y=[1.0, 3.0, 0.5], d=4, d_y=5)
NUS = (0.1, 0.5, 0.7)
PACKAGES = ("io", "theory", "linear", "simulation", "instruments", "similarity", "information", "deep", "captions",
            "diagnosis", "explorer")
# Where a package may import from: only from those before it.
LAYERS = ("_version", "_core", "io", "theory", "linear", "simulation", "instruments", "similarity", "datasets",
          "plotting", "information", "deep", "captions", "diagnosis", "explorer", "cli")


def quantities(model):
    """Every public function of a model that returns arrays, and compositions that reach every solver and metric."""
    theory, linear, simulation = pj.theory, pj.linear, pj.simulation
    found = {name: getattr(theory, name)(model) for name in (
        "rho", "tau", "xi", "spectrum_ca", "spectrum_cp", "delta_ca", "delta_cp", "delta_cp_reverse", "r_ca", "r_cp",
        "r_cp_reverse", "regime_code", "ratio_bound", "total_mse_ca", "total_mse_cp", "signal_mse_ca", "signal_mse_cp")}
    factor, directions = simulation.bartlett_factor(jax.random.key(0), 40, 9), jnp.eye(2, 4)
    sample = simulation.colour(factor, model)
    ca, cp = linear.solve_ca(sample, 2), linear.solve_cp(sample, 2)
    return found | {
        "population_covariances": simulation.population_covariances(model),
        "signal_covariances": simulation.signal_covariances(model),
        "finite_sample": theory.finite_sample(model, 30),
        "colour": sample,
        "sample_covariances": simulation.sample_covariances(jax.random.key(1), model, 30),
        "sample_pairs": simulation.sample_pairs(jax.random.key(1), model, 7),
        "solve_ca": linear.mean_squared_sine(directions, ca.encoder_x),
        "solve_ca_probe": linear.solve_ca_probe(sample, 2).predictor,
        "solve_cp": cp.predictor,
        "solve_joint": linear.solve_joint(sample, 2, 0.5).predictor,
        "spectra": (linear.canonical_correlations(sample), linear.regression_singular_values(sample)),
        "projector_distance": linear.projector_distance(directions, cp.encoder),
        "recovered_count": linear.recovered_count(directions, cp.encoder),
        "encoder_norm": linear.encoder_norm(ca, sample),
    }


# One program for each transformation, not one for each function and transformation: compiling is what takes time.
@pytest.fixture(scope="module")
def eager():
    with jax.enable_x64(True):
        return quantities(MODEL)


@pytest.fixture(scope="module")
def compiled():
    """The values under jit for MODEL and for each of NUS, and how many programs these calls compiled."""
    with jax.enable_x64(True):
        program = jax.jit(quantities)
        values = [program(MODEL), *(program(MODEL.replace(nu=nu)) for nu in NUS)]
        return values, program._cache_size()


@pytest.fixture(scope="module")
def batched():
    with jax.enable_x64(True):
        return jax.jit(jax.vmap(lambda nu: quantities(MODEL.replace(nu=nu))))(jnp.array(NUS))


NAMES = sorted(jax.eval_shape(quantities, MODEL))
for_each_function = pytest.mark.parametrize("name", NAMES)


def assert_equal(a, b):
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-11), a, b)


@for_each_function
def test_jit_equals_eager(compiled, eager, name):
    assert_equal(compiled[0][0][name], eager[name])


@for_each_function
def test_jitted_vmap_equals_a_loop(batched, compiled, name):
    for i, value in enumerate(compiled[0][1:]):
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], batched[name]), value[name])


def test_gradients_are_finite():
    """Of the sum of all squares: it is finite only where that of every quantity is.

    Those of finite-sample theory, half of the program, are compared with differences in theory/test_random_matrix.
    """
    def total(model):
        found = {name: value for name, value in quantities(model).items() if name != "finite_sample"}
        leaves = [leaf for leaf in jax.tree.leaves(found) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum((jnp.sum(leaf**2) for leaf in leaves), jnp.sum(model.kappa))

    with jax.enable_x64(True):
        for leaf in jax.tree.leaves(jax.jit(jax.grad(total))(MODEL)):
            assert jnp.all(jnp.isfinite(leaf))


def test_further_calls_do_not_compile(compiled):
    assert compiled[1] == 1


def public_names():
    """(package, name) of everything that is public."""
    return [("phasejax", name) for name in pj.__all__] + [
        (f"phasejax.{package}", name) for package in PACKAGES
        for name in importlib.import_module(f"phasejax.{package}").__all__]


def test_the_public_names_are_all_there_and_documented():
    for package, name in public_names():
        module = importlib.import_module(package)
        value = getattr(module, name)
        if callable(value) or inspect.ismodule(value):
            assert len(value.__doc__ or "") > 30, (package, name)
        assert name in dir(module)
    for package in ("phasejax", *(f"phasejax.{name}" for name in PACKAGES)):
        names = importlib.import_module(package).__all__
        assert len(set(names)) == len(names)
    with pytest.raises(AttributeError, match="No phasejax attribute nothing"):
        _ = pj.nothing


def annotated(function):
    """Whether every argument and the result have a type; `self` and `cls` need none."""
    signature = inspect.signature(function)
    arguments = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    return signature.return_annotation is not inspect.Signature.empty and all(
        p.annotation is not inspect.Parameter.empty for p in arguments)


def test_public_functions_and_methods_are_annotated():
    """What `py.typed` promises; scikit-learn prescribes the bare signatures of its estimators' methods."""
    missing = []
    for package, name in public_names():
        value = getattr(importlib.import_module(package), name)
        if inspect.isfunction(value) and not annotated(value):
            missing.append(f"{package}.{name}")
        if inspect.isclass(value) and not hasattr(value, "get_params"):
            methods = {key: getattr(member, "__func__", member) for key, member in vars(value).items()
                       if not key.startswith("_")}
            missing += [f"{package}.{name}.{key}" for key, member in methods.items()
                        if inspect.isfunction(member) and not annotated(member)]
    assert not missing


def test_packages_only_import_what_is_below_them():
    """Data flows upwards: no package imports one that comes after it, and no two import each other."""
    for path in (ROOT / "phasejax").rglob("*.py"):
        package = path.relative_to(ROOT / "phasejax").parts[0].removesuffix(".py")
        if package in ("__init__", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "phasejax":
                parts = node.module.split(".")[1:]
                for imported in parts[:1] or [alias.name for alias in node.names]:
                    assert LAYERS.index(imported) <= LAYERS.index(package), f"{path}:{node.lineno}"


def test_import_is_light_and_changes_nothing():
    code = ("import sys, jax; before = dict(jax.config.values); import phasejax; "
            "heavy = {'xarray', 'pandas', 'matplotlib', 'sklearn', 'flax', 'orbax', 'rich', 'tyro', 'scipy'}"
            ".intersection(sys.modules); assert not heavy, heavy; assert dict(jax.config.values) == before; "
            "from jax._src import xla_bridge; assert not xla_bridge.backends_are_initialized()")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_modules_stay_small():
    for folder in ("phasejax", "paper_figs", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 350, path


def test_no_asserts_guard_user_input():
    for path in (ROOT / "phasejax").rglob("*.py"):
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text()))), path
