"""Training finds the closed forms where theory says so, and stops."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import phasejax as pj
from phasejax import linear
from phasejax.linear._metrics import collapsed_error, output_spectrum
from phasejax.simulation import QUANTITIES, TRAINED, Cell

KEY = jax.random.key(1)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def model_at(nu):
    return pj.SpikedModel.create([3.0, 2.0], nu, gamma_x=0.5, gamma_y=0.3, nuisance_y=4.0, d=7, d_y=5)


@jax.jit
def covariances_at(nu):
    return pj.simulation.sample_covariances(jax.random.key(0), model_at(nu), 2000)


TRAIN = jax.jit(lambda covariances, objective: pj.linear.train(
    objective, covariances, 2, key=KEY, lam=0.5 if objective == "joint" else None), static_argnames="objective")

CLOSED = {"vicreg": lambda c: (pj.linear.solve_ca(c, 2).encoder_x, pj.linear.solve_ca(c, 2).spectrum),
          "deepcca": lambda c: (pj.linear.solve_ca(c, 2).encoder_x, pj.linear.solve_ca(c, 2).spectrum),
          "cp": lambda c: (pj.linear.solve_cp(c, 2).encoder, pj.linear.solve_cp(c, 2).spectrum),
          "joint": lambda c: (pj.linear.solve_joint(c, 2, 0.5).encoder, pj.linear.solve_joint(c, 2, 0.5).spectrum)}


@pytest.mark.slow
@pytest.mark.parametrize("objective", CLOSED)
def test_training_finds_the_closed_form_in_every_cell(objective, float64):
    def both(nu):
        covariances = covariances_at(nu)
        encoder, spectrum = CLOSED[objective](covariances)
        found = pj.linear.train(objective, covariances, 2, key=KEY, lam=0.5 if objective == "joint" else None)
        return found, pj.linear.mean_squared_sine(encoder, found.encoder_x), spectrum[:2]

    nus = np.array([0.0, 0.2, 0.5])
    found, distance, spectrum = jax.jit(jax.vmap(both))(nus)
    assert found.converged.all()
    assert np.max(distance) < 1e-6
    # Errors of the spectrum are second order in those of the subspace; DeepCCA and VICReg leave V free as well.
    np.testing.assert_allclose(found.spectrum, spectrum, rtol=1e-6)
    assert found.steps.dtype == jnp.int32
    assert len(set(np.asarray(found.steps).tolist())) > 1  # cells stop on their own
    # Going on for the sake of other cells has not moved a cell that had stopped.
    alone = TRAIN(covariances_at(nus[2]), objective)
    assert abs(int(alone.steps) - int(found.steps[2])) <= 300  # rounding may tip a comparison
    np.testing.assert_allclose(alone.loss, found.loss[2], rtol=1e-6)
    if objective == "joint":
        whitened = alone.encoder_x @ covariances_at(nus[2]).xx @ alone.encoder_x.T
        np.testing.assert_allclose(whitened, np.eye(2), atol=1e-10)
    assert (alone.encoder_y is None) == (objective == "cp")
    assert (alone.decoder is None) == (objective in ("vicreg", "deepcca"))


@pytest.mark.slow
def test_prediction_finds_the_nuisance_where_nuisance_wins(float64):
    covariances = pj.simulation.sample_covariances(jax.random.key(0), model_at(0.7).replace(nuisance_y=16.0), 2000)
    found = TRAIN(covariances, "cp")
    assert float(pj.linear.mean_squared_sine(pj.linear.solve_cp(covariances, 2).encoder, found.encoder_x)) < 1e-5
    assert float(pj.linear.mean_squared_sine(pj.linear.solve_ca(covariances, 2).encoder_x, found.encoder_x)) > 0.4


def test_the_steps_run_out(float64):
    found = jax.jit(lambda c: pj.linear.train("cp", c, 2, key=KEY, max_steps=130, window=50))(covariances_at(0.5))
    assert int(found.steps) == 150
    assert not found.converged


@pytest.mark.slow
@pytest.mark.parametrize(("decay", "in_use"), [(0.8, 3), (0.6, 2), (0.4, 2)])
def test_vicreg_gives_up_signals_where_its_closed_form_says(decay, in_use, float64):
    """Spread canonical correlations: CCA recovers all three signals, VICReg's outputs span fewer directions."""
    model = pj.SpikedModel.geometric(3.0, 0.1, decay=decay, k=3, d=6, gamma_x=1.0, gamma_y=0.05, nuisance_y=5.0)
    covariances = pj.simulation.population_covariances(model)

    @jax.jit
    def run(covariances):
        cell = Cell(model, covariances)
        names = ("vicreg_outputs", "vicreg_outputs_theory", "error_vicreg")
        return [TRAINED[name].compute(cell) for name in names], cell.trained("vicreg").loss, cell.ca.spectrum

    (outputs, theory, error), loss, phi = run(covariances)
    assert float(QUANTITIES["error_ca"].compute(Cell(model, covariances))) < 1e-10
    assert np.sum(theory > 0) == in_use
    np.testing.assert_allclose(outputs, theory, atol=0.03)  # the optimum is flat
    assert float(error) == pytest.approx(1 - in_use / 3, abs=1e-4)
    # The optimum's own value, but for epsilon: 25 (2 sum n (1 - phi) + ...) + 2 (sum n^2 - k) over k.
    best = (50 * np.sum(theory * (1 - phi[:3])) + 2 * (np.sum(theory**2) - 3)) / 3
    assert float(loss) == pytest.approx(float(best), rel=2e-3)


def test_the_collapsed_error_counts_only_directions_in_use(float64):
    rng = np.random.default_rng(0)
    variance = np.diag([4.0, 1.0, 2.0, 0.5])
    directions = np.linalg.qr(rng.standard_normal((4, 4)))[0][:2]
    encoder = rng.standard_normal((2, 4)) / 2
    expected = float(pj.linear.mean_squared_sine(directions, encoder))
    assert float(collapsed_error(directions, encoder, variance)) == pytest.approx(expected, rel=1e-9)
    # Second output a copy of the first, up to 1e-3 of it: one direction in use.
    copied = np.stack([encoder[0], encoder[0] + 1e-3 * encoder[1]])
    unit = encoder[0] / np.linalg.norm(encoder[0])
    assert float(collapsed_error(directions, copied, variance)) == pytest.approx(
        1 - np.sum((directions @ unit) ** 2) / 2, abs=1e-3)
    np.testing.assert_allclose(output_spectrum(encoder, variance),
                               np.linalg.eigvalsh(encoder @ variance @ encoder.T)[::-1], rtol=1e-10)


@pytest.mark.slow
def test_quantities_land_beside_the_closed_forms(float64, monkeypatch):
    calls = []
    train = linear.train
    monkeypatch.setattr(linear, "train", lambda objective, *args, **options: (
        calls.append(objective), train(objective, *args, **options, max_steps=200))[1])

    def everything(nu):
        cell = Cell(model_at(nu), covariances_at(nu), lam=0.5)
        return {name: quantity.compute(cell) for name, quantity in TRAINED.items()}

    found = jax.jit(jax.vmap(everything))(jnp.array([0.1, 0.5]))
    assert sorted(calls) == ["cp", "deepcca", "joint", "vicreg"]  # each trained once
    assert not set(TRAINED) & set(QUANTITIES)
    for name, quantity in TRAINED.items():
        assert found[name].shape == (2, *[2] * len(quantity.dims)), name
        assert np.isfinite(found[name]).all(), name


@pytest.mark.slow
def test_many_cells_end():
    """All objectives for many cells in one compiled batch, repeatedly: a hang is a failure."""
    code = """
import jax, jax.numpy as jnp, phasejax as pj
def everything(nu):
    model = pj.SpikedModel.homogeneous(1.5, nu, nuisance_y=5.0, k=3, d=20)
    covariances = pj.simulation.sample_covariances(jax.random.key(0), model, 400)
    return [pj.linear.train(o, covariances, 3, key=jax.random.key(1), lam=1.0 if o == "joint" else None, max_steps=100)
            for o in ("vicreg", "deepcca", "cp", "joint")]
run = jax.jit(jax.vmap(everything))
for _ in range(5):
    jax.block_until_ready(run(jnp.linspace(0, 0.9, 100)))
print("done")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
def test_float32_stays_float32():
    covariances = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), covariances_at(0.2))
    found = jax.jit(lambda c: pj.linear.train("deepcca", c, 2, key=KEY, max_steps=500))(covariances)
    assert {leaf.dtype for leaf in (found.encoder_x, found.encoder_y, found.spectrum, found.loss)} == {
        jnp.dtype("float32")}
    assert float(pj.linear.mean_squared_sine(pj.linear.solve_ca(covariances, 2).encoder_x, found.encoder_x)) < 1e-3


@pytest.mark.parametrize(("change", "message"), [
    ({"objective": "clip"}, "objective: expected one of vicreg, deepcca, cp, joint, got 'clip'"),
    ({"objective": "joint"}, "lam: expected a weight for the joint objective, got None"),
    ({"k": 6}, r"k: expected 1 to min\(d_x, d_y\) = 5, got 6"),
    ({"max_steps": 0}, "max_steps: expected a whole number from 1 to 2147483647, got 0"),
    ({"window": 0}, "window: expected a whole number of at least 1, got 0")])
def test_bad_arguments_are_refused(change, message):
    arguments = {"objective": "cp", "covariances": covariances_at(0.1), "k": 2, "key": KEY} | change
    with pytest.raises(ValueError, match=message):
        pj.linear.train(**arguments)


@pytest.mark.slow
def test_optax_is_imported_on_first_use():
    code = ("import sys, phasejax; phasejax.linear.solve_ca; assert 'optax' not in sys.modules; "
            "phasejax.linear.train; assert 'optax' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
