"""What a pilot trained: candidates, of which each fold takes its own by other folds' labels, and a pilot that leads."""

from types import SimpleNamespace

import numpy as np
import pytest

from phasejax import diagnose
from phasejax.deep import HeadsPilot
from phasejax.diagnosis import FairScores, fair_scores
from phasejax.diagnosis._pilot_outputs import pilot_outputs

N, FOLDS = 120, 4
RNG = np.random.default_rng(0)
LABEL = RNG.standard_normal((N, 1))
FOLD = np.arange(N) % FOLDS
ROWS = np.arange(N)
GOOD, NOISE = LABEL + 0.1 * RNG.standard_normal((N, 1)), RNG.standard_normal((N, 1))


def encoders(*by_fold, diverged=()):
    """An encoder of x with the given outputs for each fold."""
    return SimpleNamespace(x=np.stack(by_fold), y=None, diverged=np.isin(np.arange(FOLDS), diverged))


def test_each_fold_takes_the_candidate_that_is_best_in_the_others():
    # Fold 0's own labels would take the second; those of the other folds take the first.
    first, second = [NOISE, GOOD, GOOD, GOOD], [GOOD, NOISE, NOISE, NOISE]
    parts, diverged = pilot_outputs({"CP x->y": [encoders(*second), encoders(*first)]}, FOLDS, N, LABEL, ROWS, FOLD,
                                    "real")
    assert diverged == ()
    np.testing.assert_array_equal(parts["CP x->y"], np.stack(first))


def test_candidates_that_diverged_are_left_out():
    bad, good = encoders(*[GOOD] * FOLDS, diverged=(2,)), encoders(*[NOISE] * FOLDS)
    parts, diverged = pilot_outputs({"CP x->y": [bad, good]}, FOLDS, N, LABEL, ROWS, FOLD, "real")
    np.testing.assert_array_equal(parts["CP x->y"], np.stack([NOISE] * FOLDS))
    assert diverged == ()
    parts, diverged = pilot_outputs({"CP x->y": [bad, bad]}, FOLDS, N, LABEL, ROWS, FOLD, "real")
    assert (parts, diverged) == ({}, ("CP x->y",))


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
    assert FairScores.from_dict(found.to_dict()).leading == "pilot"
    with pytest.raises(ValueError, match="source: expected one of linear, lifted, pilot"):
        found.score("CA", "heads")


def test_a_diagnosis_goes_by_the_heads_that_will_be_trained():
    x = np.hstack([LABEL + 0.2 * RNG.standard_normal((N, 1)), RNG.standard_normal((N, 2))])
    y = np.hstack([LABEL + 0.2 * RNG.standard_normal((N, 1)), 5 * RNG.standard_normal((N, 2))])
    pilot = HeadsPilot(objectives=("CA DeepCCA", "CP x->y", "CP y->x"), widths=(), norm=None, epochs=40,
                       learning_rate=0.05)
    told = []
    found = diagnose(x, y, LABEL, k=1, pilot=pilot, fit=False, progress=lambda *task: told.append(task))
    assert found.scores[0].leading == "pilot"
    assert found.scores[0].score("CA").value > 0.8
    assert found.best(("CA", "CP x->y")).scores["CP x->y"] == found.scores[0].values["pilot"]["CP x->y"]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert any("pilot, steps of all folds" in task for task, _, _ in told)
