"""Training of cells: losses fall, cells stop when they should, and neither company nor interruption matters."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from phasejax.deep import Architecture, Training, _objectives
from phasejax.deep.data import Cell, Views

SMALL = Architecture(shape_x=(16, 16, 1), shape_y=(16, 16, 1), classes=3, widths=(4, 4), hidden=(16,), embedding=8,
                     projection=4)


def views(cell, rows):
    """A bright bar, a column for each class, at a height that is the nuisance; noise on y."""
    keys = jax.vmap(lambda row: jax.random.fold_in(cell.data, row))(rows)

    def one(key):
        parts = jax.random.split(key, 3)
        label, height = jax.random.randint(parts[0], (), 0, 3), jax.random.uniform(parts[1])
        grid = jnp.arange(16) / 15
        across, down = (grid[None] - (label + 0.5) / 3) / 0.1, (grid[:, None] - height) / 0.2
        image = jnp.exp(-(across**2) - down**2)[..., None]
        return image, image + cell.noise * jax.random.normal(parts[2], image.shape), label, jnp.stack([height, height])

    return Views(*jax.vmap(one)(keys))


@functools.cache
def training(objective="cp", **changes):
    return replace(Training(objective=objective, architecture=SMALL, views=views, train=96, validation=32, batch=32,
                            learning_rate=1e-2, max_epochs=30, patience=3), **changes)


def cell(seed, noise=0.1):
    return Cell(data=jax.random.key(seed), start=jax.random.key(100 + seed), jitter=jnp.array(0.0),
                noise=jnp.array(noise))


# Every training is traced and compiled once for all tests.
compiled_start = functools.cache(lambda trained: jax.jit(trained.start))
compiled_epoch = functools.cache(lambda trained: jax.jit(trained.epoch))


def run(trained, at, epochs, state=None):
    state, losses = compiled_start(trained)(at) if state is None else state, []
    for _ in range(epochs):
        state, found = compiled_epoch(trained)(state, at)
        losses.append(np.asarray(found))
    return state, np.array(losses)


def train_together(trained, cells):
    """The states of cells under `vmap` after two epochs, and the losses of both."""
    states, losses = jax.jit(jax.vmap(trained.start))(cells), []
    epoch = jax.jit(jax.vmap(trained.epoch))
    for _ in range(2):
        states, found = epoch(states, cells)
        losses.append(found)
    return states, losses


@pytest.mark.slow
@pytest.mark.parametrize("objective", _objectives.OBJECTIVES)
def test_losses_fall(objective):
    state, losses = run(training(objective, patience=30), cell(0), 8)
    assert losses[-1, 0] < losses[0, 0] - 0.1 * abs(losses[0, 0])
    assert state.best_loss == losses[:, 1].min()
    assert not state.diverged


@pytest.mark.slow
def test_a_cell_in_company_is_the_cell_alone():
    """Three cells under `vmap` against one after another: single precision, 6 steps of Adam, hence the tolerance."""
    trained = training()
    cells = [cell(0), cell(1, noise=0.5), cell(2)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
    _, losses = train_together(trained, together)
    for i, at in enumerate(cells):
        np.testing.assert_allclose(np.array(losses)[:, i], run(trained, at, 2)[1], rtol=2e-4)


@pytest.mark.slow
def test_a_continued_training_is_an_uninterrupted_one():
    trained, at = training(), cell(3)
    whole, losses = run(trained, at, 5)
    half, first = run(trained, at, 2)
    half = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), half)
    continued, second = run(trained, at, 3, half)
    np.testing.assert_array_equal(np.concatenate([first, second]), losses)
    jax.tree.map(np.testing.assert_array_equal, continued, whole)


@pytest.mark.slow
def test_stopping_waits_for_patience_and_keeps_the_best():
    """Where noise is to be predicted, the validation loss soon rises, and the parameters of its minimum are kept."""
    trained = training(patience=2, learning_rate=3e-2)
    at = cell(4, noise=3.0)
    state, losses = run(trained, at, 30)
    done = int(state.epochs)
    assert 2 < done < 30
    assert np.isnan(losses[done:]).all()
    assert losses[:done, 1].argmin() == done - 1 - 2
    # The best parameters are those of that epoch, since they have its loss on the validation rows.
    rows = (96 + jnp.arange(32)).reshape(1, 32)
    np.testing.assert_allclose(trained._loss(state.best, at, rows[0]), state.best_loss, rtol=1e-5)


@pytest.mark.slow
def test_a_diverging_cell_is_named_and_stops():
    trained = training(learning_rate=1e12)
    state, losses = run(trained, cell(5), 3)
    assert state.diverged
    assert int(state.epochs) < 3
    assert np.isfinite(jax.tree.leaves(state.best)[0]).all() or not np.isfinite(state.best_loss)
    assert np.isnan(losses[-1]).all()


@pytest.mark.slow
def test_a_diverging_cell_leaves_its_company_alone():
    trained = training()
    cells = [cell(0), cell(1, noise=np.nan), cell(2)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
    states, (_, losses) = train_together(trained, together)
    np.testing.assert_array_equal(states.diverged, [False, True, False])
    np.testing.assert_array_equal(states.epochs, [2, 1, 2])
    np.testing.assert_array_equal(np.isnan(losses).all(1), [False, True, False])
    for i in (0, 2):
        np.testing.assert_allclose(losses[i], run(trained, cells[i], 2)[1][-1], rtol=2e-4)


@pytest.mark.slow
def test_half_precision_is_near_single():
    single, half = (run(training(precision=precision), cell(6), 2)[1] for precision in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, single, rtol=0.1)
    trained, at = training(precision="bfloat16"), cell(6)
    program = str(jax.make_jaxpr(trained.epoch)(trained.start(at), at))
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    assert all("bf16" in line.split("=")[0] for line in products)


@pytest.mark.slow
def test_embeddings_are_those_of_the_view_that_is_encoded():
    """Prediction of x from y encodes y, so that its embeddings do not change without x, and so on."""
    at = cell(7)
    rows = jnp.arange(64)
    for objective, seen in (("cp", "x"), ("cp_reverse", "y"), ("vicreg", "x")):
        trained = training(objective)
        params = trained.start(at).params

        def blank(cell, rows, hidden):
            return replace(views(cell, rows), **{hidden: jnp.zeros((len(rows), 16, 16, 1))})

        whole = trained.embeddings(params, at, rows)
        assert whole.shape == (64, 4 if objective == "vicreg" else 8)
        assert replace(trained, probed="embedding").embeddings(params, at, rows).shape == (64, 8)
        both = replace(trained, probed="both").embeddings(params, at, rows)
        assert both.shape == (64, 8)
        np.testing.assert_allclose(both[:, :whole.shape[1]], whole, atol=1e-6)
        for hidden in ("x", "y"):
            other = replace(trained, views=lambda c, r, hidden=hidden: blank(c, r, hidden))
            changed = np.abs(other.embeddings(params, at, rows) - whole).max()
            assert (changed > 1e-3) == (hidden == seen)
            sides = np.abs(replace(other, probed="both").embeddings(params, at, rows) - both)
            if objective == "vicreg":  # x's projection, then y's
                assert (sides[:, :4].max() > 1e-3, sides[:, 4:].max() > 1e-3) == (hidden == "x", hidden == "y")


def test_an_unknown_objective_is_named():
    with pytest.raises(ValueError, match=r"objective: expected one of vicreg, deepcca, .*, got 'clip'"):
        _objectives.build("clip", SMALL, nnx.Rngs(0))
