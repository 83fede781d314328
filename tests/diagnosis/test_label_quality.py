"""Regime, probability and decision for labels of each quality: against the spiked model, on noise, in words."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from phasejax._core.serialise import plain
from phasejax.diagnosis import (
    LabelQuality,
    QualityLevel,
    QualityOutcome,
    _label_quality_rows,
    diagnose,
    label_content,
    label_quality,
    noise_for_r2,
    plot_label_quality,
    reassign_labels,
)
from phasejax.diagnosis._label_quality_levels import Options, Planner
from phasejax.diagnosis._label_quality_rows import QualityRows
from phasejax.diagnosis._spectral import classify_spectra
from phasejax.io import MatchedRows
from phasejax.theory import Regime, SpikedModel
from phasejax.theory import label_content as content_of_model

# A strong signal that both objectives keep, and a weaker one that prediction loses.
MODEL = SpikedModel.create([2.5, 1.2], nu=0.55, d=4, gamma_x=0.5, gamma_y=0.5, nuisance_y=8.0)


@pytest.fixture(scope="module")
def rows():
    """500 rows of the model and its signals in unit variance, in NumPy's own draws."""
    rng = np.random.default_rng(5)
    n, kappa = 500, np.asarray(MODEL.kappa)
    signals = rng.standard_normal((n, 2))
    own_x, own_y, nuisance, other = rng.standard_normal((4, n, 2))
    x = np.c_[signals * kappa + np.sqrt(0.5) * own_x, nuisance]
    y = np.c_[signals * kappa + np.sqrt(0.5) * own_y, np.sqrt(8) * (0.55 * nuisance + np.sqrt(1 - 0.55**2) * other)]
    return x, y, signals


def content(rows, columns):
    return label_content(*rows[:2], columns, np.arange(len(columns)), ks=[2])


def truth(weights):
    with jax.enable_x64(True):
        found = content_of_model(MODEL, 2, np.array(weights, float))
        return float(found.ca), float(found.cp)


def test_noise_and_wrong_classes_change_the_interval_and_not_the_content(rows):
    x, y, signals = rows
    clean, expected = content(rows, signals), truth(np.eye(2))
    noise, _ = noise_for_r2(signals, np.hstack([x, y]), 0.25)
    noisy = content(rows, signals + noise * np.random.default_rng(0).standard_normal(signals.shape))
    classes = np.digitize(signals[:, 0], [0]) + 2 * np.digitize(signals[:, 1], [0])
    wrong = content(rows, np.eye(4)[reassign_labels(classes, 0.4)])
    for found in (clean, noisy, wrong):
        for one, value in zip((found.ca[0], found.cp[0]), expected, strict=True):
            assert one.low - 0.02 < value < one.high + 0.02
        assert found.likeliest(2) is Regime.CA_ONLY
    for spoilt in (noisy, wrong):
        assert spoilt.cp[0].high - spoilt.cp[0].low > 1.3 * (clean.cp[0].high - clean.cp[0].low)
        assert spoilt.label_z < clean.label_z


def test_coarser_classes_are_other_labels_with_another_regime(rows):
    # Folded to the sign of the strong signal both objectives keep them, by the theory and by the estimate.
    assert truth([[0, 1]])[1] < 0.8 < truth([[1, 0]])[1]
    found = content(rows, np.eye(2)[(rows[2][:, 0] > 0).astype(int)])
    assert found.regime(2) is Regime.BOTH
    assert np.allclose([found.ca[0].value, found.cp[0].value], truth([[1, 0]]), atol=0.05)


@pytest.mark.slow
def test_levels_say_what_a_diagnosis_says_and_are_kept(rows, tmp_path, monkeypatch):
    x, y, signals = rows
    labels = signals[:, 1] + 0.3 * np.random.default_rng(1).standard_normal(len(x))
    options = {"by": "noise", "r2_shares": [0.5], "repeats": 1, "k": 2, "divisions": 1, "store": tmp_path / "kept"}
    found = label_quality(x, y, labels, **options)
    level, same = found.levels[0], diagnose(x, y, labels, k=2, fit=False, predicted_scores=False)
    assert found.given.regime == same.regime.value == "CA only"
    assert found.given.probabilities == same.content.probabilities[same.content.ks.index(2)]
    aimed, before = level.about["R2 aimed at"], level.about["R2 before"]
    assert aimed == before / 2
    assert abs(level.outcomes[0].scores["x and y"] - aimed) < 0.12  # three errors of an R2 of 500 rows
    assert abs(found.given.scores["x and y"] - before) < 0.05
    assert "the labels' R2" in found.conclusions[0]
    monkeypatch.setattr(_label_quality_rows, "diagnose_by_content", lambda *_, **__: pytest.fail("computed again"))
    again = label_quality(x, y, labels, **options)
    assert again.to_dict() == found.to_dict()
    assert json.loads(found.to_json())["schema"]["name"] == "phasejax.label_quality"
    assert again.to_frame()["regime CA only"].tolist()[0] == 1


@pytest.mark.slow
def test_nothing_is_stated_about_noise(rows):
    # Labels that no view knows, at both qualities, and clusters of a view that shares nothing with the other.
    x, y, _ = rows
    rng = np.random.default_rng(2)
    of_noise = label_quality(x, y, rng.standard_normal(len(x)), by=["coarsening"], bins=[4], k=2, divisions=1)
    assert [one.regime for one in (of_noise.given, *of_noise.levels[0].outcomes)] == [None, None]
    assert of_noise.conclusions[0].startswith("Coarser classes: no regime is stated, as with the labels as given")
    strangers = label_quality(x, y[rng.permutation(len(y))], by="pseudo-labels", clusters=[4], view="x", k=2,
                              repeats=1, divisions=1)
    assert not strangers.levels[0].outcomes[0].seen
    assert strangers.levels[0].outcomes[0].regime is None
    assert not strangers.levels[0].outcomes[0].decided
    assert any("they favour what x holds" in warning for warning in strangers.warnings)


@pytest.mark.by_hand
def test_fewer_pairs_stand_beside_the_plan_and_the_ridge_beside_the_content(rows):
    x, y, signals = rows
    found = label_quality(x, y, signals, by=["rows", "ridge"], sizes=[250], subsamples=2, ridges=[1e-6, 0.1],
                          repeats=1, divisions=1)
    assert [one.name for one in found.levels] == ["250 labels", "250 pairs", "250 pairs, ridge 1e-06",
                                                  "250 pairs, ridge 0.1", "250 pairs, content"]
    labels, pairs, *_, content = found.levels
    assert (labels.outcomes[0].n, labels.outcomes[0].labelled, pairs.outcomes[0].n) == (500, 250, 250)
    assert found.foretold["regime"] == "CA only"
    assert 0 < pairs.about["foretold by the plan"] <= 1
    assert content.most("regime") == ("CA only", 2)
    assert found.k == 2
    assert found.k_from_labels
    assert "the published regime depends on the ridge in" in found.summary()
    assert "Foretold by the plan from these data: " in found.summary()


def test_an_absolute_ridge_depends_on_the_units():
    # 153 rows of 100 + 100 columns have 200 - 152 correlations of 1, which a ridge of 1e-6 hides
    # where the data are a thousand times smaller.
    x, y = np.random.default_rng(0).standard_normal((2, 153, 100))
    labels = x[:, :1]
    for unit, ones in ((1.0, 48), (1e-3, 0)):
        values = classify_spectra(unit * x, unit * y, labels, ridge=1e-6).ca.values
        assert np.sum(values > 0.999) == ones
        assert np.array_equal(values, classify_spectra(unit * x, unit * y, labels, ridge="published").ca.values)


def test_the_ridge_is_in_variances_and_subsamples_are_paired(rows):
    x, y, signals = rows
    options = {"pca": None, "confidence": 0.9, "divisions": 1, "among": ("CA",)}
    regimes = []
    for unit in (1.0, 1e-3):
        matched = MatchedRows(x * unit, y / unit, signals[:, :1])
        own = QualityRows.of(matched, "real", **options)
        found = list(own.with_ridges(np.arange(60), own.labels[:60], (1e-6, 0.5)))
        assert found[0].content["Delta_CA"] != pytest.approx(found[1].content["Delta_CA"], rel=0.01)
        regimes.append([one.regime for one in found])
    assert regimes[0] == regimes[1]
    planner = Planner(own, own, Options(), seed=3)
    small, large = planner.subsample(30, 0), planner.subsample(60, 0)
    assert len(set(large)) == 60
    assert set(small) < set(large)
    assert set(planner.subsample(30, 1)) != set(small)


def test_fewer_labels_keep_all_pairs_and_fewer_pairs_lose_labels(rows):
    x, y, signals = rows
    own = QualityRows.of(MatchedRows(x, y, signals[:400], np.arange(400)), "real", pca=None, confidence=0.9,
                         divisions=1, among=("CA",))
    levels = Planner(own, own, Options(), seed=3).levels("rows")
    assert [one.name for one in levels] == ["300 labels", "200 labels", "100 labels", "375 pairs", "250 pairs",
                                            "125 pairs"]
    labels, pairs = (levels[place].make(0)[0] for place in (2, 5))
    assert len(labels.labelled) == len(labels.labels) == 100
    assert labels.rows is None
    assert np.array_equal(labels.labels, signals[labels.labelled])
    assert len(pairs.rows) == 125
    assert set(levels[5].make(0)[0].rows) < set(levels[4].make(0)[0].rows)
    data = own.paired(pairs.labels, pairs.labelled, "real", pairs.rows)
    assert (data.n, data.m) == (125, np.sum(pairs.rows < 400))


def test_parts_of_grouped_rows_are_whole_groups(rows):
    x, y, _ = rows
    groups = np.arange(500) // 10
    own = QualityRows.of(MatchedRows(x, y, groups % 3, groups=groups), "class", pca=None, confidence=0.9, divisions=1,
                         among=("CA",))
    part = own.part(np.random.default_rng(0), 95, np.arange(500))
    assert sorted(np.bincount(groups[part])[np.bincount(groups[part]) > 0]) == [10] * 9
    assert own.units is not None  # labels of a group are equal, so that they change together
    assert replace(own, labels=np.arange(500) % 3).units is None


# Known nuisance


@pytest.fixture(scope="module")
def batched():
    """160 rows of two signals under the stronger shifts of four batches that both views share, and the batches."""
    rng = np.random.default_rng(0)
    batch, signals = np.arange(160) % 4, rng.standard_normal((160, 2))
    x, y = (rng.normal(0, 6, (4, 6))[batch] + rng.standard_normal((160, 6)) + 2 * np.pad(signals, ((0, 0), (0, 4)))
            for _ in range(2))
    return x, y, signals, np.array(["a", "b", "c", "d"])[batch]


@pytest.mark.slow
def test_removed_confounders_move_the_regime_and_are_in_the_settings(batched):
    x, y, signals, batch = batched
    labels, all_rows = (signals[:, 0] > 0) + 2 * (signals[:, 1] > 0), np.arange(160)
    options = {"pca": None, "confidence": 0.9, "divisions": 1, "among": ("CA",)}
    before, after, other = (QualityRows.of(MatchedRows(x, y, labels), "class", **options, confounders=confounders)
                            for confounders in (None, {"batch": batch}, {"batch": batch[::-1]}))
    regimes = [own.outcome(2, labels, all_rows, "class", rows, scores=False).regime
               for own, rows in ((before, None), (after, None), (after, np.arange(130)))]
    assert regimes == ["Neither", "Both", "Both"]
    assert len({one.digest for one in (before, after, other)}) == 3
    assert before.digest == replace(after, confounders=None).digest
    removed, _ = after.removed()
    assert removed is not None
    assert (removed.names, removed.rows) == (("batch",), 156)
    for view in after.views:  # what is clustered and merged knows no batch
        assert np.allclose([view[batch == one].mean(0) for one in "abcd"], 0, atol=1e-9)
    ratios = [next(own.with_ridges(all_rows, own.without_known(np.eye(4)[labels], all_rows), (1e-3,))).regime
              for own in (before, after)]
    assert ratios == ["Neither", "Both"]


@pytest.mark.slow
def test_removed_confounders_are_told(batched):
    x, y, signals, batch = batched
    found = label_quality(x, y, signals[:, 0], by="noise", r2_shares=[0.5], k=2, repeats=1, divisions=1,
                          confounders={"batch": batch})
    assert [one.regime for one in (found.given, *found.levels[0].outcomes)] == ["Both", "Both"]
    assert found.given.n == found.levels[0].outcomes[0].n == 160
    assert "Confounders: removed batch (4 levels): explained" in found.summary()
    assert LabelQuality.from_json(found.to_json()).confounders == found.confounders
    assert found.to_frame()["confounders"].str.contains("156 independent rows are left").all()


@pytest.mark.parametrize(("confounders", "message"), [
    (np.zeros(10), "confounders: expected 160 rows, one for each row of x, got 10"),
    ({"batch": ["a"] * 160}, "confounders: expected at least 2 levels, got only a in batch"),
    ({"age": np.full(160, np.nan)}, "confounders: expected a value in every row"),
    ({"row": np.arange(160).astype(str)}, "confounders: expected levels of 2 rows or more on average"),
    ({"labels": np.arange(160) % 4}, "confounders: expected some that do not determine the labels"),
])
def test_confounders_that_cannot_be_removed_are_refused(batched, confounders, message):
    x, y, *_ = batched
    with pytest.raises(ValueError, match=message) as error:
        label_quality(x, y, np.arange(160) % 4, by="reassignment", k=2, confounders=confounders)
    assert "\n" not in str(error.value)


# Words, of made results


def outcome(regime="CA only", best="CA", decided=True, seen=True):
    probabilities = tuple(0.97 if one.value == regime else 0.01 for one in Regime)
    return QualityOutcome(n=100, labelled=80, seen=seen, regime=regime, probabilities=probabilities, content={},
                          best=best, decided=decided, scores={"x": 0.2, "y": 0.1, "x and y": 0.3, "CA": 0.2},
                          metric="R2", reason="" if regime else "Too few labels.")


def made(levels, given=None, by="noise"):
    given = given or outcome()
    return LabelQuality(
        given=given, by=(by,), n=100, labelled=80, groups=None, d_x=4, d_y=4, kind="real", k=2, k_from_labels=True,
        among=("CA", "CP x->y", "CP y->x"), confidence=0.9, foretold={}, levels=tuple(
            QualityLevel(by=by, level=level, name=f"{level}", outcomes=tuple(outcomes), about={})
            for level, outcomes in levels))


def test_conclusions_say_where_regime_and_decision_change():
    none = outcome(None, decided=False)
    stays = made([(0.75, [outcome()] * 5), (0.5, [outcome()] * 5)])
    assert stays.conclusions == (
        "Noise: the regime (CA only) does not change up to a loss of 50 % of the labels' R2; the decision (CA) does "
        "not change up to a loss of 50 % of the labels' R2.",)
    mostly = made([(0.5, [outcome()] * 3 + [none] * 2)]).conclusions[0]
    assert "R2, though in 3 of 5 repeats only at a loss of 50 %" in mostly
    lost = made([(0.75, [outcome()] * 4 + [none]), (0.5, [none] * 4 + [outcome()])])
    assert lost.conclusions[0].startswith(
        "Noise: the regime (CA only) holds up to a loss of 25 % of the labels' R2; at a loss of 50 % of the labels' R2 "
        "it is no longer stated (in 4 of 5 repeats); the decision (CA) holds up to")
    other = made([(0.25, [outcome("Both", "CP x->y")] * 3)], by="reassignment")
    assert other.conclusions[0] == (
        "Wrong classes: the regime (CA only) does not hold: at 25 % of the labels reassigned it becomes Both (in 3 of "
        "3 repeats); the decision (CA) does not hold: at 25 % of the labels reassigned it becomes CP x->y (in 3 of 3 "
        "repeats).")
    split = made([(0.5, [outcome()] * 2 + [none] * 2)])
    assert "at a loss of 50 % of the labels' R2 repeats differ" in split.conclusions[0]
    from_none = made([(0.5, [outcome()] * 2)], given=none)
    assert ("no regime is stated with the labels as given; at a loss of 50 % of the labels' R2 it is CA only (in 2 of "
            "2 repeats)") in from_none.conclusions[0]
    assert "Labels as given: no regime (too few labels)" in from_none.summary()


def test_fractions_have_binomial_intervals_and_single_outcomes_none():
    level = made([(0.5, [outcome()] * 4 + [outcome(None)])]).levels[0]
    share, low, high = level.share("regime", "CA only", 0.9)
    # Wilson 1927: centre (k + z^2 / 2) / (n + z^2), z = 1.6449.
    z = 1.6448536
    centre, half = (4 + z**2 / 2) / (5 + z**2), z * np.sqrt(5 * 0.8 * 0.2 + z**2 / 4) / (5 + z**2)
    assert (share, pytest.approx(centre - half), pytest.approx(centre + half)) == (0.8, low, high)
    assert np.isnan(replace(level, outcomes=level.outcomes[:1]).share("regime", None, 0.9)[1:]).all()
    frame = made([(0.5, [outcome()] * 4 + [outcome(None)])]).to_frame()
    assert frame["regime CA only"].tolist() == [1.0, 0.8]
    assert frame["probability"].tolist() == pytest.approx([0.97, (4 * 0.97 + 0.01) / 5])
    assert plain(made([]).to_dict())["given"]["regime"] == "CA only"
    assert np.isnan(outcome(seen=False).probability_of("CA only"))


def test_the_figure_has_a_panel_for_regimes_and_one_for_decisions():
    figure = plot_label_quality(made([(0.75, [outcome()] * 2), (0.5, [outcome("Both")] * 2)]))
    regimes, decisions = figure.axes
    assert [text.get_text() for text in regimes.get_xticklabels()] == ["as\ngiven", "0.75", "0.5"]
    heights = {bar.get_height() for bar in regimes.patches}
    assert heights == {0.0, 1.0}
    assert decisions.get_xlabel() == "share of R² left"


@pytest.mark.parametrize(("options", "message"), [
    ({"by": "noise", "r2_shares": [1.5]}, "r2_shares: expected a number above 0 and below 1"),
    ({"by": "noise", "bins": [4]}, "bins: expected none without coarsening"),
    ({"by": "coarsening", "bins": [600]}, "bins: expected at most 500, the number of different labels, got 600"),
    ({"by": "coarsening", "bins": [200]}, "coarser classes: expected at least 2 classes of 5 rows or more"),
    ({"by": "coarsening", "mapping": {"a": "b"}}, "mapping: expected none with real labels"),
    ({"by": "reassignment"}, "by: expected classes for reassignment, got real labels"),
    ({"by": "pseudo-labels", "clusters": [101]}, "clusters: expected at most 100, 5 of the 500 rows for each"),
    ({"by": "rows", "sizes": [501]}, "sizes: expected a whole number from 2 to 500, got 501"),
    ({"by": "ridge", "sizes": [5]}, "sizes: expected a whole number from 10 to 500, got 5"),
    ({"by": "ridge", "ridges": [0.0]}, "ridges: expected a number above 0"),
    ({"by": "ridge", "repeats": 3}, "repeats: expected none without noise or"),
    ({"by": ["noise", "noise"]}, "by: expected each kind of change once"),
    ({"by": "blur"}, "by: expected"),
    ({"by": "noise", "among": ["CQ"]}, "among: "),
    ({"by": "noise", "k": 4}, "k: expected 1 to"),
])
def test_bad_options_are_refused_in_one_line(rows, options, message):
    x, y, signals = rows
    with pytest.raises(ValueError, match=message) as error:
        label_quality(x, y, signals[:, 0], **options)
    assert "\n" not in str(error.value)


def test_labels_are_needed_but_for_clusters(rows):
    x, y, _ = rows
    for options, message in (({"by": "rows"}, "labels: expected some with rows, got none"),
                             ({"by": "pseudo-labels"}, "k: expected the width of your embedding"),
                             ({"by": "pseudo-labels", "k": 4, "view": "x"}, "k: expected 1 to min"),
                             ({"by": "pseudo-labels", "k": 2}, "view: expected x or y")):
        with pytest.raises(ValueError, match=message):
            label_quality(x, y, **options)
