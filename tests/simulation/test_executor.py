"""Results of a sweep depend on nothing but the grid: not on memory, workers, devices or processes."""

import json
import math
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import xarray as xr

from phasejax import SpikedModel, delta_cp, sweep
from phasejax.simulation import _executor, _stage, population_covariances
from phasejax.simulation._executor import Budget
from phasejax.simulation._grid import Grid, chunk_origins, chunk_shape_within, clipped_chunk_shape
from tests.support import as_users_run, assert_same_numbers

SCRIPT = """
import sys
import jax, numpy as np
import phasejax as pj
if len(sys.argv) > 2:
    jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=int(sys.argv[3]))
grid = pj.sweep(pj.SpikedModel.homogeneous, {"kappa": np.linspace(0.2, 2, 12), "nu": np.linspace(0, 1, 11)},
                fixed={"k": 2, "d": 6, "gamma_y": 0.2, "nuisance_y": 4.0}, n=40, seeds=3, key=jax.random.key(0),
                quantities=["regime", "error_ca"])
print(len(jax.devices()), jax.process_count())
if jax.process_index() == 0:
    grid.to_netcdf(sys.argv[1], engine="scipy")
"""


def grid(**options):
    namespace = {"sys": sys}
    arguments = SCRIPT.split("grid = pj.")[1].split("\nprint")[0]
    exec("import jax, numpy as np\nimport phasejax as pj\ngrid = pj." + arguments[:-1] + ", **options)",
         namespace | {"options": options}, namespace)
    return namespace["grid"]


@pytest.fixture(scope="module")
def reference():
    return grid()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("memory", ["least", "64MB"])
def test_no_digit_depends_on_memory_or_workers(monkeypatch, reference, memory, workers):
    monkeypatch.setattr(_executor, "local_slots", lambda: tuple(jax.local_devices()) * workers)
    if memory == "least":
        with pytest.raises(ValueError, match="memory: expected at least") as caught:
            grid(memory=1000.0)
        number, unit = str(caught.value).split("at least ")[1].split(" for")[0].split()
        memory = f"{float(number) * 1.01 * workers:.4g}{unit}"  # rounded as printed
    seen = []
    found = grid(memory=memory, progress=lambda task, done, total: seen.append((task, done, total)))
    xr.testing.assert_identical(found, reference)
    assert seen[0] == ("sweep", 0, 132 + 396)
    assert seen[-1] == ("sweep", 132 + 396, 132 + 396)


def test_the_chunk_follows_from_the_memory():
    program = _executor.Program.trace(lambda index, constants: {"x": index[0] * constants}, (10_000_000,), np.ones(3),
                                   closed_form=True)
    assert program.block_cells == 1024
    small, large = (math.prod(program.chunk_shape(Budget.from_memory(memory))) for memory in ("2MB", "20MB"))
    assert small % 1024 == 0
    assert 5 < large / small < 20
    assert 2 * large * program.cell_bytes * len(Budget.from_memory(None).slots) < 20e6


def run(arguments, devices=None):
    environment = as_users_run()
    if devices:
        environment["JAX_NUM_CPU_DEVICES"] = str(devices)
    command = [sys.executable, "-c", SCRIPT, *arguments]
    if devices is None:  # on one core, where there is one thread
        command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(process):
    with process:
        try:
            out, err = process.communicate(timeout=200)
        finally:
            process.kill()  # nothing is left running, even if it took too long
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "grid.nc"
    assert "1 1" in finished(run([str(path)]))
    with xr.open_dataset(path, engine="scipy") as found:
        assert json.loads(found.attrs["computed_on"])["cores"] == "1"
        return found.load()


@pytest.mark.slow
def test_eight_devices_give_the_same_digits(one_device, tmp_path):
    assert "8 1" in finished(run([str(tmp_path / "grid.nc")], devices=8))
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as found:
        assert_same_numbers(found.load(), one_device)


@pytest.mark.slow
def test_two_processes_give_the_same_digits(one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [run([str(tmp_path / "grid.nc"), address, str(i)], devices=2) for i in range(2)]
    assert all("4 2" in finished(process) for process in both)
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as found:
        assert_same_numbers(found.load(), one_device)


def test_chunks_cover_a_grid_once():
    for lengths, size in [((4, 31, 31), 100), ((7,), 3), ((3, 5), 1), ((2, 2, 2), 1000), ((5, 4), 8)]:
        chunk_shape = chunk_shape_within(lengths, size)
        assert math.prod(chunk_shape) <= max(size, 1)
        count = np.zeros(lengths, int)
        for origin in chunk_origins(lengths, chunk_shape):
            sides = clipped_chunk_shape(chunk_shape, lengths, origin)
            count[tuple(slice(first, first + side) for first, side in zip(origin, sides, strict=True))] += 1
        assert (count == 1).all()


@pytest.mark.parametrize(("memory", "expected"), [("2GB", 2e9), ("1.5 MB", 1.5e6), (3e8, 3e8)])
def test_sizes_are_understood(memory, expected):
    budget = Budget.from_memory(memory)
    assert budget.memory_bytes * len(budget.slots) == expected


def test_a_fraction_is_of_the_device():
    assert Budget.from_memory(0.5).memory_bytes == pytest.approx(2 * Budget.from_memory(None).memory_bytes, abs=2)


@pytest.mark.parametrize("memory", ["much", "2 GiB", -1.0, "0GB", float("nan"), float("inf")])
def test_other_sizes_are_refused(memory):
    with pytest.raises(ValueError, match="memory: expected a"):
        Budget.from_memory(memory)


def deviation(model, covariances):
    """Squared distance of sample covariances from the population's: it tells draws apart and is quick to compile."""
    return ((covariances.xx - population_covariances(model).xx) ** 2).sum()


# Tests that vary along other axes share one compiled program, of two models and four seeds.
TWO_MODELS = {"kappa": [2.0, 3.0], "nu": [0.1]}
FOUR_SEEDS = {"fixed": {"k": 1, "d": 4}, "quantities": {"deviation": deviation}, "seeds": 4, "key": jax.random.key(1)}


def test_sample_size_is_an_axis():
    """As many sweeps, one for each n; and the distance from the population falls with n."""
    together = sweep(SpikedModel.homogeneous, {"n": [50, 200, 5000], **TWO_MODELS}, **FOUR_SEEDS)
    for n in (50, 200, 5000):
        alone = sweep(SpikedModel.homogeneous, TWO_MODELS, n=n, **FOUR_SEEDS)
        np.testing.assert_allclose(together.deviation.sel(n=n), alone.deviation, rtol=1e-9)
    assert (np.diff(together.deviation.mean("seed"), axis=0) < 0).all()


def test_shapes_are_axes():
    """Dimension and number of signals as axes: as many sweeps of one size each, padded with NaN."""
    options = {"quantities": ["rho", "error_cp", "regression_singular_values"], "n": 60, "seeds": 3,
               "key": jax.random.key(2)}

    def of_sizes(d, k):
        return sweep(SpikedModel.homogeneous, {"d": ("size", d), "nu": [0.2, 0.6], "k": ("size", k)},
                     fixed={"kappa": 1.5}, **options)

    together = of_sizes([6, 8], [1, 3])
    assert together.regression_singular_values.shape == (2, 2, 3, 8)
    assert together.rho.dims == ("size", "nu", "signal")
    assert np.isnan(together.rho[0, :, 1:]).all()
    assert np.isnan(together.regression_singular_values[0, ..., 6:]).all()
    for i, (d, k) in enumerate([(6, 1), (8, 3)]):
        alone = of_sizes([d], [k]).isel(size=0)
        assert alone.rho.shape == (2, k)
        assert alone.regression_singular_values.shape == (2, 3, d)
        cell = together.isel(size=i)
        np.testing.assert_array_equal(cell.error_cp, alone.error_cp)
        np.testing.assert_array_equal(cell.rho[..., :k], alone.rho)
        np.testing.assert_array_equal(cell.regression_singular_values[..., :d], alone.regression_singular_values)


def test_independent_draws_differ_between_cells_seeds_and_shapes():
    """Even where cells have the same model."""
    apart = sweep(SpikedModel.homogeneous, {"d": [6, 8], "nu": [0.2, 0.2]}, n=60, common_random_numbers=False,
                  **FOUR_SEEDS | {"fixed": {"kappa": 1.5, "k": 1}})
    assert apart.deviation.shape == (2, 2, 4)
    assert len(np.unique(apart.deviation)) == 16


def test_parameters_that_share_a_dimension_vary_together():
    view = {"gamma_x": ("noise", [0.1, 0.5, 1.0]), "gamma_y": ("noise", [1.0, 0.5, 0.1]), "nu": [0.2, 0.4]}
    together = sweep(SpikedModel.homogeneous, view, fixed={"kappa": 1.0, "k": 1, "d": 3}, quantities=["delta_cp"])
    assert together.delta_cp.dims == ("noise", "nu")
    with jax.enable_x64(True):
        expected = [[float(delta_cp(SpikedModel.homogeneous(1.0, nu, gamma_x=x, gamma_y=y, k=1, d=3)))
                     for nu in (0.2, 0.4)] for x, y in [(0.1, 1.0), (0.5, 0.5), (1.0, 0.1)]]
    np.testing.assert_allclose(together.delta_cp, expected, rtol=1e-12)


def test_a_shape_and_the_sample_size_can_share_a_dimension():
    shaped = sweep(SpikedModel.homogeneous, {"d": ("size", [4, 4, 6]), "n": ("size", [20, 40, 40]), **TWO_MODELS},
                   **FOUR_SEEDS | {"fixed": {"k": 1}})
    alone = sweep(SpikedModel.homogeneous, TWO_MODELS, n=40, **FOUR_SEEDS)
    np.testing.assert_allclose(shaped.deviation[1], alone.deviation, rtol=1e-9)


def test_many_seeds_are_drawn_in_parts(monkeypatch):
    options = {"fixed": {"k": 1, "d": 3, "kappa": 1.0}, "quantities": ["error_ca"], "n": 20, "seeds": 21,
               "key": jax.random.key(3)}
    axes = {"nu": np.linspace(0.1, 0.9, 40)}
    whole = sweep(SpikedModel.homogeneous, axes, **options)
    monkeypatch.setattr(_stage, "_DRAWS_BYTES", 16 * 8 * 45)  # sixteen seeds' draws, then five
    monkeypatch.setattr(_executor, "_CHUNKS_PER_SLOT", 1)  # chunks of several blocks, clipped at their last side
    xr.testing.assert_identical(sweep(SpikedModel.homogeneous, axes, **options), whole)


def test_population_and_sample_side_by_side():
    """rho = 0.08 < nu = 0.5 at kappa = 0.3, so that CA finds nuisance there; rho = 0.8 at kappa = 2."""
    both = sweep(SpikedModel.homogeneous, {"kappa": [0.3, 2.0], "nu": [0.5]}, n=30,
                 **FOUR_SEEDS | {"quantities": ["population_error_ca", "error_ca"]})
    assert both.population_error_ca.dims == ("kappa", "nu")
    np.testing.assert_allclose(both.population_error_ca, [[1], [0]], atol=1e-12)
    assert both.error_ca.dims == ("kappa", "nu", "seed")


def test_a_function_of_model_and_covariances_is_a_quantity():
    own = {"trace": lambda model, covariances: covariances.yy.trace() / model.kappa[0]}
    found = sweep(SpikedModel.homogeneous, {"kappa": [1.0, 2.0]}, fixed={"nu": 0.5, "k": 1, "d": 3}, quantities=own)
    np.testing.assert_allclose(found.trace, [(1 + 1 + 2) / 1, (4 + 1 + 2) / 2])


@pytest.mark.parametrize(("axes", "message"), [
    ({"gamma_x": ("noise", [1.0, 2.0]), "nu": ("noise", [0.1])}, "nu: expected 2 values along 'noise', got 1"),
    ({"k": [1.5]}, r"k: expected whole numbers of at least 1, got \[1.5\]"),
    ({"n": [0, 5]}, r"n: expected whole numbers of at least 1, got \[0 5\]"),
    ({"nu": ["a"]}, "nu: expected real numbers, got dtype"),
])
def test_bad_axes_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        Grid.from_axes(axes)
