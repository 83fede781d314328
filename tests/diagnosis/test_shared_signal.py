"""The two tests of `shared_signal`: their level on noise of every kind, their power, and odd input."""

import itertools
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from phasejax.diagnosis import SharedSignal, _shared_signal, shared_signal
from phasejax.diagnosis._exchangeable_blocks import Blocks, permutation_test
from phasejax.diagnosis._shared_directions import Axes, shared_directions
from phasejax.diagnosis._sharing_statistics import PairStatistics, PredictionAgreement
from phasejax.similarity._whole_groups import groups_of_equal_size

SETS = 60
# At level .05, 3 alarms are expected among 60 sets, standard error 1.7. More than 9, 3.6 standard errors, has
# probability 0.0007.
MOST = 9


@pytest.fixture
def few_permutations(monkeypatch):
    """Tests of 39 permutations, of which the level .05 is exact."""
    monkeypatch.setattr(_shared_signal, "_LEAST", 39)
    monkeypatch.setattr(_shared_signal, "_MOST", 39)


def signal(rng, n=300, d_x=10, d_y=8, strength=1.0):
    """Views that share one signal, and the signal."""
    s = rng.standard_normal((n, 1))
    x, y = rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
    x[:, :1] += strength * s
    y[:, :1] += strength * s
    return x, y, s


def repeated(rng, sizes):
    """Repeated measurements of a few things in independent views; a coin for each thing is its label."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    x, y = (rng.standard_normal((len(sizes), d))[groups] + 0.3 * rng.standard_normal((len(groups), d)) for d in (6, 5))
    coins = rng.permutation(np.arange(len(sizes)) % 2)[groups]
    return x, y, np.eye(2)[coins], groups


def alarms(make, **options):
    """How many of `SETS` sets each test finds something in at level 0.05, of which the false alarms are binomial."""
    found = np.zeros(2, int)
    for seed in range(SETS):
        x, y, columns, groups = make(np.random.default_rng(seed))
        result = shared_signal(x, y, columns, np.arange(len(x)), groups=groups, level=0.05, seed=seed, **options)
        found += result.views_share, result.labels_concerned
    return found


def test_the_bound_on_alarms_is_far_in_the_binomial_tail():
    assert sum(comb(SETS, i) * 0.05**i * 0.95 ** (SETS - i) for i in range(MOST + 1, SETS + 1)) < 1e-3


@pytest.mark.usefixtures("few_permutations")
def test_repeated_measurements_of_few_things_raise_no_alarm_and_would_without_groups():
    def few(rng):
        return repeated(rng, np.full(20, 6))

    assert max(alarms(few, kind="class")) <= MOST
    # The mutation: rows are permuted as if they were independent.
    assert alarms(lambda rng: (*few(rng)[:3], None), kind="class")[0] > 50


@pytest.mark.slow
@pytest.mark.usefixtures("few_permutations")
def test_groups_of_unequal_sizes_raise_no_alarm_even_where_means_of_small_ones_scatter_more():
    def unequal(rng):
        groups = np.repeat(np.arange(24), np.repeat([1, 2, 20], 8))
        x, y, labels = (rng.standard_normal((len(groups), d)) for d in (6, 5, 1))
        return x, y, labels, groups

    assert max(alarms(unequal, kind="real")) <= MOST


@pytest.mark.slow
@pytest.mark.usefixtures("few_permutations")
def test_few_rows_heavy_tails_and_unequal_scales_raise_no_alarm():
    def tails(rng):
        x, y = (rng.standard_t(3, (40, d)) * 10 ** rng.uniform(-3, 3, d) for d in (60, 30))
        return x, y, rng.standard_t(3, (40, 1)), None

    assert max(alarms(tails, kind="real")) <= MOST


@pytest.mark.slow
@pytest.mark.usefixtures("few_permutations")
def test_labels_of_one_view_alone_are_not_taken_for_shared_ones():
    def of_x(rng):
        x, y = rng.standard_normal((100, 6)), rng.standard_normal((100, 5))
        return x, y, x[:, :1], None

    assert max(alarms(of_x, kind="real")) <= MOST


def test_a_permutation_test_of_all_orders_is_the_enumerated_one():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5))
    y += x
    found = permutation_test(lambda groups, _: np.array([x @ y[groups]]), Blocks.of(None, 5, rng), rng, 2999)
    every = [x @ y[list(order)] for order in itertools.permutations(range(5))]
    exact = np.mean(np.array(every) >= x @ y - 1e-12)
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 3000))  # 4 standard errors, n = 3000


def test_groups_trade_places_only_with_groups_of_their_size():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(30), np.repeat([1, 3, 40], 10)))
    blocks = Blocks.of(groups, len(groups), rng)
    assert [stratum.shape for stratum in blocks.strata] == [(10, 1), (10, 3), (10, 40)]
    of_groups, of_rows = blocks.permuted(rng)
    assert sorted(of_rows) == list(range(440))
    own = groups[blocks.rows]
    for start in (0, 10, 20):
        assert set(of_groups[start:start + 10]) == set(range(start, start + 10))
    # Every group stays together, and takes a whole group's place.
    assert len(set(zip(own, own[of_rows], strict=True))) == 30


def test_sizes_are_cut_as_they_are_for_similarity_and_rows_are_drawn_at_random():
    """Five groups or more have one size, and all 25 take part: as `groups_of_equal_size` cuts them."""
    sizes = np.linspace(1, 40, 25).round().astype(int)
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(25), sizes))
    first, second = (Blocks.of(groups, len(groups), np.random.default_rng(seed)) for seed in (0, 1))
    assert [s.shape for s in first.strata] == [where.shape for where in groups_of_equal_size(groups)[1]]
    assert first.number == 25
    assert min(len(stratum) for stratum in first.strata) >= 5
    assert len(set(first.rows)) == len(first.rows) > 0.8 * len(groups)
    assert set(first.rows) != set(second.rows)
    for stratum in first.strata:
        assert all(len(set(groups[rows])) == 1 for rows in stratum)
    assert max(s.shape[1] for s in Blocks.of(groups, len(groups), np.random.default_rng(0), largest=3).strata) == 3


def test_whitened_directions_are_the_canonical_ones():
    rng = np.random.default_rng(0)
    x, y, _ = signal(rng, n=5000)
    axes_x, axes_y = Axes.of(x), Axes.of(y)
    cross = axes_x.coordinates(x).T @ axes_y.coordinates(y) / len(x)
    of_x, of_y = shared_directions(axes_x, axes_y, cross, 2, ("CA",))["CA"]
    q_x, q_y = (np.linalg.qr(view - view.mean(0))[0] for view in (x, y))
    exact = np.linalg.svd(q_x.T @ q_y, compute_uv=False)[:2]
    found = [abs(np.corrcoef(x @ of_x[:, i], y @ of_y[:, i])[0, 1]) for i in range(2)]
    # The ridge, d / n of the variance, changes directions by that share.
    np.testing.assert_allclose(found, exact, atol=2e-3)


@pytest.mark.parametrize("kind", ["one strong", "many weak", "nonlinear", "within groups", "few columns of many"])
def test_every_kind_of_sharing_is_found(kind):
    rng, groups = np.random.default_rng(1), None
    x, y, s = signal(rng)
    match kind:
        case "many weak":  # each of 40 correlations is 0.25: none stands out among 1600
            s = rng.standard_normal((300, 40))
            x, y = s + 1.7 * rng.standard_normal((300, 40)), s + 1.7 * rng.standard_normal((300, 40))
        case "nonlinear":
            x, s = rng.standard_normal((300, 2)), None
            y = np.c_[np.abs(x[:, 0]) + 0.2 * rng.standard_normal(300), rng.standard_normal(300)]
            s = y[:, :1]
        case "within groups":  # 6 donors differ in everything, and the rows of each share a signal
            groups = np.repeat(np.arange(6), 50)
            x, y = (view + 5 * rng.standard_normal((6, view.shape[1]))[groups] for view in (x, y))
        case "few columns of many":
            x, y, s = signal(rng, n=120, d_x=80, d_y=70, strength=2.0)
    found = shared_signal(x, y, s[:, :1], np.arange(len(x)), kind="real", groups=groups)
    assert found.views_share, found
    if kind != "many weak":
        assert found.seen, found


@pytest.mark.parametrize("groups", [None, np.arange(400) // 4, np.arange(400) // 40])
def test_where_all_rows_are_too_many_to_permute_learned_directions_or_fewer_rows_are(groups, monkeypatch):
    monkeypatch.setattr(_shared_signal, "_LIMIT", 1e8)
    rng = np.random.default_rng(0)
    x, y, s = signal(rng, n=400, strength=2.0)
    found = shared_signal(x, y, s, np.arange(400), kind="real", groups=groups)
    assert found.seen, found
    assert found.size < 400 if groups is None else found.size <= len(np.unique(groups))
    assert not shared_signal(x, rng.permutation(y), s, np.arange(400), kind="real", groups=groups).views_share


def test_random_labels_of_views_that_share_are_not_seen():
    x, y, _ = signal(np.random.default_rng(2))
    labels = np.eye(3)[np.random.default_rng(3).integers(0, 3, 100)]
    found = shared_signal(x, y, labels, np.arange(100, 200), kind="class")
    assert found.views_share
    assert not found.seen
    assert "nothing that the labels measure" in found.reason()
    assert found.agreement > found.shuffled_agreement + 0.05
    assert found.labelled_size == 100
    assert found.size == 300


def test_no_answer_depends_on_units_and_odd_columns_do_no_harm():
    rng = np.random.default_rng(4)
    x, y, s = signal(rng, n=120)
    plain = shared_signal(x, y, s, np.arange(120), kind="real")
    scaled = shared_signal(1e-20 * x, 1e20 * y + 1e22, 1e6 * s, np.arange(120), kind="real")
    assert (plain.views_p, plain.labels_p) == (scaled.views_p, scaled.labels_p)
    assert scaled.agreement == pytest.approx(plain.agreement, rel=1e-9)
    odd = np.hstack([x, x[:, :2], np.full((120, 1), 7.1)])
    assert shared_signal(odd, y, s, np.arange(120), kind="real").seen
    constant = shared_signal(np.ones((50, 2)), y[:50], s[:50], np.arange(50), kind="real")
    assert not constant.views_share
    assert not constant.seen


def test_too_few_groups_are_never_enough():
    rng = np.random.default_rng(5)
    x, y, s = signal(rng, n=80, strength=3)
    found = shared_signal(x, y, s, np.arange(80), kind="real", groups=np.arange(80) % 4)
    assert not found.views_share
    assert found.size == 4


def test_reason_says_what_was_found():
    noise = SharedSignal(0.43, 0.43, 0.01, 100, 100, 0.2, 0.19, 0.1, 0.1, "", "", 99, 99)
    assert noise.reason().startswith("no shared signal seen: x and y agree no better than shuffled pairs do (p = .43;")
    assert noise.reason().endswith("check the pairing, or the pairs are too few to show it")
    # A small p-value above the level is not called "no better".
    nearly = replace(noise, views_p=0.046)
    assert "agree better than most shuffled pairs do, but not surely at level 0.01 (p = .046;" in nearly.reason()


def test_agreement_of_predictions_is_the_correlation_of_regressions_without_each_fold():
    """For a permutation of y's rows, least squares of the labels on y is fitted anew to the other folds."""
    rng = np.random.default_rng(0)
    y, predicted, targets = rng.standard_normal((3, 40, 2))
    fold, order = rng.integers(0, 4, 40), rng.permutation(40)
    moved, of_y = y[order], np.zeros((40, 2))
    for f in range(4):
        of_y[fold == f] = moved[fold == f] @ (moved[fold != f].T @ targets[fold != f])
    of_x = predicted - predicted.mean(0)
    expected = np.sum(of_x * of_y) / np.linalg.norm(of_x) / np.linalg.norm(of_y)
    assert PredictionAgreement(y, predicted, targets, fold).of(order) == pytest.approx(expected)


def test_labels_that_both_views_predict_are_not_taken_for_something_shared():
    """Of 20 sets of independent views whose sum is the label, 1 alarm is expected at level .05, standard error .97."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng([9, seed])
        x, y = rng.standard_normal((2, 150, 4))
        t = x[:, :1] + y[:, :1]
        alarms += shared_signal(x, y, t, np.arange(150), kind="real", level=0.05).views_share
    assert alarms <= 4


def test_many_weak_directions_add_up():
    """Twelve signals of correlation .2, all of which the label measures: none of the first directions holds much."""
    rng = np.random.default_rng(4)
    s = rng.standard_normal((1000, 12))
    x, y = (0.5 * s + rng.standard_normal((1000, 12)) for _ in range(2))
    t = s.sum(1, keepdims=True) + 8 * rng.standard_normal((1000, 1))
    found = shared_signal(x, y, t, np.arange(1000), kind="real")
    assert found.seen
    assert found.label_statistic == "all directions by their canonical correlations"


def test_statistics_of_pairs_are_those_of_singular_values_and_of_matched_columns():
    """For an order of the rows, against the cross-covariance of whitened columns written out."""
    rng = np.random.default_rng(0)
    n, (x, y) = 40, (np.linspace(0.5, 2, d) * rng.standard_normal((40, d)) for d in (5, 4))
    blocks, order = Blocks.of(None, n, rng), rng.permutation(n)
    pairs = PairStatistics(blocks, [("", x, y)], (), {})
    found = dict(zip(pairs.names, pairs.statistics(order, order), strict=True))

    def white(view):
        """Standardised columns, whitened with a ridge of d / n of their mean variance."""
        view = (view - view.mean(0)) / view.std(0)
        values, vectors = np.linalg.eigh(view.T @ view / n)
        return view @ vectors / np.sqrt(values + view.shape[1] / n), view

    for name, one, other in (("canonical correlations", *(white(view)[0] for view in (x, y))),
                             ("covariances", *(white(view)[1] for view in (x, y)))):
        squares = np.linalg.svd(one.T @ other[order] / n)[1] ** 2
        assert found[f"sum of squares of {name}"] == pytest.approx(squares.sum() ** (1 / 3))
        assert found[f"largest of {name}"] == pytest.approx(np.sum(squares**4) ** (1 / 4 / 3))
    correlations = np.abs(np.corrcoef(x.T, y[order].T)[:5, 5:])
    assert found["largest correlation of two columns"] == pytest.approx(correlations.max())
    # Columns that were learned from other rows, those of alignment first.
    pairs = PairStatistics(blocks, [("", x[:, :4], y)], ("CA", "PLS"), {})
    found = dict(zip(pairs.names, pairs.statistics(order, order), strict=True))
    for method, columns in (("CA", [0, 1]), ("PLS", [2, 3])):
        each = [np.corrcoef(x[:, c], y[order, c])[0, 1] for c in columns]
        assert found[f"agreement of 1 learned directions of {method}"] == pytest.approx(each[0])
        assert found[f"agreement of 2 learned directions of {method}"] == pytest.approx(sum(each))


def test_what_is_shared_in_the_weakest_directions_is_seen():
    """Four directions with a millionth of the others' variance correlate at 0.8; a ridge would leave nothing of them.

    Shuffled pairs of the same data are not seen.
    """
    rng = np.random.default_rng(21)
    s, spread = rng.standard_normal((1200, 4)), np.exp(-np.arange(40) / 5)
    views = []
    for _ in range(2):
        own = rng.standard_normal((1200, 40))
        own[:, -4:] = 0.9 * s + np.sqrt(1 - 0.9**2) * own[:, -4:]
        views.append((own * spread) @ np.linalg.qr(rng.standard_normal((40, 40)))[0])
    label = np.eye(2)[(s[:, 0] > 0).astype(int)]
    found = shared_signal(*views, label, np.arange(1200), kind="class")
    assert found.seen
    assert found.view_statistic.endswith("of canonical correlations without a ridge")
    assert found.label_statistic.endswith("by CA without a ridge of x and y")
    shuffled = shared_signal(views[0], rng.permutation(views[1]), label, np.arange(1200), kind="class")
    assert not shuffled.views_share
