"""Predicted outcomes against fits written out row by row, for leakage, coverage, units and degenerate input."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal, norm, t
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from phasejax import SpikedModel
from phasejax.datasets import load_digit_halves
from phasejax.diagnosis import _bootstrap, fair_scores, predict_scores
from phasejax.diagnosis._folds import assign_folds
from phasejax.diagnosis._predicted_scores import REPRESENTATIONS
from phasejax.diagnosis._representations import correlation_whitening, shared_encoders
from phasejax.io import Moments, encode_labels
from phasejax.linear import Covariances, solve_ca, solve_cp
from phasejax.simulation import sample_pairs


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):  # on a busy machine the oracle's small products are far slower on more
        yield


def spiked(n, d_x=5, d_y=4, seed=0, noise=1.0):
    """Two shared signals of unequal strength; real labels, and three classes of them, with noise of their own."""
    rng = np.random.default_rng(seed)
    s = rng.standard_normal((n, 2)) * [2.0, 1.0]
    x = np.c_[s + 0.5 * rng.standard_normal((n, 2)), 3 * rng.standard_normal((n, d_x - 2))]
    y = np.c_[s + rng.standard_normal((n, 2)), rng.standard_normal((n, d_y - 2))]
    t = s @ [[1.0, 0.5], [0.0, 3.0]] + noise * rng.standard_normal((n, 2))
    return x @ rng.standard_normal((d_x, d_x)), y @ rng.standard_normal((d_y, d_y)), t


def three_classes(t):
    return encode_labels(np.digitize(t[:, 0], [-1.5, 1.0]), len(t), "class")


def oracle(x, y, k, labelled, columns, kind):
    """Functions (x, y) -> prediction of each representation, fitted to the rows given, by generic solvers."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    joint = np.cov(np.c_[x, y].T, bias=True)
    xx, xy, yy = joint[:x.shape[1], :x.shape[1]], joint[:x.shape[1], x.shape[1]:], joint[x.shape[1]:, x.shape[1]:]

    def leading(a, b):
        return scipy.linalg.eigh(a, b)[1][:, ::-1][:, :k]

    ca_x = leading(xy @ np.linalg.solve(yy, xy.T), xx)
    ca_y = leading(xy.T @ np.linalg.solve(xx, xy), yy)
    cp, cp_reverse = leading(xy @ xy.T, xx), leading(xy.T @ xy, yy)
    features = (lambda x, y: np.c_[(x - mean_x) @ ca_x, (y - mean_y) @ ca_y], lambda x, y: (x - mean_x) @ cp,
                lambda x, y: (y - mean_y) @ cp_reverse, lambda x, y: x, lambda x, y: y, lambda x, y: np.c_[x, y])
    return [probe(feature, feature(x[labelled], y[labelled]), columns, kind) for feature in features]


def probe(feature, z, t, kind):
    mean, scale, m = z.mean(0), z.std(0), len(z)
    z = (z - mean) / scale
    shares = t.mean(0)
    target = t / np.sqrt(shares) if kind == "class" else t

    def criterion(penalty):
        weights = np.linalg.solve(z.T @ z + m * penalty * np.eye(z.shape[1]), z.T)
        freedom = 1 + np.sum(weights * z.T)  # the trace of the hat matrix
        residual = target - target.mean(0) - z @ (weights @ target)
        return np.sum(residual**2) / (1 - freedom / m) ** 2

    penalty = min(10.0 ** np.arange(-6, 2), key=criterion)
    if kind == "real":
        fitted = Ridge(alpha=m * penalty).fit(z, t)
        return lambda x, y: fitted.predict((feature(x, y) - mean) / scale)
    members = [z[t[:, c] == 1] for c in range(t.shape[1])]
    within = sum(((member - member.mean(0)).T @ (member - member.mean(0)) for member in members),
                 m * penalty * np.eye(z.shape[1])) / m
    densities = [multivariate_normal(member.mean(0), within) for member in members]
    return lambda x, y: np.eye(len(members))[np.argmax(
        [density.logpdf((feature(x, y) - mean) / scale) for density in densities], axis=0)]


def recall(t, predicted):
    return np.mean([np.mean(predicted[t[:, c] == 1, c]) for c in range(t.shape[1])])


def oracle_scores(x, y, columns, k, kind, labelled, folds, repeats, seed, pca=None):
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(columns), int)
    rng, recalls, losses, base = np.random.default_rng(seed), [], 0.0, 0.0
    for _ in range(repeats):
        fold = assign_folds(rng, classes, None, folds)
        predicted, baseline = np.empty((6, *columns.shape)), np.empty(columns.shape)
        for f in range(folds):
            rows = np.setdiff1d(np.arange(len(x)), labelled[fold == f])
            seen = np.searchsorted(rows, labelled[fold != f])
            own_x, own_y = (view if pca is None else make_pipeline(PCA(pca)).fit(view[rows]).transform(view)
                            for view in (x, y))
            for i, fit in enumerate(oracle(own_x[rows], own_y[rows], k, seen, columns[fold != f], kind)):
                predicted[i, fold == f] = fit(own_x[labelled[fold == f]], own_y[labelled[fold == f]])
            baseline[fold == f] = columns[fold != f].mean(0)
        if kind == "class":
            recalls.append([recall(columns, p) for p in predicted])
        losses += np.sum((columns - predicted) ** 2, (1, 2))
        base += np.sum((columns - baseline) ** 2)
    return np.mean(recalls, 0) if kind == "class" else 1 - losses / base


def values(found):
    return np.array([score.value for score in found.scores])


@pytest.mark.parametrize("kind", ["real", "class"])
@pytest.mark.parametrize(("subset", "repeats"), [(False, 1), (True, 2)])
def test_scores_against_fits_row_by_row(kind, subset, repeats):
    x, y, t = spiked(83)
    labelled = np.random.default_rng(5).permutation(83)[:51] if subset else np.arange(83)
    columns = (t if kind == "real" else three_classes(t))[labelled]
    found = predict_scores(x, y, columns, k=2, kind=kind, labelled=labelled if subset else None, folds=4,
                            repeats=repeats, seed=3)
    expected = oracle_scores(x, y, columns, 2, kind, labelled, 4, repeats, 3)
    np.testing.assert_allclose(values(found), expected, atol=1e-8)
    assert found.chance == (0.0 if kind == "real" else pytest.approx(1 / 3))
    assert found.metric == ("R2" if kind == "real" else "balanced accuracy")
    assert found.shrinkage == 0


@pytest.mark.parametrize("kind", ["real", "class"])
@pytest.mark.parametrize("wide", [False, True])
def test_components_are_those_of_the_training_rows_of_each_fold(kind, wide):
    """scikit-learn's PCA of the rows outside each fold; wide views are rotated first, which changes no score."""
    x, y, t = spiked(60)
    if wide:
        rng = np.random.default_rng(7)
        x, y = (view @ rng.standard_normal((view.shape[1], 150)) + 0.3 * rng.standard_normal((60, 150)) + 1e3
                for view in (x, y))
    columns, everything = (t if kind == "real" else three_classes(t)), np.arange(60)
    found = values(predict_scores(x, y, columns, k=2, kind=kind, folds=4, seed=3, pca=3))
    expected = oracle_scores(x, y, columns, 2, kind, everything, 4, 1, 3, pca=3)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    # Components of all rows are others.
    leaked = oracle_scores(*(PCA(3).fit_transform(view) for view in (x, y)), columns, 2, kind, everything, 4, 1, 3)
    assert np.abs(leaked - expected).max() > 1e-4
    if wide and kind == "real":
        fair = fair_scores(x, y, columns, everything, kind=kind, k=2, folds=4, seed=3, pca=3, repeats=1)
        assert fair.values["linear"]["x and y"] == pytest.approx(expected[5], abs=1e-8)


def encoders(rows, d_x, k):
    """Closed-form encoders of all rows given, x and y side by side."""
    moments = Moments.of(rows)
    covariance, mean = moments.covariance, moments.mean
    x, y = slice(0, d_x), slice(d_x, None)
    root_x, root_y = (correlation_whitening(covariance[view, view], mean[view], False, lambda: rows[:0])[0]
                      for view in (x, y))
    return shared_encoders(root_x, root_y, covariance[x, y], covariance[x, y], covariance[y, x], k)


def test_encoders_are_those_of_the_solvers():
    x, y, _ = spiked(200)
    moments = Moments.of(np.c_[x, y])
    found = encoders(np.c_[x, y], 5, 2)
    with jax.enable_x64(True):
        joint = moments.covariance
        covariances = Covariances(xx=joint[:5, :5], xy=joint[:5, 5:], yy=joint[5:, 5:])
        alignment, forward, backward = (solve_ca(covariances, 2), solve_cp(covariances, 2),
                                        solve_cp(covariances.reverse(), 2))
    for ours, theirs in ((found["CA of x"], alignment.encoder_x), (found["CA of y"], alignment.encoder_y),
                         (found["CP x->y"], forward.encoder), (found["CP y->x"], backward.encoder)):
        np.testing.assert_allclose(np.abs(ours.T), np.abs(theirs), atol=1e-10)


def noise_scores(kind, duplicated, replicates=40, n=90):
    rng = np.random.default_rng(11)
    for seed in range(replicates):
        x, y, _ = spiked(n, d_x=12, d_y=12, seed=seed)
        labels = rng.standard_normal((n, 1)) if kind == "real" else np.eye(3)[rng.permutation(np.arange(n) % 3)]
        rows = np.tile(np.arange(n), 3 if duplicated else 1)
        yield values(predict_scores(x[rows], y[rows], labels[rows], k=2, kind=kind, seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real", "class"])
def test_labels_of_pure_noise_score_chance(kind):
    # 40 replicates of 90 rows, 3 standard errors of the mean over replicates.
    scores = np.array(list(noise_scores(kind, duplicated=False)))
    mean, error = scores.mean(0), scores.std(0, ddof=1) / np.sqrt(len(scores))
    if kind == "real":
        assert (mean <= 3 * error).all()
    else:
        assert (np.abs(mean - 1 / 3) <= 3 * error).all()
    # With each row given three times training rows tell of held-out ones: the same check refuses that.
    leaked = np.array(list(noise_scores(kind, duplicated=True)))
    error = leaked.std(0, ddof=1) / np.sqrt(len(leaked))
    assert (leaked.mean(0) > (0 if kind == "real" else 1 / 3) + 3 * error).any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["real", "class"])
def test_coverage_of_the_intervals(kind):
    # 60 data sets of 250 rows against fits to all of each, scored on 8,000 other rows. At nu = 0.5 the
    # weaker signal is hardly told from nuisance (0.58), encoders switch, and gains are covered 80% of the time.
    replicates, n = 60, 250
    model = SpikedModel.create([2.0, 1.0], nu=0.2, gamma_x=1.0, gamma_y=0.5, nuisance_y=2.0, d=6)
    sample = sample_pairs(jax.random.key(0), model, replicates * n + 8_000)
    x, y, s = (np.asarray(part, np.float64) for part in (sample.x, sample.y, sample.signal))
    t = s + np.random.default_rng(1).standard_normal(s.shape)
    columns = t if kind == "real" else three_classes(t)
    fresh = slice(replicates * n, None)
    total = np.sum((columns[fresh] - columns[fresh].mean(0)) ** 2)
    inside, gains_inside = np.zeros(6), []
    for i in range(replicates):
        rows = slice(i * n, (i + 1) * n)
        found = predict_scores(x[rows], y[rows], columns[rows], k=2, kind=kind, seed=i)
        predicted = [fit(x[fresh], y[fresh]) for fit in oracle(x[rows], y[rows], 2, slice(None), columns[rows], kind)]
        truth = np.array([recall(columns[fresh], p) if kind == "class" else
                          1 - np.sum((columns[fresh] - p) ** 2) / total for p in predicted])
        inside += [score.low <= value <= score.high for score, value in zip(found.scores, truth, strict=True)]
        reference = truth[REPRESENTATIONS.index(found.best_single)]
        gains_inside += [gain.low <= truth[REPRESENTATIONS.index(gain.name)] - reference <= gain.high
                         for gain in found.gain_over_single]
    assert 0.8 <= np.mean(inside / replicates) <= 0.99
    assert (inside / replicates >= 0.75).all()  # one representation: 3 binomial standard errors further
    assert 0.8 <= np.mean(gains_inside) <= 0.99


@pytest.mark.parametrize("block", [7, 10_000])
def test_bootstrap_has_the_moments_of_dirichlet_weights(monkeypatch, block):
    monkeypatch.setattr(_bootstrap, "BLOCK", block)
    rng = np.random.default_rng(0)
    earned, classes = rng.standard_normal((60, 2)), rng.permutation(np.arange(60) % 3)
    draws = _bootstrap.bootstrap(rng, earned, np.ones(60), classes)
    mean = np.mean([earned[classes == c].mean(0) for c in range(3)], 0)
    # Weights uniform on the simplex: the variance of a weighted mean of 20 numbers is theirs over 21.
    deviation = np.sqrt(sum(earned[classes == c].var(0) / 21 for c in range(3))) / 3
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), 4 * deviation / np.sqrt(1000))
    np.testing.assert_allclose(draws.std(0), deviation, rtol=4 / np.sqrt(2000))
    weights = np.random.default_rng(1).standard_exponential((3, 60))
    np.testing.assert_allclose(_bootstrap.ratio(earned, np.ones(60), classes, weights), [np.mean(
        [np.average(earned[classes == c], 0, w[classes == c]) for c in range(3)], 0) for w in weights])


@pytest.mark.parametrize(("groups", "level"), [(6, 0.1), (25, 0.02)])
def test_the_mean_of_noise_over_few_groups_is_above_zero_at_the_level_that_errors_are_for(groups, level, monkeypatch):
    """20,000 means of normal numbers, with the bootstrap's standard deviation in closed form; 4 standard errors."""
    monkeypatch.setattr(_bootstrap, "STANDARD_ERRORS", norm.isf(level))
    values = np.random.default_rng(0).standard_normal((20_000, groups))
    deviation = values.std(1) / np.sqrt(groups + 1)  # of Dirichlet weights
    multiple = _bootstrap.errors_above_chance(np.zeros(3 * groups, int), np.repeat(np.arange(groups), 3))
    bound = 4 * np.sqrt(level * (1 - level) / len(values))
    assert np.mean(values.mean(1) > multiple * deviation) == pytest.approx(level, abs=bound)
    assert np.mean(values.mean(1) > norm.isf(level) * deviation) > level + bound  # without regard to their number
    # Intervals of level 0.9, as wide as the draws are spread out.
    spread = _bootstrap.spread_of_few_groups(np.zeros(3 * groups, int), np.repeat(np.arange(groups), 3))
    inside = np.abs(values.mean(1)) < norm.ppf(0.95) * spread * deviation
    assert inside.mean() == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / len(values)))


def test_errors_depend_on_the_sizes_of_groups_and_on_the_rarest_classes():
    multiple, equal = _bootstrap.errors_above_chance, np.repeat(np.arange(25), 20)
    one = np.zeros(500, int)
    assert multiple(one) == pytest.approx(3.2, abs=0.03)
    assert multiple(one) == multiple(one, np.arange(500))
    assert multiple(one, equal) == multiple(one[::2], equal[::2]) == multiple(one[:25], np.arange(25))
    unequal = np.repeat(np.arange(25), np.linspace(1, 39, 25).astype(int))[:500]
    assert multiple(one[:len(unequal)], unequal) > multiple(one, equal) > 3.5
    # Labels of whole groups: each class is known from half of them.
    assert multiple(equal % 2, equal) > multiple(np.arange(500) % 2, equal)
    assert multiple(np.repeat([0, 1], [490, 10])) > multiple(np.repeat([0, 1], [250, 250]))
    assert np.isfinite(multiple(one, np.repeat([0, 1], [499, 1])))
    assert _bootstrap.spread_of_few_groups(one, None) == 1
    # Two classes of 5 and 20 groups: variances (e + 1) / (e - 1) / e, and Satterthwaite's degrees of freedom.
    group = np.repeat(np.arange(25), 4)
    first, second = 6 / 4 / 5, 21 / 19 / 20
    freedom = (first + second) ** 2 / (first**2 / 4 + second**2 / 19)
    understated = np.sqrt((first + second) / (1 / 5 + 1 / 20))
    assert multiple((group >= 5).astype(int), group) == pytest.approx(t.isf(norm.sf(3.2), freedom) * understated)
    np.testing.assert_allclose(_bootstrap.spread_out(np.array([0.2, 0.9]), 0.5, 1.5), [0.05, 1.0])


def test_differences_are_paired():
    x, y, t = spiked(300)
    # A copy of x with a little noise: the scores are uncertain, their difference is not.
    found = predict_scores(x, x + 1e-3 * y @ np.ones((4, 5)), t, k=2, kind="real")
    other = found.gain("y" if found.best_single == "x" else "x")
    assert other.high - other.low < 0.1 * (found.score("x").high - found.score("x").low)
    assert other.low < other.value < other.high


@pytest.mark.parametrize("kind", ["real", "class"])
def test_units_do_not_matter(kind):
    x, y, t = spiked(120)
    columns = t if kind == "real" else three_classes(t)
    plain = values(predict_scores(x, y, columns, k=2, kind=kind))
    scaled = x * 10.0 ** np.arange(-6, 4, 2) + 100
    relabelled = 1e5 * columns - 7 if kind == "real" else columns
    changed = values(predict_scores(scaled, 1e-3 * y + 1, relabelled, k=2, kind=kind))
    not_reverse = [0, 1, 3, 4, 5]  # predicting x depends on the units of its columns
    np.testing.assert_allclose(changed[not_reverse], plain[not_reverse], atol=1e-6)
    huge = values(predict_scores(1e200 * x, 1e-200 * y, columns, k=2, kind=kind))
    np.testing.assert_allclose(huge, plain, atol=1e-9)
    swapped = values(predict_scores(y, x, columns, k=2, kind=kind))
    np.testing.assert_allclose(swapped[[0, 2, 1, 4, 3, 5]], plain, atol=1e-9)


@pytest.mark.slow
def test_unlabelled_rows_improve_the_encoders():
    x, y, t = spiked(44_000, d_x=25, d_y=25, seed=2)
    limit = encoders(np.c_[x, y][4000:], 25, 2)["CA of x"]
    x, y, t = x[:4000], y[:4000], t[:4000]
    few = np.random.default_rng(0).permutation(4000)[:120]
    whole, alone = (encoders(np.c_[x, y][rows], 25, 2)["CA of x"] for rows in (slice(None), few))
    root = np.linalg.cholesky(np.cov(x.T)).T  # angles between scores, not between rows of arbitrary units
    sines = [np.sin(scipy.linalg.subspace_angles(root @ found, root @ limit)).max() for found in (whole, alone)]
    assert sines[0] < 0.4 * sines[1]
    with_all = predict_scores(x, y, t[few], k=2, kind="real", labelled=few)
    without = predict_scores(x[few], y[few], t[few], k=2, kind="real")
    assert with_all.score("CA").value > without.score("CA").value
    for name in ("x", "y", "x and y"):  # fitted to the labelled rows in both
        assert with_all.score(name).value == pytest.approx(without.score(name).value, abs=1e-9)


def test_digit_halves():
    x, y, labels = load_digit_halves()
    found = predict_scores(x, y, encode_labels(labels, len(x)), k=10, kind="class")
    assert (found.best, found.best_single, found.chance) == ("x and y", "y", 0.1)
    assert values(found) == pytest.approx([0.868, 0.774, 0.791, 0.814, 0.852, 0.955], abs=0.01)
    assert [score.name for score in found.ranking()] == ["x and y", "CA", "y", "x", "CP y->x", "CP x->y"]
    assert found.gain("x and y").low > 0.05
    assert "CA does best" in found.reason()


@pytest.mark.parametrize("kind", ["real", "class"])
@pytest.mark.parametrize("case", ["wide", "duplicate", "constant", "constant in training", "flat label rows"])
def test_singular_covariances_give_finite_scores(kind, case):
    x, y, t = spiked(60)
    rng, labelled = np.random.default_rng(0), np.arange(60)
    if case == "wide":
        x, y = np.c_[x, rng.standard_normal((60, 80))], np.c_[y, rng.standard_normal((60, 20))]
    if case == "duplicate":
        x, y = np.c_[x, x[:, 0]], np.c_[y, y.sum(1)]
    if case == "constant":
        x = np.c_[x, np.full(60, 0.1)]
    if case == "constant in training":
        x = np.c_[x, 1e6 * (np.arange(60) == 17)]
    if case == "flat label rows":  # constant over labelled rows only
        labelled = np.arange(40)
        x = np.c_[x, np.where(np.arange(60) < 40, 0.3, rng.standard_normal(60))]
    columns = (t if kind == "real" else three_classes(t))[labelled]
    found = predict_scores(x, y, columns, k=4, kind=kind, labelled=labelled)
    numbers = [(s.low, s.value, s.high) for s in found.scores + found.gain_over_single]
    assert np.isfinite(numbers).all()
    assert (found.shrinkage > 0) == (case in ("wide", "duplicate"))
    if case != "wide":
        base = predict_scores(*spiked(60)[:2], columns, k=4, kind=kind, labelled=labelled)
        np.testing.assert_allclose(values(found)[3:], values(base)[3:], atol=0.05)


def test_the_seed_fixes_everything():
    x, y, t = spiked(80)
    first, again, other = (predict_scores(x, y, t, k=2, kind="real", seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_are_even_over_classes():
    classes = np.random.default_rng(0).integers(0, 4, 103)
    fold = assign_folds(np.random.default_rng(1), classes, None, 5)
    for rows in (classes >= 0, *(classes == c for c in range(4))):
        assert np.ptp(np.bincount(fold[rows], minlength=5)) <= 1


def test_reasons():
    x, y, t = spiked(400)
    noise = np.random.default_rng(0).standard_normal((400, 1))
    assert "better than chance" in predict_scores(x, y, noise, k=2, kind="real").reason()
    assert predict_scores(x, y, t, k=2, kind="real").reason().count(".") >= 1
    alone = predict_scores(x, np.random.default_rng(1).standard_normal((400, 3)), t, k=1, kind="real")
    assert alone.best in ("x", "x and y")
    assert "with 1 component per encoder" in alone.reason()
    both = predict_scores(x, y, t, k=2, kind="real")
    assert both.best == both.ranking()[0].name
    assert len(both.gain_over_single) == 5
    assert both.best_single not in [gain.name for gain in both.gain_over_single]


@pytest.mark.parametrize(("change", "message"), [
    ({"k": 5}, "k: expected 1 to 4"), ({"k": 0}, "k: expected"),
    ({"kind": "auto"}, "kind: expected"), ({"folds": 1}, "folds: expected"), ({"folds": 31}, "folds: expected"),
    ({"repeats": 0}, "repeats: expected"), ({"columns": np.ones((60, 1))}, "columns: expected columns that vary"),
    ({"columns": np.ones((59, 1))}, "columns: expected 60 rows"), ({"kind": "class"}, "columns: expected one-hot"),
    ({"kind": "class", "columns": np.eye(2)[(np.arange(60) == 0).astype(int)]}, "at least 2 rows of each class"),
    ({"labelled": [0, 0]}, "labelled: expected every row once"),
    ({"labelled": [60]}, "labelled: expected indices from 0 to 59"),
    ({"labelled": np.ones(60, bool)}, "labelled: expected indices of rows"),
    ({"y": np.ones((59, 4))}, "y: expected 60"),
    ({"x": np.full((60, 5), np.nan)}, "x: expected finite")])
def test_what_is_refused(change, message):
    x, y, t = spiked(60)
    given = SimpleNamespace(**{"x": x, "y": y, "columns": t, "k": 2, "kind": "real", **change})
    with pytest.raises(ValueError, match=message):
        predict_scores(**vars(given))
