"""A training of the user's own as a pilot: what it is given, what becomes of it, and what is refused."""

import re

import numpy as np
import pytest
import scipy.linalg

from phasejax import diagnose
from phasejax.deep import OwnPilot
from phasejax.diagnosis import fair_scores

RNG = np.random.default_rng(0)
N = 240
SHARED = RNG.standard_normal((N, 2))
X = np.hstack([SHARED + 0.4 * RNG.standard_normal((N, 2)), RNG.standard_normal((N, 3))])
Y = np.hstack([SHARED + 0.4 * RNG.standard_normal((N, 2)), 4 * RNG.standard_normal((N, 2))])
LABEL = SHARED @ [1.0, 0.5] + 0.3 * RNG.standard_normal(N)
FOLD = np.where(np.arange(N) < 210, np.arange(N) % 3, -1)


def closed_forms(x, y, k, seed):
    """Canonical correlation analysis and reduced-rank regression of y on x."""
    c_x, c_y, c = np.cov(x.T), np.cov(y.T), np.cov(x.T, y.T)[:x.shape[1], x.shape[1]:]
    of_x, of_y = (scipy.linalg.eigh(cross @ np.linalg.solve(other, cross.T), own)[1][:, ::-1][:, :k]
                  for cross, other, own in ((c, c_y, c_x), (c.T, c_x, c_y)))
    predicted = scipy.linalg.eigh(c @ c.T, c_x)[1][:, ::-1][:, :k]
    return {"CA": (lambda rows: rows @ of_x, lambda rows: rows @ of_y), "CP x->y": lambda rows: rows @ predicted}


def scored(train, x=X, y=Y, repeats=1, **options):
    pilot = OwnPilot(train, **options)
    return fair_scores(x, y, LABEL[:, None] / LABEL.std(), np.arange(N), kind="real", k=1, repeats=repeats,
                       pilot=lambda fold: pilot.embeddings(x, y, fold, 1), pilot_leads=True)


def test_a_training_in_closed_form_scores_as_the_closed_forms_do():
    found = scored(closed_forms).values
    for name in ("CA", "CA of x", "CA of y"):
        assert found["pilot"][name] == pytest.approx(found["linear"][name], abs=1e-5)
    # Closed forms that predict are lowered by what training loses, 0.04.
    assert found["pilot"]["CP x->y"] - 0.04 == pytest.approx(found["linear"]["CP x->y"], abs=1e-5)


def test_a_training_sees_the_rows_outside_its_fold_and_a_seed_of_its_own():
    seen = []

    def train(x, y, k, seed):
        seen.append((x, y, k, seed))
        return {"CP y->x": lambda rows: rows[:, :k] * (seed % 7 + 1)}

    found = OwnPilot(train, seeds=3).embeddings(X, Y, FOLD, 2)
    assert len({seed for *_, seed in seen}) == 9
    for place, (x, y, k, seed) in enumerate(seen):
        f, number = divmod(place, 3)
        outside = np.flatnonzero(FOLD - f)
        np.testing.assert_array_equal(x, X[outside])
        np.testing.assert_array_equal(y, Y[outside])
        assert k == 2
        np.testing.assert_allclose(found["CP y->x"][0].y[number, f], Y[:, :2] * (seed % 7 + 1), rtol=1e-6)
    assert found["CP y->x"][0].x is None
    again = [seed for *_, seed in seen]
    OwnPilot(train, seeds=3).embeddings(X, Y, FOLD, 2, seed=0)
    assert [seed for *_, seed in seen[9:]] == again
    OwnPilot(train, seeds=3).embeddings(X, Y, FOLD, 2, seed=1)
    assert not {seed for *_, seed in seen[18:]} & {*again}


def test_what_a_training_does_to_its_rows_in_place_changes_no_data():
    def encode(rows):
        rows -= 5
        return rows[:, :1]

    def train(x, y, k, seed):
        x[:] = 0
        return {"CA": (encode, encode), "CP y->x": encode}

    x, y = X.copy(), Y.copy()
    found = OwnPilot(train).embeddings(x, y, FOLD, 1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_allclose(found["CP y->x"][0].y[1, 2], Y[:, :1] - 5, rtol=1e-5, atol=1e-5)


def test_a_fold_takes_the_candidate_that_scores_best_on_the_labels_of_the_others():
    def candidates(x, y, k, seed):
        return {"CP x->y": [lambda rows: rows[:, 3:4], lambda rows: rows[:, :1], lambda rows: rows[:, 4:5]]}

    alone = scored(lambda x, y, k, seed: {"CP x->y": lambda rows: rows[:, :1]})
    assert scored(candidates).values["pilot"] == alone.values["pilot"]


def test_a_diagnosis_of_images_goes_by_it_and_what_diverged_is_left_out():
    def train(x, y, k, seed):
        assert x.shape[1:] == (3, 3, 1)  # images keep their shape
        assert y.shape[1:] == (4,)
        of_x, of_y = closed_forms(x.reshape(-1, 9)[:, :5], y, k, seed)["CA"]
        return {"CA": (lambda rows: of_x(rows.reshape(-1, 9)[:, :5]), of_y), "CP x->y": lambda rows: rows[:, 0, 0],
                "CP y->x": lambda rows: np.full((len(rows), k), np.inf)}

    told, images = [], np.hstack([X, RNG.standard_normal((N, 4))]).reshape(N, 3, 3)
    found = diagnose(images, Y, LABEL, k=1, pilot=OwnPilot(train), fit=False, progress=lambda *task: told.append(task))
    assert found.scores[0].leading == "pilot"
    assert found.scores[0].diverged == ("CP y->x",)
    assert any("diverged for CP y->x" in warning for warning in found.warnings)
    choice = found.best(among=("CA", "CP x->y"))
    assert choice.scores == {name: found.scores[0].values["pilot"][name] for name in ("CA", "CP x->y")}
    assert choice.scores["CA"] > 0.4
    assert any("pilot, steps of all folds" in task for task, _, _ in told)


def test_a_different_unit_of_a_view_gives_the_same_scores():
    first, second = (scored(closed_forms, x).values["pilot"] for x in (X, 1e4 * X))
    assert first == pytest.approx(second, abs=1e-5)


def _first(rows):
    return rows[:, :1]


@pytest.mark.parametrize(("made", "message"), [
    (None, "expected encoders by objective from the training, got None"),
    ({}, "expected encoders by objective from the training, got {}"),
    ({"CP x -> y": _first}, "expected objectives out of CA, CP x->y, CP y->x, joint, got 'CP x -> y'"),
    ({"CA": _first}, "expected a pair of encoders, of x and of y, for CA, got"),
    ({"CP y->x": 3}, "expected an encoder of y for CP y->x, got 3"),
    ({"CP x->y": []}, "expected at least one candidate for CP x->y, got none"),
    ({"CP x->y": lambda rows: rows},
     "expected outputs of shape (240, 1) from the encoder of x for CP x->y, got (240, 5)"),
    ({"joint": lambda rows: rows[:9, :1]},
     "expected outputs of shape (240, 1) from the encoder of x for joint, got (9, 1)"),
    ({"joint": lambda rows: rows[:, :1].astype(str)},
     "expected outputs of shape (240, 1) from the encoder of x for joint, got (240, 1) of <U"),
])
def test_what_is_no_training_is_refused_in_one_line(made, message):
    with pytest.raises(ValueError, match="^pilot: " + re.escape(message)) as caught:
        OwnPilot(lambda x, y, k, seed: made).embeddings(X, Y, FOLD, 1)
    assert "\n" not in str(caught.value)


def test_trainings_that_differ_in_what_they_train_are_refused():
    def train(x, y, k, seed):
        made.append({"CP x->y": _first} if len(made) < 4 else {"CP y->x": _first})
        return made[-1]

    made = []
    with pytest.raises(ValueError, match=r"^pilot: expected the same objectives and numbers of candidates from every"):
        OwnPilot(train).embeddings(X, Y, FOLD, 1)


def test_what_the_training_raises_comes_through_with_a_line_that_says_where():
    def train(x, y, k, seed):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory") as caught:
        OwnPilot(train).embeddings(X, Y, FOLD, 1)
    assert "pilot: expected a result from the training given, got RuntimeError: out of memory" in caught.value.__notes__


@pytest.mark.parametrize(("arguments", "message"), [
    ((X, Y[:9], FOLD, 1), "y: expected 240 rows"), ((X, Y, FOLD[:9], 1), "fold: expected"),
    ((X, Y, FOLD, 0), "k: expected"),
    ((X[:9], Y[:9], np.arange(9) % 2, 1), "fold: expected at least 8 rows outside each fold, got 4")])
def test_bad_rows_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        OwnPilot(closed_forms).embeddings(*arguments)


def test_one_seed_is_not_enough():
    with pytest.raises(ValueError, match=r"^seeds: expected"):
        OwnPilot(closed_forms, seeds=1)
