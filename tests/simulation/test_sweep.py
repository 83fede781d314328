"""Sweeps equal direct evaluation, whatever the chunks; datasets survive files; bad grids are refused."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from phasejax import SpikedModel, delta_ca, sweep
from phasejax.linear import canonical_correlations, mean_squared_sine, signal_directions, solve_ca
from phasejax.simulation import (
    QUANTITIES,
    Quantity,
    _size,
    bartlett_factor,
    colour,
    population_covariances,
    sample_pairs,
)
from phasejax.theory import Regime

FIXED = {"k": 2, "d": 6, "gamma_y": 0.2, "nuisance_y": 4.0}
AXES = {"kappa": [0.5, 1.0, 2.0], "nu": [0.2, 0.9]}
KEY = jax.random.key(0)
HUGE = {"kappa": np.linspace(0, 1, 10**6), "nu": np.linspace(0, 1, 10**6)}

THEORY = ["delta_ca", "regime", "r_ca"]
# Tests that sample ask for these two, with as many seeds: they share a compiled program.
SAMPLED, SEEDS = ["error_ca", "canonical_correlations"], 3


def small(quantities, **options):
    return sweep(SpikedModel.homogeneous, AXES, fixed=FIXED, quantities=quantities, **options)


@pytest.fixture(scope="module")
def grid():
    return small(THEORY + SAMPLED, n=50, seeds=SEEDS, key=KEY)


def test_every_cell_equals_direct_evaluation(grid):
    assert grid.error_ca.dims == ("kappa", "nu", "seed")
    assert grid.canonical_correlations.dims == ("kappa", "nu", "seed", "component")

    @jax.jit
    def direct(model, key):
        covariances = colour(bartlett_factor(key, 50, 12), model)
        return (mean_squared_sine(signal_directions(2, 6), solve_ca(covariances, 2).encoder_x),
                canonical_correlations(covariances))

    with jax.enable_x64(True):
        for kappa in AXES["kappa"]:
            for nu in AXES["nu"]:
                model = SpikedModel.homogeneous(kappa, nu, **FIXED)
                cell = grid.sel(kappa=kappa, nu=nu)
                assert float(cell.delta_ca) == pytest.approx(float(delta_ca(model)), rel=1e-14)
                for seed in range(3):
                    error, correlations = direct(model, jax.random.fold_in(KEY, seed))
                    assert float(cell.error_ca[seed]) == pytest.approx(float(error), rel=1e-9)
                    np.testing.assert_allclose(cell.canonical_correlations[seed], correlations, rtol=1e-9)


def test_population_sweep_has_no_seeds_and_finds_the_closed_form():
    grid = small(["canonical_correlations", "rho", "error_ca", "delta_ca"])
    assert "seed" not in grid.dims
    both = np.sort(np.concatenate([grid.rho, np.broadcast_to(grid.nu.values[None, :, None], (3, 2, 4))], 2))[..., ::-1]
    np.testing.assert_allclose(grid.canonical_correlations, both, rtol=1e-12)
    np.testing.assert_allclose(grid.error_ca, (grid.delta_ca < 1).astype(float), atol=1e-10)


def test_population_solutions_separate_as_theory_says():
    """Components classified by overlap: the ratios of the solvers' spectra are Delta_CA and Delta_CP."""
    grid = sweep(SpikedModel.geometric, {"kappa_bar": [0.7, 1.0, 2.0], "nu": [0.2, 0.9]},
                 fixed=FIXED | {"decay": 0.6, "d_y": 8},
                 quantities=["separation_ca", "separation_cp", "delta_ca", "delta_cp"])
    np.testing.assert_allclose(grid.separation_ca, grid.delta_ca, rtol=1e-9)
    np.testing.assert_allclose(grid.separation_cp, grid.delta_cp, rtol=1e-9)


@pytest.mark.slow
def test_the_reverse_direction_looks_at_the_signal_in_y():
    """kappa = 1.05: tau = .76 > xi = .7, but tau_rev = 1.00 < xi_rev = 1.21. kappa = 3: both recover."""
    model = SpikedModel.homogeneous(1.0, 0.7, gamma_y=0.1, nuisance_x=3.0, k=2, d=5, d_y=7)
    grid = sweep(model, {"kappa": [1.05, 3.0]}, quantities=["error_cp", "error_cp_reverse"])
    np.testing.assert_allclose(grid.error_cp, [0, 0], atol=1e-12)
    np.testing.assert_allclose(grid.error_cp_reverse, [1, 0], atol=1e-12)


@pytest.mark.slow
def test_the_accelerators_batched_path_gives_the_same_numbers(monkeypatch):
    """What runs on a GPU, all cells and seeds under vmap, here on the CPU."""
    options = {"n": 40, "seeds": 4, "key": KEY}
    looped = small(["error_ca", "total_mse_cp", "canonical_correlations"], **options)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    batched = small(["error_ca", "total_mse_cp", "canonical_correlations"], **options)
    xr.testing.assert_allclose(batched, looped, rtol=1e-11)


@pytest.mark.slow
def test_common_random_numbers_make_smooth_curves():
    axes = {"nu": np.linspace(0.2, 0.6, 41)}

    def roughness(common):
        grid = sweep(SpikedModel.homogeneous, axes, fixed=FIXED | {"kappa": 1.5}, quantities=["error_ca"], n=100,
                     seeds=5, key=KEY, common_random_numbers=common)
        return float(np.abs(np.diff(grid.error_ca, 2, axis=0)).mean())

    assert roughness(True) < roughness(False) / 20


def test_a_model_can_be_swept_over_its_fields():
    model = SpikedModel.create([2.0, 1.0], nu=[0.1, 0.2, 0.3], gamma_x=[0.1, 0.9], d=5)
    grid = sweep(model, {"nuisance_y": [1.0, 4.0]}, quantities=["delta_cp"])
    with jax.enable_x64(True):
        from phasejax import delta_cp
        expected = [float(delta_cp(model.replace(nuisance_y=v))) for v in (1.0, 4.0)]
    np.testing.assert_allclose(grid.delta_cp, expected, rtol=1e-14)
    assert json.loads(grid.attrs["parameters"])["gamma_x"] == [0.1, 0.9]


def test_a_function_can_build_the_models():
    def build(angle):
        return SpikedModel.homogeneous(jnp.cos(angle), jnp.sin(angle), k=1, d=3)

    grid = sweep(build, {"angle": [0.3, 0.4]}, quantities="delta_ca")
    assert grid.attrs["model"].endswith("build")
    assert np.all(np.diff(grid.delta_ca) < 0)


def test_own_quantities():
    own = {"trace": Quantity(lambda cell: jnp.trace(cell.covariances.yy), "trace of S_yy", units="data units squared"),
           "diagonal": Quantity(lambda cell: jnp.diag(cell.covariances.xx), "variances of x"),
           "double": Quantity(lambda model: 2 * delta_ca(model), "twice Delta_CA", source="theory")}
    grid = sweep(SpikedModel.homogeneous, AXES, fixed=FIXED, quantities=own | {"delta_ca": QUANTITIES["delta_ca"]})
    np.testing.assert_allclose(grid.double, 2 * grid.delta_ca)
    assert grid.diagonal.shape == (3, 2, 6)
    with jax.enable_x64(True):
        expected = np.trace(population_covariances(SpikedModel.homogeneous(0.5, 0.2, **FIXED)).yy)
    assert float(grid.trace[0, 0]) == pytest.approx(expected, rel=1e-14)
    assert grid.trace.attrs == {"long_name": "trace of S_yy", "units": "data units squared"}


@pytest.mark.slow
def test_every_quantity_by_name():
    grid = sweep(SpikedModel.homogeneous, AXES | {"lam": [0.0, 1.0]}, fixed=FIXED, quantities=list(QUANTITIES), n=60,
                 seeds=2, key=KEY)
    assert set(grid.data_vars) == set(QUANTITIES)
    assert all(v.attrs["long_name"] and v.attrs["units"] for v in grid.variables.values())
    assert all(np.isfinite(v).all() for v in grid.data_vars.values())
    np.testing.assert_allclose(grid.joint_to_cp.sel(lam=0), 0, atol=1e-12)


def test_datasets_survive_netcdf(grid, tmp_path):
    grid.to_netcdf(tmp_path / "grid.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as read:
        xr.testing.assert_identical(grid, read.load())
    assert json.loads(grid.attrs["parameters"]) == FIXED
    assert grid.attrs["n"] == 50


def test_nothing_is_sampled_where_only_theory_is_asked_for():
    theory = small(["delta_ca"])
    assert "n" not in theory.attrs
    assert theory.delta_ca.dtype == np.float64
    assert not jax.config.jax_enable_x64  # the precision setting is left alone
    assert jnp.ones(1).dtype == jnp.float32


def test_regime_codes_say_what_they_mean(grid):
    meanings = grid.regime.attrs["flag_meanings"].split("|")
    assert meanings == [member.value for member in Regime]
    assert meanings[int(grid.regime.sel(kappa=2.0, nu=0.2))] == "Both"


def test_few_pairs_are_warned_about():
    """Below d_x + d_y = 12 pairs the Wishart matrix is singular: d_x + d_y - n correlations are 1."""
    with pytest.warns(UserWarning, match=r"n: 9 pairs are fewer than d_x \+ d_y = 12, so the largest 3"):
        correlations = small(SAMPLED, n=9, seeds=SEEDS, key=KEY).canonical_correlations
    np.testing.assert_allclose(correlations[..., :3], 1, rtol=1e-9)
    assert float(correlations[..., 3].max()) < 1 - 1e-6


def test_progress_reports_every_cell(capfd, monkeypatch):
    seen = []
    small(["delta_ca"], progress=lambda *report: seen.append(report))
    assert seen == [("sweep", 0, 6), ("sweep", 6, 6)]  # when the program is compiled, and after its only chunk
    small(["delta_ca"], progress=True)
    assert capfd.readouterr() == ("", "")  # there is no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    small(["delta_ca"], progress=True)
    out, err = capfd.readouterr()
    assert "6/6" in err
    assert not out


def test_an_interrupt_ends_the_sweep_at_once():
    def interrupt(task, done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(SAMPLED, n=50, seeds=SEEDS, key=KEY, progress=interrupt)


@pytest.mark.parametrize(("change", "message"), [
    ({"quantities": ["population_eror_ca"]}, r"quantities: .* \(did you mean 'population_error_ca'\?\)"),
    ({"quantities": ["delta"]}, "quantities: expected names among rho, tau, .* got 'delta'"),
    ({"quantities": []}, "quantities: expected at least one"),
    ({"axes": {}}, "axes: expected at least one"),
    ({"axes": {"nu": []}}, "nu: expected an axis of at least one value"),
    ({"axes": {"nu": np.array([[0.1]])}}, "nu: expected an axis"),
    ({"axes": {"nu": [0.5, 1.5]}}, r"nu: expected values in \[0, 1\], got 1.5"),
    ({"axes": {"kappa": [1.0, -2.0], "nu": [0.1]}}, "kappa: expected finite values >= 0, got -2"),
    ({"axes": {"kappa": [1.0], "nu": [0.1], "zeta": [1.0]}}, "expected the arguments of SpikedModel.homogeneous"),
    ({"axes": {"nu": [0.5]}}, "expected the arguments of SpikedModel.homogeneous, got missing .*kappa"),
    ({"fixed": {"k": 7, "d": 6}}, r"k: expected at most min\(d_x, d_y\) = 6 signals, got 7"),
    ({"fixed": {"k": 2, "d": 6, "gamma_x": -1.0}}, "gamma_x: expected finite values >= 0, got -1"),
    ({"n": 0}, "n: expected a whole number of at least 1, got 0"),
    ({"n": 5, "key": KEY}, r"n: expected at least max\(d_x, d_y\) = 6 pairs to whiten a sample, got 5"),
    ({"n": 10, "seeds": 0}, "seeds: expected a whole number from 1 to 10000000, got 0"),
    ({"seeds": 3}, "seeds: expected 1 because n is not given, got 3"),
    ({"n": 10}, "key: expected a random key because n is given"),
    ({"quantities": ["error_joint"]}, "lam: expected an axis or a fixed value"),
    # What would have no effect.
    ({"quantities": ["regime", "rho"], "n": 50}, r"n: .* got only regime, rho \(did you mean 'finite_regime'\?\)$"),
    ({"quantities": ["population_error_ca"], "n": 50, "key": KEY}, "n: .* depend on it, got only population_error_ca$"),
    ({"quantities": ["rho"], "axes": AXES | {"n": [50, 60]}}, "n: expected quantities that depend on it, got only rho"),
    ({"quantities": ["finite_regime"], "n": 50, "seeds": 2}, "seeds: expected 1, since nothing is computed from samp"),
    ({"common_random_numbers": False}, "common_random_numbers: expected True, since nothing is computed from samples"),
    ({"fixed": FIXED | {"lam": 1.0}, "quantities": ["delta_ca", "error_ca"]}, "lam: expected quantities of the joint"),
    ({"axes": AXES | {"lam": [0.5]}}, "lam: expected quantities of the joint objective with it"),
    # What nobody can compute.
    ({"n": 50, "key": 0, "seeds": 10**12}, "seeds: expected a whole number from 1 to 10000000, got 1000000000000"),
    ({"axes": {"kappa": np.arange(10**7 + 1), "nu": [0.5]}}, "kappa: expected at most 10000000 values, got 10000001"),
    ({"axes": AXES | {"d": np.arange(2000) + 6}, "fixed": {"k": 2}}, "d: expected at most 1000 combinations, since"),
    ({"axes": HUGE}, r"axes: expected what fits into memory \(.* GB available\), got"),
    ({"axes": HUGE, "n": 50, "key": 0, "seeds": 10, "memory": "20MB"}, "axes: expected what fits into memory"),
])
def test_bad_grids_are_refused_in_one_line(change, message):
    arguments = {"axes": AXES, "fixed": FIXED, "quantities": ["error_ca"]} | change
    with pytest.raises(ValueError, match=message) as caught:
        sweep(SpikedModel.homogeneous, arguments.pop("axes"), **arguments)
    assert "\n" not in str(caught.value)


def test_a_field_that_the_model_lacks_is_refused():
    with pytest.raises(ValueError, match="decay: expected one of kappa, nu"):
        sweep(SpikedModel.homogeneous(1.0, 0.5, k=1, d=2), {"decay": [1.0]}, quantities=["delta_ca"])


@pytest.mark.parametrize(("fixed", "message"), [
    ({"n": 50}, r"^fixed: expected n as an argument of its own, got it among those of the model \(n=50\)$"),
    ({"nu": 0.3}, "^fixed: expected arguments that are no axes, got nu, which is an axis too$")])
def test_what_would_be_ignored_is_refused(fixed, message):
    with pytest.raises(ValueError, match=message):
        sweep(SpikedModel.homogeneous, {"nu": [0.1, 0.2]}, quantities=["delta_ca"],
              fixed={"k": 2, "d": 5, "kappa": 1.0, **fixed})


@pytest.mark.parametrize(("options", "message"), [
    ({"axes": HUGE, "fixed": FIXED, "quantities": ["delta_ca"]}, r"store: .* that fit on its disk \(.* GB free\), got"),
    ({"axes": HUGE, "fixed": FIXED, "quantities": ["error_ca"], "n": 50, "seeds": 10**7}, "store: expected results "),
    ({"axes": {"kappa": [1.0], "k": [1, 2, 3]}, "fixed": {"nu": 0.5, "d": 6}, "quantities": ["rho"]},
     "memory: expected chunks of which at most 2 make the grid of 3 cells, got a size that makes 3 "),
])
def test_a_store_that_would_never_be_full_is_not_begun(tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(_size, "_MOST_CHUNKS", 2)
    with pytest.raises(ValueError, match=message):
        sweep(SpikedModel.homogeneous, options.pop("axes"), key=KEY, store=tmp_path / "run.zarr", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("with_store", [False, True])
def test_a_model_can_be_used_in_single_precision_after_a_sweep(tmp_path, with_store):
    """JAX takes a NumPy array for one of float64 as long as a trace in float64 that holds it is alive."""
    model = SpikedModel.homogeneous(2.0, 0.5, k=2, d=6)
    swept = sweep(lambda nu: model.replace(nu=nu), {"nu": [0.1, 0.5]}, quantities=["delta_ca"],
                  store=tmp_path / "run.zarr" if with_store else None)
    assert sample_pairs(jax.random.key(3), model, 5).x.dtype == np.float32
    assert swept.sizes == {"nu": 2}
