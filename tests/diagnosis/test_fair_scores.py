"""Fair scores against scores written out by other means; the lift, a pilot, groups, label columns and widths."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
from sklearn.linear_model import Ridge

from phasejax.datasets import load_brown_dwarfs
from phasejax.diagnosis import FairScores, _lift, fair_scores, predict_scores, scores_over_k
from phasejax.diagnosis._cross_fit import cross_fitted, raw_features
from phasejax.diagnosis._folds import assign_folds
from phasejax.diagnosis._lift import lifted_features, rows_to_lift
from phasejax.diagnosis._representations import ENCODERS, NAMES, correlation_whitening, shared_encoders
from phasejax.diagnosis._scoring import _LOST_IN_TRAINING


@pytest.fixture(autouse=True)
def _few_features(monkeypatch):
    monkeypatch.setattr(_lift, "_FEATURES", 64)


def pairs(n=200, d_x=6, d_y=5, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.standard_normal((n, 2))
    x = np.c_[s + 0.7 * rng.standard_normal((n, 2)), rng.standard_normal((n, d_x - 2))]
    y = np.c_[s + rng.standard_normal((n, 2)), 2 * rng.standard_normal((n, d_y - 2))]
    return x, y, s + 0.5 * rng.standard_normal((n, 2))


def one_hot(t):
    return np.eye(3)[np.digitize(t[:, 0], [-0.6, 0.6])]


@pytest.mark.parametrize("kind", ["real", "class"])
def test_linear_scores_are_those_of_predict_scores_less_what_training_loses(kind):
    x, y, t = pairs()
    columns, rows = (t if kind == "real" else one_hot(t)), np.arange(len(x))
    found = fair_scores(x, y, columns, rows, kind=kind, k=2, repeats=1)
    known = predict_scores(x, y, columns, k=2, kind=kind)
    for score in known.scores:
        lost = _LOST_IN_TRAINING.get(score.name, 0.0)
        assert found.values["linear"][score.name] == pytest.approx(score.value - lost, abs=1e-10)
    assert found.metric == known.metric
    assert found.sources == ("linear", "lifted")


def test_joint_encoder_has_the_top_eigenvectors_of_its_closed_form():
    rng = np.random.default_rng(0)
    joint = np.cov(rng.standard_normal((300, 9)) @ rng.standard_normal((9, 9)), rowvar=False)
    xx, xy, yy = joint[:5, :5], joint[:5, 5:], joint[5:, 5:]
    roots = [scipy.linalg.inv(scipy.linalg.sqrtm(part)) for part in (xx, yy)]
    found = shared_encoders(roots[0], roots[1], xy, xy, xy.T, 2)["joint"]

    def expected(tilt):
        align, predict = roots[0] @ xy @ np.linalg.inv(yy) @ xy.T @ roots[0], roots[0] @ xy @ xy.T @ roots[0]
        closed = align / np.trace(align) + tilt * predict / np.trace(predict)
        return roots[0] @ np.linalg.eigh(closed)[1][:, :-3:-1]

    assert scipy.linalg.subspace_angles(found, expected(1.0)).max() < 1e-7
    assert scipy.linalg.subspace_angles(found, expected(0.5)).max() > 1e-3  # other weights are another encoder


def test_principal_components_against_ridge_regression_on_them():
    x, y, t = pairs()
    fold = assign_folds(np.random.default_rng(0), np.zeros(len(x), int), None, 5)
    (found,), _ = cross_fitted(raw_features(x, y), t, np.arange(len(x)), fold, [2], "real", correlation_whitening,
                               ("x at k",))
    train = x[fold != 1]
    z = x - train.mean(0)
    vectors = np.linalg.svd(z[fold != 1], full_matrices=False)[2][:2]
    codes = z @ vectors.T
    scale = codes[fold != 1].std(0)
    errors = []
    for penalty in 10.0 ** np.arange(-6, 2):
        fit = Ridge(alpha=penalty * len(train)).fit(codes[fold != 1] / scale, t[fold != 1])
        errors.append(np.sum((t[fold == 1] - fit.predict(codes[fold == 1] / scale)) ** 2))
    base = np.sum((t[fold == 1] - t[fold != 1].mean(0)) ** 2)
    assert np.abs(base - np.array(errors) - found.earned[fold == 1, 0].sum()).min() < 1e-8


def test_the_lift_sees_what_linear_encoders_do_not():
    rng = np.random.default_rng(0)
    n = 800
    s = rng.uniform(-1, 1, n)
    x = np.c_[s**2 - 1 / 3, s, rng.standard_normal((n, 2))] + 0.05 * rng.standard_normal((n, 4))
    y = np.c_[np.cos(3 * s), rng.standard_normal((n, 3))] + 0.05 * rng.standard_normal((n, 4))
    label = (np.abs(s) < 0.5).astype(int)
    found = fair_scores(x[:, 1:], y, np.eye(2)[label], np.arange(n), kind="class", k=1, repeats=1)
    assert found.score("x", "lifted").value > 0.9
    assert found.score("CA of x", "lifted").value > 0.9
    assert found.score("x", "linear").value < 0.65
    assert found.score("CA of x", "linear").value < 0.65


def test_the_lift_approximates_the_kernel_and_has_no_unit():
    x, y, _ = pairs(400)
    one, other = (lifted_features(np.random.default_rng(0), scale * (x + 3), y).rows for scale in (1.0, 1e-9))
    np.testing.assert_allclose(one, other, atol=1e-8)
    waves = one[:, 6:70]
    centred = (x - x.mean(0)) / np.sqrt(np.sum((x - x.mean(0)) ** 2, 1).mean())
    squares = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(centred)) ** 2
    width = np.median(np.sqrt(squares[np.triu_indices(400, 1)]))
    kernel = np.exp(-squares / 2 / width**2)
    # Each entry is a mean of 64 terms between -2 and 2.
    error = np.sqrt(np.mean((waves @ waves.T - kernel) ** 2))
    assert error < 2 / np.sqrt(64)
    assert np.sqrt(np.mean((waves @ waves.T - kernel**2) ** 2)) > 1.3 * error


def trained(values, folds, diverged=False):
    return SimpleNamespace(x=np.broadcast_to(values, (folds, *values.shape)),
                           y=np.broadcast_to(-values, (folds, *values.shape)), diverged=np.full(folds, diverged))


def test_a_pilot_is_a_source():
    x, y, t = pairs()
    rows, seen = np.arange(len(x)), []

    def pilot(fold):
        seen.append(fold)
        noise = np.random.default_rng(5).standard_normal(t.shape)
        return {"CA": trained(t, 5), "CP x->y": trained(noise, 5), "CP y->x": trained(noise, 5, diverged=True)}

    found = fair_scores(x, y, t, rows, kind="real", k=2, pilot=pilot)
    assert np.bincount(seen[0]).tolist() == [40] * 5
    assert found.values["pilot"].keys() == {"CA", "CA of x", "CA of y", "CP x->y"}
    assert found.values["pilot"]["CA of x"] > 0.99
    assert found.values["pilot"]["CP x->y"] < 0.1
    assert found.diverged == ("CP y->x",)
    mean = np.average([found.values[source]["CA"] for source in ("linear", "lifted", "pilot")], weights=[1, 2, 8])
    assert found.score("CA").value == pytest.approx(mean)
    choice = found.best(("CA of x", "CP x->y"))
    assert (choice.name, choice.decided, choice.sure) == ("CA of x", True, True)
    with pytest.raises(ValueError, match=r"pilot: expected outputs of shape \(5, 200, k\)"):
        fair_scores(x, y, t, rows, kind="real", k=2, pilot=lambda fold: {"CA": trained(t[1:], 5)})


def test_label_columns_on_their_own():
    # x sees both labels, y the second one alone, and better than x does.
    rng = np.random.default_rng(9)
    s = rng.standard_normal((500, 2))
    x = np.hstack([s + 0.3 * rng.standard_normal((500, 2)), rng.standard_normal((500, 3))])
    y = np.hstack([s[:, 1:] + 0.3 * rng.standard_normal((500, 1)), rng.standard_normal((500, 3))])
    labels = np.c_[np.round(5800 + 400 * s[:, 0], 1), 4 + 0.3 * s[:, 1]]
    expected = {"x": (0.92, 0.92), "y": (-0.02, 0.93), "x and y": (0.92, 0.96)}
    for found in (predict_scores(x, y, labels, k=1, kind="real"),
                  predict_scores(x, y, labels / labels.std(0), k=1, kind="real")):
        for name, values in expected.items():
            scores = [column.score(name).value for column in found.per_column]
            assert scores == pytest.approx(values, abs=0.025)  # chance is anything just below 0
        assert found.redundant() is None
    fair = fair_scores(x, y, labels / labels.std(0), np.arange(500), kind="real", k=1)
    assert fair.redundant() is None
    assert fair.per_column[0].adds_to("y").low > 0.8
    # With the first label alone y is redundant.
    first = predict_scores(x, y, labels[:, :1], k=1, kind="real")
    assert first.redundant() == "y"
    assert fair_scores(x, y, labels[:, :1], np.arange(500), kind="real", k=1).redundant() == "y"


@pytest.mark.parametrize("kind", ["real", "class"])
def test_groups_that_share_nothing_score_chance(kind):
    # 25 stars, 20 rows each: a star's rows are alike, stars are independent of one another and of the label.
    rng = np.random.default_rng(0)
    star = np.repeat(np.arange(25), 20)
    x, y = (rng.standard_normal((25, 4))[star] + 0.3 * rng.standard_normal((500, 4)) for _ in range(2))
    label = rng.permutation(np.arange(25) % 2) if kind == "class" else rng.standard_normal(25)
    columns = np.eye(2)[label[star].astype(int)] if kind == "class" else label[star, None]
    rows = np.arange(500)
    grouped = fair_scores(x, y, columns, rows, kind=kind, k=2, groups=star, repeats=1)
    assert grouped.groups == 25
    assert not grouped.beyond_chance
    assert not grouped.best().decided
    naive = fair_scores(x, y, columns, rows, kind=kind, k=2)
    assert naive.beyond_chance  # rows of a star on both sides of a fold tell of each other
    old = predict_scores(x, y, columns, k=2, kind=kind, groups=star)
    assert (old.groups, old.score("x").value) == (25, pytest.approx(grouped.score("x", "linear").value))
    assert old.score("x").high - old.score("x").low > 2 * (naive.score("x").high - naive.score("x").low)


def test_each_row_as_its_own_group_is_as_no_groups_but_for_the_folds():
    x, y, t = pairs()
    rows = np.arange(len(x))
    found, plain = (fair_scores(x, y, t, rows, kind="real", k=2, groups=groups) for groups in (rows, None))
    for name in NAMES:
        assert found.score(name).value == pytest.approx(plain.score(name).value, abs=0.06)


def test_every_width_at_once_is_each_width_alone():
    x, y, t = pairs()
    rows = np.arange(0, len(x), 2)
    several = scores_over_k(x, y, one_hot(t)[rows], rows, kind="class", ks=(1, 3))
    for record, k in zip(several, (1, 3), strict=True):
        alone = fair_scores(x, y, one_hot(t)[rows], rows, kind="class", k=k)
        assert isinstance(record, FairScores)
        assert record.k == k
        for name in NAMES:
            assert record.score(name).value == pytest.approx(alone.score(name).value, abs=1e-9)


def test_saved_and_read_back():
    x, y, t = pairs()
    found = fair_scores(x, y, t, np.arange(len(x)), kind="real", k=2)
    again = FairScores.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    assert again.best(("CA", "CP both", "x")) == found.best(("CA", "CP both", "x"))
    for change in ({"draws": {"of": 3}}, {"draws": {"of": {"linear": {}, "lifted": {}}}}, {"k": "2"}):
        with pytest.raises(ValueError, match="expected"):
            FairScores.from_dict(found.to_dict() | change)
    with pytest.raises(ValueError, match="source: expected one of linear, lifted for x"):
        found.score("x", "pilot")


def test_many_rows_are_lifted_in_part():
    labelled = np.arange(0, 9000, 1)
    classes = (np.arange(9000) < 30).astype(int)
    rows, scored = rows_to_lift(np.random.default_rng(0), 20_000, labelled, classes)
    assert len(rows) == len(scored) == 4000
    assert (labelled[scored] == rows).all()
    assert classes[scored].sum() >= 20
    classes = np.arange(9000) % 800  # 11 members each: eight of each are lifted, which are more rows
    rows, scored = rows_to_lift(np.random.default_rng(0), 20_000, labelled, classes)
    assert len(rows) == 6400
    assert (np.bincount(classes[scored]) == 8).all()


def test_order_of_representations():
    assert set(ENCODERS) < set(NAMES)
    assert NAMES[:2] == ("CA", "CP both")


def test_several_divisions_are_averaged_and_scatter_in_the_draws():
    """Values are means over divisions; the draws' mean is theirs and their spread not below that of one division."""
    x, y, t = pairs()
    rows = np.arange(len(x))
    several = fair_scores(x, y, t, rows, kind="real", k=2, repeats=3)
    alone = fair_scores(x, y, t, rows, kind="real", k=2, repeats=1)
    assert several.score("CA", "linear").value != alone.score("CA", "linear").value
    for source in ("linear", "lifted"):
        for name in ("CA", "CP x->y", "x"):
            one, three = alone.draws.of[source][name], several.draws.of[source][name]
            assert three.mean() == pytest.approx(several.values[source][name], abs=3 * three.std() / 10)
            assert three.std() > 0.8 * one.std()
    # What is left of chance is inside the interval.
    other = fair_scores(x, y, t, rows, kind="real", k=2, seed=1)
    pooled = fair_scores(x, y, t, rows, kind="real", k=2)
    for name in ("CA", "CP both", "CA of x", "CP x->y", "x"):
        assert pooled.score(name).low <= other.score(name).value <= pooled.score(name).high


def test_a_row_far_from_all_others_does_not_undo_the_score_of_the_rest():
    # Magnitudes in three bands of 1438 brown dwarfs, nearly collinear, and one object far off: without a bound it is
    # guessed a hundred standard deviations off, and R2 is -6.6 here.
    stars = load_brown_dwarfs()
    found = fair_scores(stars.x[:, ::20], stars.y, stars.spectral_type[:, None], np.arange(len(stars.y)), kind="real",
                        k=1, repeats=1)
    assert 0.4 < found.values["lifted"]["y"] < 0.6
