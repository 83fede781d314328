"""What a pilot trained: candidates, of which each fold takes its own by other folds' labels, and a pilot that leads."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phasejax import diagnose
from phasejax.deep import HeadsPilot
from phasejax.diagnosis import FairScores, fair_scores
from phasejax.diagnosis._cross_fit import read_out_arrays
from phasejax.diagnosis._pilot_outputs import pilot_earnings, spread_of_seeds

N, FOLDS = 120, 4
RNG = np.random.default_rng(0)
LABEL = RNG.standard_normal((N, 1))
FOLD = np.arange(N) % FOLDS
ROWS = np.arange(N)
GOOD, NOISE = LABEL + 0.1 * RNG.standard_normal((N, 1)), RNG.standard_normal((N, 1))


def encoders(*by_fold, diverged=()):
    """An encoder of x with the given outputs for each fold."""
    return SimpleNamespace(x=np.stack(by_fold), y=None, diverged=np.isin(np.arange(FOLDS), diverged))


def earned_by(*candidates):
    """What rows earn under an encoder of CP x->y of which there are these candidates."""
    found, diverged = pilot_earnings({"CP x->y": list(candidates)}, FOLDS, N, LABEL, ROWS, FOLD, "real", 0)
    return [] if found is None else [one.earned for one in found.by_seed], diverged


def expected(*by_fold):
    return read_out_arrays({"CP x->y": np.stack(by_fold)}, LABEL, ROWS, FOLD, "real").earned


def test_each_fold_takes_the_candidate_that_is_best_in_the_others():
    # Fold 0's own labels would take the second; those of the other folds take the first.
    first, second = [NOISE, GOOD, GOOD, GOOD], [GOOD, NOISE, NOISE, NOISE]
    earned, diverged = earned_by(encoders(*second), encoders(*first))
    assert diverged == ()
    np.testing.assert_allclose(earned, [expected(*first)])


def test_classes_are_read_by_a_logistic_regression_on_the_rows_outside_the_fold():
    """Of outputs of very unequal spread within classes, from which linear discriminants guess otherwise."""
    rng = np.random.default_rng(3)
    classes = np.repeat([0, 1, 2], [60, 36, 24])[rng.permutation(N)]
    x, y = (np.stack([classes[:, None] + rng.exponential(1 + classes[:, None], (N, 2)) for _ in range(FOLDS)])
            for _ in range(2))
    outputs = SimpleNamespace(x=x, y=y, diverged=np.zeros(FOLDS, bool))
    found, _ = pilot_earnings({"CA": outputs}, FOLDS, N, np.eye(3)[classes], ROWS, FOLD, "class", 0)
    (earned,) = found.by_seed
    discriminants = 0
    for name, of_fold in (("CA", np.concatenate([x, y], 2)), ("CA of x", x), ("CA of y", y)):
        for f, z in enumerate(of_fold):
            training, held_out = f != FOLD, f == FOLD
            fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(z[training], classes[training])
            odds = fitted.predict_log_proba(z[held_out]) - np.log(np.bincount(classes[training]))
            right = odds.argmax(1) == classes[held_out]
            np.testing.assert_array_equal(earned.earned[held_out, earned.names.index(name), 0], right)
            other = LinearDiscriminantAnalysis(priors=[1 / 3] * 3).fit(z[training], classes[training])
            discriminants += (other.predict(z[held_out]) != odds.argmax(1)).sum()
    assert (earned.possible == 1).all()
    assert discriminants > 10


def test_candidates_that_diverged_are_left_out():
    bad, noise = encoders(*[GOOD] * FOLDS, diverged=(2,)), encoders(*[NOISE] * FOLDS)
    earned, diverged = earned_by(bad, noise)
    np.testing.assert_allclose(earned, [expected(*[NOISE] * FOLDS)])
    assert diverged == ()
    assert earned_by(bad, bad) == ([], ("CP x->y",))


def test_the_spread_of_seeds_is_the_error_of_a_mean_over_trainings():
    # Each training of each fold shifts what its rows earn by a normal number of its own, by name. The mean score over
    # 3 seeds and 5 folds of 40 rows of possible 1 then has the variance of such a number over 15; so have the draws in
    # the mean over 400 sets of trainings, within 4 standard errors, but for the factor 10 / 8 of t with 10 degrees of
    # freedom.
    rng, fold, sizes = np.random.default_rng(1), np.arange(200) % 5, np.array([0.3, 0.1])
    found = []
    for _ in range(400):
        shifts = sizes * rng.standard_normal((3, 5, 2))
        drawn = spread_of_seeds(shifts[:, fold] + rng.standard_normal((200, 2)), np.ones(200), fold,
                                np.zeros(200, int), 50, rng)
        found.append((drawn**2).mean(0))
    variance = sizes**2 / 15 * 10 / 8
    error = np.std(found, axis=0) / 20
    assert (np.abs(np.mean(found, 0) - variance) < 4 * error).all()
    assert (error < 0.1 * variance).all()
    # Of one seed nothing is known.
    assert not spread_of_seeds(np.ones((1, 200, 2)), np.ones(200), fold, np.zeros(200, int), 50, rng).any()
    # Of classes, each counts alike: 20 rows of the second weigh as much as 180 of the first.
    classes = (np.arange(200) % 10 == 0).astype(int)
    shifts = np.zeros((2, 200, 1))
    shifts[0, (fold == 0) & (classes == 1)] = 1
    drawn = spread_of_seeds(shifts, np.ones(200), fold, classes, 20_000, rng)
    # U is 20 / 20 / 2 under the first seed and 0 under the second; t with 5 degrees of freedom has variance 5 / 3.
    assert np.median(np.abs(drawn)) == pytest.approx(0.25 * 0.7267, rel=0.03)


def test_a_pilot_that_leads_counts_alone_for_what_it_trained():
    x = np.hstack([LABEL, RNG.standard_normal((N, 2))])
    y = np.hstack([LABEL + RNG.standard_normal((N, 1)), RNG.standard_normal((N, 2))])
    trained = {name: SimpleNamespace(x=np.stack([values] * 5), y=np.stack([values] * 5), diverged=np.zeros(5, bool))
               for name, values in (("CA", NOISE), ("CP x->y", GOOD), ("CP y->x", GOOD))}
    found = fair_scores(x, y, LABEL, ROWS, kind="real", k=1, pilot=lambda fold: trained, pilot_leads=True, repeats=1)
    assert found.leading == "pilot"
    assert found.sources_of("CA") == found.sources_of("CA", "CP both") == ("pilot",)
    assert found.score("CA").value == found.values["pilot"]["CA"] < 0.1 < found.values["linear"]["CA"]
    # A network that it did not train, and columns of the data, have the other scores.
    assert found.sources_of("joint") == found.sources_of("x", "CA") == ("linear", "lifted")
    best = found.best(("CA", "CP x->y"))
    assert (best.name, best.sure, best.scores["CA"]) == ("CP x->y", True, found.values["pilot"]["CA"])
    assert found.best(("CA", "x")).scores["CA"] == found.values["pilot"]["CA"]
    # Closed forms of CA are better than y's columns, which does not make the choice unsure.
    assert found.values["linear"]["CA"] > found.values["linear"]["y"] + 0.1
    best = found.best(("CA", "y"))
    assert (best.name, best.sure) == ("y", True)
    alone = {one.name: one.value for one in found.per_column[0].scores}
    assert alone["CA"] == pytest.approx(found.values["pilot"]["CA"])
    # Seeds that disagree are an error of the score, and what they agree on is none.
    seeds = {**trained, "CA": SimpleNamespace(**{view: np.stack([[GOOD] * 5, [NOISE] * 5]) for view in "xy"},
                                              diverged=np.zeros((2, 5), bool))}
    seeds |= {name: SimpleNamespace(x=np.stack([one.x] * 2), y=np.stack([one.y] * 2), diverged=np.zeros((2, 5), bool))
              for name, one in trained.items() if name != "CA"}
    spread = fair_scores(x, y, LABEL, ROWS, kind="real", k=1, pilot=lambda fold: seeds, pilot_leads=True, repeats=1)
    assert spread.draws.errors["pilot"]["CA"] > 2 * found.draws.errors["pilot"]["CA"]
    assert spread.draws.errors["pilot"]["CP both"] == found.draws.errors["pilot"]["CP both"]
    assert 0.4 < spread.score("CA").value < 0.6
    with pytest.raises(ValueError, match="pilot: expected as many seeds of all objectives, got 1 and 2"):
        fair_scores(x, y, LABEL, ROWS, kind="real", k=1, pilot=lambda fold: trained | {"CA": seeds["CA"]})
    assert FairScores.from_dict(found.to_dict()).leading == "pilot"
    with pytest.raises(ValueError, match="leading: expected one of linear, lifted, pilot or null, got 'heads'"):
        FairScores.from_dict(found.to_dict() | {"leading": "heads"})
    close = replace(found, values={source: {name: 0.5 for name in of} for source, of in found.values.items()})
    assert close.best(("CA", "CP x->y")).needed.startswith("more labels than 120, or more seeds of the pilot")
    with pytest.raises(ValueError, match="source: expected one of linear, lifted, pilot"):
        found.score("CA", "heads")


def test_a_diagnosis_goes_by_the_heads_that_will_be_trained():
    x = np.hstack([LABEL + 0.2 * RNG.standard_normal((N, 1)), RNG.standard_normal((N, 2))])
    y = np.hstack([LABEL + 0.2 * RNG.standard_normal((N, 1)), 5 * RNG.standard_normal((N, 2))])
    pilot = HeadsPilot(objectives=("CA DeepCCA", "CP x->y"), widths=(), norm=None, epochs=40, learning_rate=0.05)
    told = []
    found = diagnose(x, y, LABEL, k=1, pilot=pilot, fit=False, progress=lambda *task: told.append(task))
    assert found.scores[0].leading == "pilot"
    assert found.scores[0].score("CA").value > 0.8
    assert found.best(("CA", "CP x->y")).scores["CP x->y"] == found.scores[0].values["pilot"]["CP x->y"]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert any("pilot, steps of all folds" in task for task, _, _ in told)
