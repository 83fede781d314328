"""A pilot finds what its objectives are made for, never sees the rows it is asked about, and says what went wrong."""

import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from phasejax._core.devices import device_memory
from phasejax.deep import MLP, PilotEncoder, losses, pilot_embeddings
from phasejax.deep._pilot_cells import _at_once, cells_of
from phasejax.deep._pilot_rows import batches_of, standardisation, standardised, thinned, without_validation
from phasejax.deep._pilot_training import alignment_loss, convolutions, held_out_alignment_loss
from phasejax.io._reduction import PrincipalComponents

N, SETTINGS = 1000, dict(steps=400, hidden=(32,), batch=256, learning_rate=1e-2)
FOLD = np.arange(N) % 2
pilot = partial(pilot_embeddings, **SETTINGS)


def pair(seed, *, signal_columns, noise):
    """Views of 12 columns that show two signals and two nuisances, and what the probe is to predict.

    In x both are seen as they are, in y through even functions, so that no linear map finds anything shared. The
    signals have `signal_columns` columns in each view, the nuisances the others; a column of y has noise of deviation
    `noise` for (signals, nuisances), which is common to the columns of one signal or nuisance.
    """
    rng = np.random.default_rng(seed)
    hidden = rng.uniform(-1, 1, (N, 4))
    even = np.cos(3 * hidden)
    shown = even + np.repeat(noise, 2) * rng.standard_normal((N, 4))
    which = np.r_[np.arange(signal_columns) % 2, 2 + np.arange(12 - signal_columns) % 2]
    x, y = (values[:, which] + 0.1 * rng.standard_normal((N, 12)) for values in (hidden, shown))
    return x, y, even[:, :2]


# The signals are seen most clearly, but in few columns of y: alignment finds them, prediction the nuisances.
alignable = partial(pair, signal_columns=2, noise=(0.1, 0.8))
# The signals have most columns of y, but little correlation: prediction finds them, alignment the nuisances.
predictable = partial(pair, signal_columns=8, noise=(0.5, 0.05))


def held_out_r2(outputs, target):
    """R^2 of ridge regressions on quadratic functions of the outputs, fitted without and scored on each fold."""
    error = 0.0
    for f, z in enumerate(outputs.astype(np.float64)):
        held_out = f == FOLD
        z = (z - z[~held_out].mean(0)) / z[~held_out].std(0)
        z = np.column_stack([np.ones(N), z, z**2])
        others = z[~held_out]
        weights = np.linalg.solve(others.T @ others + np.eye(z.shape[1]), others.T @ target[~held_out])
        error += np.sum((target[held_out] - z[held_out] @ weights) ** 2)
    return 1 - error / np.sum((target - target.mean(0)) ** 2)


@cache
def found(kind, seed=0):
    x, y, target = kind(seed)
    return pilot(x, y, FOLD, 2, seed=seed), target


# What is no matter of how much was learned.
brief = partial(pilot, steps=60, objectives=("CA", "CP x->y"))


@cache
def found_briefly():
    return brief(*alignable(0)[:2], FOLD, 2)


def test_alignment_finds_what_only_it_can_find():
    """Over 3 seeds alignment scored 0.65 to 0.94, prediction -0.01 to 0.01."""
    outputs, target = found(alignable)
    assert held_out_r2(outputs["CA"].x, target) > 0.5
    assert held_out_r2(outputs["CA"].y, target) > 0.5
    assert held_out_r2(outputs["CP x->y"].x, target) < 0.3


def test_prediction_finds_what_only_it_can_find():
    """Over 3 seeds prediction scored 0.88 to 0.91, alignment 0.01 to 0.20."""
    outputs, target = found(predictable)
    assert held_out_r2(outputs["CP x->y"].x, target) > 0.6
    assert held_out_r2(outputs["CA"].x, target) < 0.3


def test_what_is_returned():
    outputs, _ = found(alignable)
    assert list(outputs) == ["CA", "CP x->y", "CP y->x", "joint"]
    for name, (has_x, has_y) in {"CA": (1, 1), "CP x->y": (1, 0), "CP y->x": (0, 1), "joint": (1, 1)}.items():
        one = outputs[name]
        assert isinstance(one, PilotEncoder)
        assert one.diverged.tolist() == [False, False]
        for array, there in ((one.x, has_x), (one.y, has_y)):
            assert (array is not None) == there
            assert not there or (array.shape == (2, N, 2) and np.isfinite(array).all())


def test_rows_that_are_held_out_are_not_trained_on():
    """They change nothing in what the networks of their fold make of other rows, not even a bit."""
    x, y, _ = alignable(0)
    rng = np.random.default_rng(1)
    held_out = FOLD == 0
    other_x, other_y = (np.where(held_out[:, None], 100 * rng.standard_normal(view.shape), view) for view in (x, y))
    before, after = found_briefly(), brief(other_x, other_y, FOLD, 2)
    for name, one in before.items():
        for view in ("x", "y"):
            if (array := getattr(one, view)) is not None:
                changed = getattr(after[name], view)
                np.testing.assert_array_equal(changed[0][~held_out], array[0][~held_out])
                if name == "CA":  # what has nothing to predict has constant outputs
                    assert not np.allclose(changed[0][held_out], array[0][held_out], atol=0.1)
                    # The other fold's networks were trained on these rows.
                    assert not np.allclose(changed[1][~held_out], array[1][~held_out], atol=0.01)


def test_units_do_not_matter_and_a_seed_gives_the_same_bits():
    """Powers of two round nothing."""
    x, y, _ = alignable(0)
    before, after = found_briefly(), brief(x * 2.0**-60, y * 2.0**80, FOLD, 2)
    jax.tree.map(np.testing.assert_array_equal, *(
        [(one.x, one.y) for one in result.values()] for result in (before, after)))


def unlike(one, other):
    """Whether outputs differ by a tenth of their size or more."""
    return np.linalg.norm(one - other) > 0.1 * np.linalg.norm(other)


def test_other_seeds_are_other_starts():
    x, y, _ = alignable(0)
    assert unlike(brief(x, y, FOLD, 2, seed=1)["CA"].x, found_briefly()["CA"].x)


@pytest.mark.parametrize("unit", [1e-170, 1.0, 1e170])
def test_views_are_centred_and_scaled_as_a_whole_in_float64(unit):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.standard_normal((50, 3)) * [1, 2, 3] + [0, 1e9, 0], np.full(50, 0.1)])
    standard = standardised(unit * rows, *standardisation(unit * rows))
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(0), rows.std(0) / np.sqrt(np.mean(rows.std(0) ** 2)), atol=1e-6)
    # Channels of images are centred as wholes and keep the differences between their pixels.
    images = rng.uniform(1, 2, (20, 8, 8, 2)) * np.arange(1, 9)[:, None, None]
    standard = standardised(images, *standardisation(images))
    np.testing.assert_allclose(standard.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.mean(standard**2), 1, atol=1e-5)
    assert standard[:, 7].std() > 2 * standard[:, 0].std()


def test_each_objective_keeps_the_decay_that_its_validation_rows_prefer():
    """Tried twice, a decay gives the outputs of one training; of two decays each objective has one of them."""
    few = partial(brief, *alignable(0)[:2], FOLD, 2)
    # A single one would also train on the validation rows.
    alone = [few(weight_decays=(decay, decay)) for decay in (0.0006, 0.5)]
    chosen = few(weight_decays=(0.0006, 0.5))
    for name in ("CA", "CP x->y"):
        for f in range(2):
            assert any(np.array_equal(chosen[name].x[f], one[name].x[f]) for one in alone)
    # So much decay leaves nothing of a network that predicts.
    np.testing.assert_array_equal(chosen["CP x->y"].x, alone[0]["CP x->y"].x)


def test_an_objective_learns_the_same_in_company_and_alone():
    """Networks of different objectives share nothing but their start: single precision, 5 steps."""
    x, y, _ = alignable(0)
    few = partial(pilot_embeddings, x[:40, :3], y[:40, :3], FOLD[:40], 2, steps=5, hidden=(4,))
    alone = few(objectives=("CP x->y",))
    assert list(alone) == ["CP x->y"]
    np.testing.assert_allclose(alone["CP x->y"].x, few(objectives=("CP x->y", "CA"))["CP x->y"].x, atol=1e-4)


class Scaled(nnx.Module):
    """Outputs so large that their squares are infinite."""

    def __init__(self, rngs, k):
        self.layer = nnx.Linear(3, k, rngs=rngs)

    def __call__(self, rows):
        return 1e30 * self.layer(rows)


class Bounded(nnx.Module):
    """No finite outputs of weights whose squares sum to more than 3, where they begin with 1.5."""

    def __init__(self, rngs, k):
        self.layer = nnx.Linear(3, k, kernel_init=nnx.initializers.constant(0.5), rngs=rngs)

    def __call__(self, rows):
        return self.layer(rows) / (jnp.sum(self.layer.kernel[...] ** 2) < 3)


def of_three(rngs, k):
    return MLP((3, 4, k), rngs=rngs)


class Regularised(nnx.Module):
    """A module that keeps running means and random numbers beside its parameters."""

    def __init__(self, rngs, k):
        self.first, self.last = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, k, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, rows):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(rows)))))


few_rows = np.random.default_rng(0).standard_normal((2, 40, 3))
few = partial(pilot_embeddings, *few_rows, FOLD[:40], 2, steps=5, hidden=(4,))


def test_a_training_that_diverges_is_reported_and_the_others_stand():
    outputs = few(encoder=(Scaled, of_three), objectives=("CP x->y", "CP y->x"))
    assert outputs["CP x->y"].diverged.tolist() == [True, True]
    assert np.isnan(outputs["CP x->y"].x).all()
    assert not outputs["CP y->x"].diverged.any()
    assert np.isfinite(outputs["CP y->x"].y).all()


def test_a_decay_with_which_an_objective_diverges_is_not_chosen():
    """Sixty steps take weights beyond the bound, unless nine tenths of them decay in the first ones."""
    alone, both = (few(encoder=(Bounded, of_three), objectives=("CP x->y",), steps=60, learning_rate=0.5,
                       weight_decays=decays)["CP x->y"] for decays in ((0.0, 0.0), (0.0, 0.9)))
    assert alone.diverged.tolist() == [True, True]
    assert both.diverged.tolist() == [False, False]
    assert np.isfinite(both.x).all()


@pytest.mark.slow
def test_a_far_row_diverges_nowhere():
    """It comes in at a finite distance, also where it was held out from the training that sets the scale."""
    x, y = few_rows.copy()
    x[3] = 1e300
    outputs = pilot_embeddings(x, y, FOLD[:40], 2, steps=5, hidden=(4,), objectives=("CP x->y",))
    assert not outputs["CP x->y"].diverged.any()
    assert np.isfinite(outputs["CP x->y"].x).all()


@pytest.mark.slow
def test_modules_with_state_train_and_embed():
    """Batch norm by the rows of the batch while training, by running means when embedding, where dropout is off."""
    outputs = few(encoder=(Regularised, of_three), objectives=("CP x->y",))
    again = few(encoder=(Regularised, of_three), objectives=("CP x->y",))
    np.testing.assert_array_equal(outputs["CP x->y"].x, again["CP x->y"].x)
    assert not outputs["CP x->y"].diverged.any()


@pytest.mark.parametrize(("make", "got"), [
    (lambda rngs, k: MLP((3, k + 1), rngs=rngs), "(n, 3) from the encoder of y"),
    (lambda rngs, k: lambda rows: jnp.sum(rows), "() from the encoder of y"),
    (lambda rngs, k: lambda rows: (rows, rows), "tuple from the encoder of y")])
def test_a_module_with_outputs_of_another_shape_is_refused(make, got):
    with pytest.raises(ValueError, match=f"^encoder: expected outputs of shape \\(n, 2\\), got {re.escape(got)}$"):
        few(encoder=(of_three, make))


def test_bad_arguments_are_refused():
    x, y = few_rows
    fold = FOLD[:40]
    for arguments, options, message in (
            ((x[:, 0], y, fold, 2), {}, r"x: expected rows of numbers, .* got shape \(40,\)"),
            ((x, np.full_like(y, np.nan), fold, 2), {}, "y: expected finite numbers, got NaN"),
            ((x, y[:30], fold, 2), {}, "y: expected 40 rows as in x, got 30"),
            ((x, y, fold[:30], 2), {}, "fold: expected 40 whole numbers"),
            ((x, y, 2 * fold, 2), {}, "fold: expected numbers from 0 on without a gap, or -1, got 0, 2"),
            ((x, y, 0 * fold, 2), {}, "fold: expected at least 4 rows outside each fold, got 0"),
            ((x, y, fold, 0), {}, "k: expected a whole number of at least 1, got 0"),
            ((x, y, fold, 2), dict(seeds=0), "seeds: expected a whole number of at least 1, got 0"),
            ((x, y, fold, 2), dict(encoder="lin"), "encoder: expected one of auto, mlp, convolutional, got 'lin'"),
            ((x, y, fold, 2), dict(encoder="convolutional"), r"encoder: expected square images .* rows of x of shape"),
            ((x, y, fold, 2), dict(objectives=("CP",)), "objectives: expected one of CA, CP x->y, .*, got 'CP'"),
            ((x, y, fold, 2), dict(weight_decays=()), r"weight_decays: expected numbers from 0 to below 1, got \(\)"),
            ((x, y, fold, 2), dict(widths=(4, 0)), "widths: expected a whole number from 1 to 65536, got 0"),
            ((x, y, fold, 2), dict(learning_rate=0.0), "learning_rate: expected a number above 0, got 0.0")):
        with pytest.raises(ValueError, match=f"^{message}"):
            pilot_embeddings(*arguments, **options)


def test_batches_are_of_whole_epochs():
    rows = batches_of(np.random.default_rng(0), 10, 7, 3)
    assert rows.shape == (7, 3)
    for epoch in (rows[:3], rows[3:6]):
        assert len(np.unique(epoch)) == 9
    assert rows.max() == 9


def test_many_training_rows_are_thinned(monkeypatch):
    monkeypatch.setattr("phasejax.deep._pilot_rows._MOST_TRAINING_ROWS", 5)
    rows = thinned(np.random.default_rng(0), np.arange(100, 110))
    assert len(np.unique(rows)) == 5
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= set(range(100, 110))
    assert thinned(np.random.default_rng(0), np.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_alignment_of_few_and_of_many_outputs():
    z_x, z_y = np.random.default_rng(0).standard_normal((2, 60, 17)).astype(np.float32)
    np.testing.assert_allclose(alignment_loss(z_x, z_y), losses.vicreg(z_x, z_y).total / 25, rtol=1e-6)
    q, r = (np.linalg.qr(z[:, :3] - z[:, :3].mean(0))[0] for z in (z_x, z_y))
    squares = np.linalg.svd(q.T @ r)[1] ** 2
    np.testing.assert_allclose(alignment_loss(z_x[:, :3], z_y[:, :3]), -squares.mean(), rtol=0.01)


def test_held_out_alignment_by_symmetric_roots():
    """The score does not depend on which roots whiten; those of the code are triangular."""
    rng = np.random.default_rng(0)
    mixed = np.einsum("nc,vck->vnk", rng.standard_normal((90, 6)), rng.standard_normal((2, 6, 3))) + 1
    mixed = mixed.astype(np.float32)
    (fitted_x, fitted_y), (z_x, z_y) = mixed[:, :50], mixed[:, 50:]

    def root(z):
        covariance = np.cov(z.T, bias=True)
        values, vectors = np.linalg.eigh(covariance + 1e-3 * np.trace(covariance) / 3 * np.eye(3))
        return vectors / np.sqrt(values) @ vectors.T

    roots = root(fitted_x), root(fitted_y)
    fitted, held = ([(z - mean) @ w for z, mean, w in zip(views, (fitted_x.mean(0), fitted_y.mean(0)), roots,
                                                          strict=True)]
                    for views in ((fitted_x, fitted_y), (z_x, z_y)))
    t = fitted[0].T @ fitted[1] / 50
    a, m, b = (left.T @ right / 40 for left, right in ((held[0], held[0]), held, (held[1], held[1])))
    expected = -(2 * np.trace(t.T @ m) - np.trace(t.T @ a @ t @ b)) / 3
    np.testing.assert_allclose(held_out_alignment_loss(z_x, z_y, fitted_x, fitted_y), expected, rtol=1e-4)
    # Of the same rows it is the loss itself, up to the ridge; of many outputs it is VICReg of the rows set aside.
    np.testing.assert_allclose(held_out_alignment_loss(z_x, z_y, z_x, z_y), alignment_loss(z_x, z_y), rtol=0.03)
    many = rng.standard_normal((4, 40, 17)).astype(np.float32)
    np.testing.assert_allclose(held_out_alignment_loss(*many), alignment_loss(*many[:2]), rtol=1e-6)


def test_correlations_that_do_not_hold_cost_alignment():
    """Of 20 rows of noise 3 outputs correlate by chance; on 2000 others that is a loss, as large as the gain seemed."""
    rng = np.random.default_rng(0)
    fitted, others = (rng.standard_normal((2, n, 3)).astype(np.float32) for n in (20, 2000))
    assert alignment_loss(*fitted) < -0.05
    assert held_out_alignment_loss(*others, *fitted) > 0.05


def test_repeated_trainings_are_other_ones_beside_the_first():
    """The first of two seeds is the only one of seeds=1, to the last bit; the second starts elsewhere."""
    x, y, _ = alignable(0)
    single, twice = (brief(x[:200], y[:200], FOLD[:200], 2, seeds=seeds) for seeds in (1, 2))
    for name, one in twice.items():
        assert one.diverged.shape == (2, 2)
        assert one.x.shape == (2, 2, 200, 2)
        np.testing.assert_array_equal(one.x[0], single[name].x)
        assert unlike(one.x[1], one.x[0])
    first, second = (cells_of(number, 0, FOLD[:200], None, 5, 8, choose=True)[0] for number in (0, 1))
    for part in ("aside", "batches"):
        assert not np.array_equal(getattr(first, part), getattr(second, part))


def test_trainings_with_other_seeds_have_the_decays_that_the_first_one_chose():
    """Each objective in each fold its own. Tried twice, a decay gives the outputs of one training. The first fold
    leaves 200 rows, the second 560, which need less decay to align. Progress counts the steps of all that is trained,
    in 2 folds twice for the first seed and once for the second.
    """
    rng, told = np.random.default_rng(2), []
    shared = rng.standard_normal((600, 2))
    x, y = (np.column_stack([2 * shared + rng.standard_normal((600, 2)), rng.standard_normal((600, 38))])
            for _ in range(2))
    fold = np.digitize(np.arange(600), (400, 440))
    few = partial(pilot_embeddings, x, y, np.where(fold == 2, -1, fold), 6, hidden=(32,), steps=100, seeds=2,
                  objectives=("CA", "CP x->y"))
    alone = [few(weight_decays=(decay, decay)) for decay in (0.0006, 0.12)]
    chosen = few(weight_decays=(0.0006, 0.12), progress=lambda *what: told.append(what))
    assert told[-1] == ("pilot, steps of all folds", 600, 600)
    for name, of_folds in {"CA": (1, 0), "CP x->y": (1, 1)}.items():
        for f, place in enumerate(of_folds):
            assert unlike(alone[0][name].x[:, f], alone[1][name].x[:, f])
            np.testing.assert_array_equal(chosen[name].x[:, f], alone[place][name].x[:, f])


def test_cells_trained_as_batches_are_those_trained_one_by_one(monkeypatch):
    """As on accelerators, here 4 at once of the 4 that choose a decay and of the 2 that do not: single precision."""
    few = partial(brief, *(view[:200] for view in alignable(0)[:2]), FOLD[:200], 2, seeds=2, objectives=("CP x->y",),
                  weight_decays=(0.0006, 0.12))
    single = few()["CP x->y"]
    monkeypatch.setattr("phasejax.deep._pilot_cells._at_once", lambda platform, size: 4)
    np.testing.assert_allclose(few()["CP x->y"].x, single.x, atol=1e-4 * np.abs(single.x).max())
    assert not single.diverged.any()


def test_cells_whose_minibatches_differ_in_size_are_no_batch(monkeypatch):
    """Of six unequal groups each seed sets others aside, and leaves fewer rows than a minibatch should have."""
    groups = np.repeat(np.arange(6), (4, 6, 8, 10, 5, 7))
    fold = np.where(groups % 2, 0, -1)
    sizes = {cells_of(number, 0, fold, groups, 5, 256, choose=True)[0].batches.shape for number in range(3)}
    assert len(sizes) > 1
    monkeypatch.setattr("phasejax.deep._pilot_cells._at_once", lambda platform, size: 4)
    found = pilot_embeddings(*few_rows, fold, 2, steps=5, hidden=(4,), groups=groups, seeds=3, objectives=("CP x->y",))
    assert not found["CP x->y"].diverged.any()


def test_a_batch_of_cells_fits_in_memory():
    assert _at_once("cpu", 10) == 1
    assert _at_once("gpu", device_memory() // 40) == 10
    assert _at_once("gpu", device_memory()) == 1


def test_a_decay_is_chosen_for_alignment_by_what_holds_for_other_rows():
    """Of 150 rows with two shared signals among 40 columns six outputs of little decay learn noise by heart: offered
    both decays, alignment takes the large one, with which outputs of rows held out correlate more.
    """
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((300, 2))
    x, y = (np.column_stack([2 * shared + rng.standard_normal((300, 2)), rng.standard_normal((300, 38))])
            for _ in range(2))
    fold = np.where(np.arange(300) < 150, 0, -1)
    train = partial(pilot_embeddings, x, y, fold, 6, objectives=("CA",), hidden=(32,), steps=200)
    little, much, both = (train(weight_decays=decays)["CA"] for decays in ((0.0006,) * 2, (0.12,) * 2, (0.0006, 0.12)))

    def held_out(one):
        q, r = (np.linalg.qr(z[0, :150] - z[0, :150].mean(0))[0] for z in (one.x, one.y))
        return np.linalg.svd(q.T @ r)[1].mean()

    np.testing.assert_array_equal(both.x, much.x)
    assert held_out(much) > held_out(little) + 0.1


def test_which_images_have_convolutions():
    assert [convolutions(shape) for shape in ((64, 64, 3), (28, 28, 1), (8, 8, 1), (7, 7, 1), (8, 4, 1), (64,))] == [
        4, 2, 1, 0, 0, 0]
    assert convolutions((64, 64, 3), 2) == 2


def test_a_single_weight_decay_sets_no_rows_aside():
    """Of 5 rows outside the fold all take part in each step, so that any change of one changes what is learnt."""
    x, y = few_rows[:, :6]
    fold = np.array([0, -1, -1, -1, -1, -1])
    train = partial(pilot_embeddings, y=y, fold=fold, k=1, steps=2, hidden=(4,), objectives=("CP x->y",))
    before = train(x, weight_decays=(0.006,))["CP x->y"].x
    for row in range(1, 6):
        moved = x.copy()
        moved[row] += 1
        assert not np.array_equal(train(moved, weight_decays=(0.006,))["CP x->y"].x[0, 0], before[0, 0])


@pytest.mark.slow
def test_images_and_features_with_rows_that_no_fold_holds_out():
    """Convolutions for square images, dense layers for the features; progress ends with all steps of all folds."""
    rng = np.random.default_rng(0)
    place = rng.integers(0, 8, 60)
    images = np.zeros((60, 8, 8, 1))
    images[np.arange(60), place] = 1
    features = np.column_stack([np.cos(place), np.sin(place)])
    fold = np.where(np.arange(60) < 20, -1, np.arange(60) % 2)
    told = []
    outputs = pilot_embeddings(images, features, fold, 2, steps=60, hidden=(16,), learning_rate=1e-2,
                               objectives=("CP x->y", "CP y->x"), progress=lambda *what: told.append(what))
    assert outputs["CP x->y"].x.shape == outputs["CP y->x"].y.shape == (2, 60, 2)
    assert told[-1] == ("pilot, steps of all folds", 360, 360)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    # An encoder that has learnt to predict the features tells images of different places apart.
    z = outputs["CP x->y"].x[0]
    weights = np.linalg.lstsq(np.column_stack([np.ones(60), z]), features, rcond=None)[0]
    rest = features - np.column_stack([np.ones(60), z]) @ weights
    assert 1 - rest.var() / features.var() > 0.8


def test_no_group_is_on_both_sides_of_the_choice_of_a_weight_decay():
    rng = np.random.default_rng(0)
    for sizes in (np.full(12, 40), np.linspace(1, 40, 25).astype(int), [300, 2, 2], [5, 5]):
        groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        rows = np.arange(len(groups)) + 7
        kept, aside = without_validation(rng, rows, groups)
        assert sorted([*kept, *aside]) == rows.tolist()
        assert not set(groups[kept - 7]) & set(groups[aside - 7])
        assert 0 < len(aside) <= max(len(rows) // 3, min(sizes))
    assert len(without_validation(rng, np.arange(40), np.zeros(40, int))[1]) == 0  # one group cannot be divided


def test_components_of_a_fold_are_those_of_its_training_rows():
    """The same as networks on the components that somebody else found: those of the first fold, without its rows."""
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((80, 2)) @ rng.standard_normal((2, d)) + 0.1 * rng.standard_normal((80, d))
            for d in (9, 3))
    fold = np.arange(80) % 2
    options = {"steps": 20, "hidden": (8,), "objectives": ("CP x->y",), "weight_decays": (0.0,)}
    found = pilot_embeddings(x, y, fold, 1, pca=3, **options)["CP x->y"].x
    first = PrincipalComponents.fit(x[fold != 0], 3, standardise=False).transform(x)
    expected = pilot_embeddings(first, y, fold, 1, **options)["CP x->y"].x
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    assert np.abs(found[1] - expected[1]).max() > 1e-3
    with pytest.raises(ValueError, match=r"^pca: expected none for images, got 3"):
        pilot_embeddings(np.zeros((80, 8, 8)), y, fold, 1, pca=3)
    with pytest.raises(ValueError, match=r"^groups: expected 80 integers"):
        pilot_embeddings(x, y, fold, 1, groups=fold[1:])
