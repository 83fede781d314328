"""Heads on frozen features: what is trained, what is kept, which rows are looked at, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from phasejax.deep import HeadPrediction, HeadScore, TrainedHeads, TrainedObjective, plot_heads, train_heads
from phasejax.deep._heads_probes import predicted, probe_parts, score
from phasejax.deep._heads_rows import head_rows
from tests.deep.heads_rows import AGE, GROUP, KIND, SHARED, SMALL, SPLIT, N, X, Y, trained

CP = {**SMALL, "objectives": ("CP x->y",)}
pytestmark = [pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")]


@pytest.fixture(scope="module")
def found() -> TrainedHeads:
    return trained()


def test_every_objective_is_scored_on_every_target(found):
    table = found.to_frame()
    names = ["CA VICReg", "CA InfoNCE", "CA DeepCCA", "CP x->y", "CP y->x", "joint", "CP both", "supervised x",
             "supervised y", "supervised x and y", "x", "y", "x and y"]
    for target, metric in (("kind", "balanced accuracy"), ("age", "R2")):
        own = table[(table.target == target) & table.main]
        assert [*own.objective] == names
        assert set(own.metric) == {metric}
    assert [*table[(table.target == "donor") & table.main].objective] == [*names[:7], *names[10:]]
    assert found.score("CA VICReg").columns == found.score("CP both").columns == 4
    assert found.score("CP x->y", "age").columns == 2
    assert found.targets["age"]["known"] == np.isfinite(AGE).sum()
    assert len(found.score("CA VICReg", "kind").by_seed) == 2
    assert max(found.score("supervised y", "kind").by_seed) > 0.8
    assert max(found.score("supervised x and y", "age").by_seed) > 0.5
    with pytest.raises(ValueError, match="score: expected an objective out of CA VICReg, CA InfoNCE"):
        found.score("CA")


def test_only_validation_rows_choose(found):
    joint = next(one for one in found.trained if one.objective == "joint")
    assert isinstance(joint, TrainedObjective)
    assert joint.tried == 2
    assert set(joint.settings) == {"learning_rate", "weight_decay", "dropout", "alpha"}
    alone = {alpha: train_heads(X, Y, {"kind": KIND, "age": AGE}, groups=GROUP, split=SPLIT, alpha=alpha,
                                **SMALL | {"objectives": ("joint",)}) for alpha in (0.2, 0.8)}
    merit = {alpha: np.mean([one.validation for one in result.scores if one.objective == "joint" and one.main])
             for alpha, result in alone.items()}
    assert joint.settings["alpha"] == max(merit, key=lambda alpha: merit[alpha])
    assert found.score("joint").by_seed == alone[joint.settings["alpha"]].score("joint").by_seed


def network(layers, rows, means=None):
    """Dense layers in NumPy, with batch norm's running means where there are some."""
    for i, layer in enumerate(layers[:-1]):
        rows = rows @ layer["kernel"]
        if means is not None:
            rows = (rows - means[i]["mean"]) / np.sqrt(means[i]["variance"] + 1e-5) * layer["scale"]
        rows = np.maximum(rows + layer["bias"], 0)
    return rows @ layers[-1]["kernel"] + layers[-1]["bias"]


def test_the_networks_of_the_best_epoch_are_restored(found):
    """The validation loss of what is kept is that of the best epoch, though all trainings went on after it."""
    record = next(one for one in found.trained if one.objective == "CP x->y")
    assert all(best + 3 == last or last == 12 for best, last in zip(record.best_epochs, record.epochs, strict=True))
    for one in found.trained:
        assert min(one.best_epochs) >= 1
    assert any(best < last for one in found.trained for best, last in zip(one.best_epochs, one.epochs, strict=True))
    held = found.data.rows("validation")
    x, y = ((view[held] - centre) * scale for view, (centre, scale) in
            zip((X, Y), (found.heads.units["x"], found.heads.units["y"]), strict=True))
    for (flat, means), expected in zip(found.heads.networks["CP x->y"], record.validation_losses, strict=True):
        layers = found.heads.sizes.program("CP x->y").unravel(flat)
        z = network(layers["encoder_x"], x, means["encoder_x"])
        loss = np.mean((network(layers["decoder_y"], z, means["decoder_y"]) - y) ** 2)
        assert loss == pytest.approx(expected, rel=1e-4)


def test_features_of_test_rows_change_nothing_that_is_trained():
    spoilt = np.where((SPLIT == "test")[:, None], 100 * X, X)
    first, second = (train_heads(view, Y, KIND, split=SPLIT, **CP) for view in (X, spoilt))
    for one, other in zip(first.heads.networks["CP x->y"], second.heads.networks["CP x->y"], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(first.heads.units["x"][0], second.heads.units["x"][0])
    assert first.score("CP x->y").validation == second.score("CP x->y").validation


def test_a_row_without_a_target_is_left_out_of_its_probe_only(found):
    complete = train_heads(X, Y, {"kind": KIND, "age": SHARED[:, 1]}, groups=GROUP, split=SPLIT, **CP)
    assert complete.score("CP x->y", "kind").by_seed == found.score("CP x->y", "kind").by_seed
    assert complete.score("CP x->y", "age").by_seed != found.score("CP x->y", "age").by_seed


LINEAR = {"widths": (), "norm": None, "dropout": 0.0, "weight_decay": 0.0, "learning_rate": 0.03, "batch": N,
          "epochs": 400, "patience": 400, "seeds": 1, "bottleneck": 2}


@pytest.mark.slow
def test_a_network_predicts_what_a_line_cannot():
    one = train_heads(X, Y, {"size": np.abs(SHARED[:, 0])}, objectives=("CP x->y",), split=SPLIT,
                      probes=("ridge", "mlp"), **LINEAR)
    assert one.score("CP x->y", probe="ridge").value < 0.2
    assert one.score("CP x->y", probe="mlp").value > 0.35


@pytest.mark.slow
def test_linear_heads_reach_the_closed_forms():
    """CP: reduced-rank regression; DeepCCA: the leading canonical correlations. Principal components do neither."""
    one = train_heads(X, Y, KIND, objectives=("CP x->y", "CA DeepCCA"), split=SPLIT, **LINEAR)
    rows = SPLIT == "train"
    x, y = X[rows] - X[rows].mean(0), Y[rows] - Y[rows].mean(0)

    def explained(z):
        z = z - z.mean(0)
        return np.sum((z @ np.linalg.lstsq(z, y, rcond=None)[0]) ** 2)

    def correlations(z_x, z_y):
        bases = [np.linalg.qr(z - z.mean(0))[0] for z in (z_x, z_y)]
        return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)

    best = np.sum(np.linalg.svd(np.linalg.qr(x)[0].T @ y, compute_uv=False)[:2] ** 2)
    components = x @ np.linalg.svd(x, full_matrices=False)[2][:2].T
    z = one.heads.embed("CP x->y", X[rows])
    assert 0.97 < explained(z) / best <= 1 + 1e-5
    assert explained(components) / best < 0.5
    pair = (one.heads.embed("CA DeepCCA", **{name: view[rows]}) for name, view in (("x", X), ("y", Y)))
    expected = correlations(x, y)[:2]
    assert correlations(*pair) == pytest.approx(expected, abs=0.03)
    assert correlations(components, y)[0] < expected[0] - 0.2


def test_a_label_of_groups_cannot_be_read_off_other_groups():
    """Each group has a coin: 0.5 with whole groups held out; with single rows held out, features betray the group."""
    rng = np.random.default_rng(0)
    coins, means = rng.integers(0, 2, 24), 5 * np.eye(24)
    features = means[GROUP] + 0.1 * rng.standard_normal((N, 24))
    scores = {True: [], False: []}
    for seed in range(20):
        for grouped, groups in ((True, GROUP), (False, None)):
            rows = head_rows(features, Y, coins[GROUP], nuisance=None, groups=groups, split=None, label_kind="auto",
                             by_position=False, missing="error", seed=seed)
            if grouped:
                parts = [set(GROUP[rows.rows(part)]) for part in ("train", "validation", "test")]
                assert not parts[0] & parts[1]
                assert not (parts[0] | parts[1]) & parts[2]
                assert 30 <= len(rows.rows("test")) <= 70
            target = rows.targets[0]
            parts = probe_parts(rows, target, 0)
            if len(np.unique(target.values[parts.test])) == 2:
                one = predicted("ridge", features, target, parts)[parts.test]
                scores[grouped].append(score("class", target.values[parts.test], one)[0])
    # Mean of about 18 splits with about 5 test groups each, which overlap: one standard error is near 0.05.
    assert abs(np.mean(scores[True]) - 0.5) < 0.2
    assert np.mean(scores[False]) > 0.95


def test_leakage_of_held_out_groups_is_tested_on_their_own_rows(found):
    donor = next(target for target in found.data.targets if target.nuisance)
    parts = probe_parts(found.data, donor, 0)
    held = np.concatenate([parts.train, parts.validation, parts.test])
    assert not set(held) & set(found.data.rows("train"))
    assert len(set(held)) == len(held) == np.sum(SPLIT != "train")
    assert set(donor.values[parts.test]) <= set(donor.values[parts.train])
    assert found.score("x", "donor").nuisance


def test_rows_are_joined_and_columns_of_targets_are_no_features():
    ids = pd.Index([f"star {i}" for i in range(N)])
    x = pd.DataFrame(X, index=ids, columns=[*"abcdef"]).assign(age=SHARED[:, 1])
    order = np.random.default_rng(1).permutation(N)
    labels = {"age": pd.Series(SHARED[:, 1], ids, name="age").iloc[order], "kind": pd.Series(KIND, ids).iloc[order]}
    rows = head_rows(x, pd.DataFrame(Y, index=ids).iloc[order], labels, nuisance=None, groups=None,
                     split=pd.Series(SPLIT, ids).iloc[order], label_kind="auto", by_position=False, missing="error",
                     seed=0)
    np.testing.assert_array_equal(rows.x, X)
    np.testing.assert_array_equal(rows.y, Y)
    np.testing.assert_array_equal(rows.targets[0].values, SHARED[:, 1])
    np.testing.assert_array_equal(rows.targets[1].values, KIND)
    assert "x: column age holds the labels and is no feature" in " ".join(rows.notes)
    np.testing.assert_array_equal(rows.part, np.repeat([0, 1, 2], [150, 50, 40]))


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    first, again, other = (train_heads(X, Y, KIND, split=SPLIT, seed=seed, **CP) for seed in (3, 3, 4))
    assert [one.by_seed for one in first.scores] == [one.by_seed for one in again.scores]
    assert first.trained[0].validation_losses != other.trained[0].validation_losses


def test_results_are_written(found):
    written = found.to_dict()
    assert written["schema"] == {"name": "phasejax.heads", "version": 1}
    assert written["groups_of_parts"] == {"train": 15, "validation": 5, "test": 4}
    assert train_heads(X, Y, KIND, split=SPLIT, **CP).to_dict()["groups"] is None
    assert len(written["scores"]) == len(found.to_frame())
    assert "networks" not in found.to_json()
    lines = found.summary().splitlines()
    assert lines[0] == "kind (target): balanced accuracy by logistic probe, chance 0.50"
    assert lines[1].split()[:2] == ["CA", "VICReg"]
    assert lines[-1].startswith("n = 240 in 24 groups (150 to train, 50 to validate, 40 to test), d_x = 6, d_y = 5")


def test_a_prediction_is_shown_beside_the_scores(found):
    scores = {"CA": 0.9, "CP x->y": 0.8}
    one = HeadPrediction("kind", scores, "CA", True, "CP x->y", 0.05, False)
    lines = replace(found, predictions=(one,)).summary().splitlines()
    assert "  diagnosis: CA (CA 0.90, CP x->y 0.80); measured best: CP x->y, by 0.050" in lines
    assert isinstance(found.scores[0], HeadScore)


def test_the_figure_has_a_panel_for_each_target(found):
    figure = plot_heads(found)
    assert [ax.get_title() for ax in figure.axes] == ["kind", "age", "donor (leakage)"]
    points = [line.get_xdata()[0] for line in figure.axes[0].containers[0].lines[:1]]
    assert points == [found.score("CA VICReg", "kind").value]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][3] == "CP x→y"


NAN = X.copy()
NAN[7, 2] = np.nan
PARTS = (np.arange(150), np.arange(150, 200), np.arange(200, 240))


@pytest.mark.parametrize(("change", "message"), [
    ({"split": (PARTS[0], PARTS[1], np.arange(149, 240))},
     r"split: expected every row in one part at most, got row 149 in test and train"),
    ({"split": PARTS, "groups": np.repeat(np.arange(16), 15)},
     r"split: expected every group in one part, got the group of row 195 in both validation and test"),
    ({"labels": {"kind": KIND, "age": np.full(N, np.nan)}},
     r"labels age: expected some that are not missing, got none"),
    ({"labels": {"age": np.where(SPLIT == "test", np.nan, SHARED[:, 0])}, "split": SPLIT},
     r"labels age: expected values among the rows to test on, got 0"),
    ({"labels": {"kind": np.ones(N, int)}}, r"labels kind: expected at least 2 classes, got only 1"),
    ({"nuisance": {"kind": KIND}}, r"labels, nuisance: expected different names of targets, got kind twice"),
    ({"x": NAN}, r"x: expected finite values, got 1 that are NaN or masked, in 1 of 240 rows .*the first in row 7"),
    ({"x": X[:-1]}, r"y: expected 239 rows as in x, got 240"),
    ({"groups": np.arange(N) % 2}, r"groups: expected at least 3, to train, validate and test on, got 2"),
    ({"split": np.where(SPLIT == "test", "exam", SPLIT)},
     r"split: expected the names train, validation and test, got 'exam'"),
    ({"split": np.repeat(["train", "test"], 120)}, r"split: expected at least 2 rows to validate on, got 0"),
    ({"objectives": ("CA",)}, r"objectives: expected one of CA VICReg, "),
    ({"grid": {"width": [3]}}, r"grid: expected one of learning_rate, "),
    ({"grid": {"alpha": [2]}}, r"alpha: expected a number of at least 0 and of at most 1, got 2"),
    ({"bottleneck": 0}, r"bottleneck: expected "),
    ({"probes": ("logistic",), "labels": {"age": AGE}}, r"probes: expected ridge or mlp for real values, got logistic"),
    ({"labels": {}}, r"labels: expected at least one target, got none"),
])
def test_bad_input_is_refused_in_one_line(change, message):
    given = {"x": X, "y": Y, "labels": {"kind": KIND}, **SMALL, **change}
    with pytest.raises(ValueError, match=message) as caught:
        train_heads(**given)
    assert "\n" not in str(caught.value)


def test_a_training_that_diverges_is_told_and_scores_nothing():
    one = train_heads(X, Y, KIND, split=SPLIT, **CP | {"learning_rate": 1e30})
    assert np.isnan(one.score("CP x->y").value)
    assert one.trained[0].diverged == (True, True)
    assert any(line.startswith("training diverged: CP x->y") for line in one.warnings)
    assert '"value": "nan"' in one.to_json()


def test_a_view_in_unlike_units_is_brought_to_like_ones():
    mixed = X * np.array([1e6, 1, 1, 1, 1, 1])
    one = train_heads(mixed, Y, KIND, split=SPLIT, **CP)
    assert any("x: its columns seem to be in different units" in line for line in one.warnings)
    centre, scale = one.heads.units["x"]
    assert ((mixed[:150] - centre) * scale).std(0) == pytest.approx(np.ones(6))
