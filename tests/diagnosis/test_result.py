"""The default diagnosis as a user meets it: what to do, how sure, what is said on noise, groups, wide views, saving."""

import json
import pickle

import numpy as np
import pytest

import phasejax.deep
from phasejax import Regime, diagnose
from phasejax.datasets import load_digit_halves
from phasejax.diagnosis import Diagnosis, _diagnose, choose_estimator
from phasejax.io import InputNote
from tests.diagnosis.conftest import with_few_draws
from tests.diagnosis.simulated import CASES, simulated


@pytest.fixture(scope="module")
def found():
    """Two signals, alignment recovers them and prediction does not."""
    return diagnose(*simulated(*CASES[Regime.CA_ONLY]), k=2, fit=False)


@pytest.mark.parametrize("expected", CASES)
def test_each_regime_is_stated(expected):
    """One data set each, well inside its regime: the probability that the content says is above 0.9."""
    found = diagnose(*simulated(*CASES[expected]), k=2, fit=False, predicted_scores=False)
    assert found.seen
    assert found.regime is expected
    assert f"{expected.value} (probability" in found.summary()


def test_the_first_lines_say_what_to_do_in_each_situation(found):
    lines = found.summary().splitlines()
    for line, start in zip(lines, ("Both views at hand", "Only x at hand", "Only y at hand", "One objective",
                                   "Shared signal", "Regime at n = 600"), strict=False):
        assert line.startswith(start)
    assert found.verdict in lines[0]
    assert "align (CA)" in lines[3]
    choice = found.best(("CA", "CP x->y", "CP y->x"))
    assert (choice.name, choice.decided) == ("CA", True)
    assert choice.expected_loss["CA"] < choice.expected_loss["CP x->y"]
    assert found.best(("CA of x", "CP x->y")).name == "CA of x"
    assert type(choose_estimator(found)).__name__ == "CrossAlignment"
    assert choose_estimator(found).n_components == 2
    assert type(choose_estimator(found, name="joint")).__name__ == "JointAlignmentPrediction"


def test_unknown_choices_are_refused_with_the_nearest_one(found):
    with pytest.raises(ValueError, match=r"^among: expected some of CA, .*, got 'CP x>y' \(did you mean 'CP x->y'\?\)"):
        found.best(("CA", "CP x>y"))
    with pytest.raises(ValueError, match=r"^k: expected one of 2, got 3"):
        found.best(k=3)
    with pytest.raises(ValueError, match=r"^name: expected one of CA, "):
        choose_estimator(found, name="PCA")


@pytest.mark.slow
def test_without_a_width_the_answer_is_a_curve(found):
    curve = diagnose(*simulated(*CASES[Regime.CA_ONLY]), fit=False)
    assert (curve.k, curve.directions) == (None, 2)
    assert [scores.k for scores in curve.scores] == [1, 2, 4, 8]
    assert curve.regime is Regime.CA_ONLY
    assert curve.best(("CA of x", "CP x->y"), k=2).name == found.best(("CA of x", "CP x->y")).name
    # Decided for any width only where it is at every width: at k = 8 of 12 columns both have found the signal.
    every = [curve.best(k=k) for k in (1, 2, 4, 8)]
    assert curve.best().decided == (all(one.decided for one in every) and len({one.name for one in every}) == 1)
    assert "k = 1" in curve.summary()


def test_it_is_saved_and_read_back(found):
    found = with_few_draws(found)
    text = found.to_json(draws=True)
    for again in (Diagnosis.from_dict(found.to_dict(draws=True)), Diagnosis.from_json(text),
                  pickle.loads(pickle.dumps(found))):
        assert again.summary() == found.summary()
        assert again.to_json(draws=True) == text
        assert again.best(("x", "CA of x", "joint")) == found.best(("x", "CA of x", "joint"))
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (read["regime"], read["method"], read["seen"]) == ("CA only", "content", True)


@pytest.mark.parametrize(("changed", "message"), [
    ({"method": "moments"}, "expected a diagnosis of method content, got moments"),
    ({"phasejax_version": 3}, "expected a diagnosis written by phasejax, got another object"),
    ({"n": "600"}, "expected int in the field n, got '600'"),
    ({"shared": {"views_p": "small"}}, "expected float in the field shared.views_p, got 'small'"),
    ({"content": None}, "expected an object in the field content, got None"),
    ({"scores": 3}, "expected tuple.* in the field scores, got 3"),
])
def test_a_damaged_file_is_refused_in_one_line(found, changed, message):
    with pytest.raises(ValueError, match=message) as caught:
        Diagnosis.from_dict(with_few_draws(found).to_dict(draws=True) | changed)
    assert "\n" not in str(caught.value)


def test_nothing_is_stated_where_nothing_is_shared():
    """Shuffled pairs: x predicts the labels, and y belongs to other rows."""
    x, y, s = simulated(*CASES[Regime.BOTH], n=300)
    found = diagnose(x, np.random.default_rng(0).permutation(y), s, k=2)
    assert not found.seen
    assert (found.regime, found.unlimited_regime, found.fit, found.uses) == (None, None, None, ())
    assert found.verdict.startswith("no shared signal seen: x and y agree no better than shuffled pairs do")
    assert "check the pairing" in found.summary().splitlines()[0]
    choice = found.best()
    assert (choice.decided, choice.sure) == (False, False)
    assert choice.needed == found.shared.reason()
    assert found.best(("x", "y")).name == "x"
    assert found.best(("x", "y")).decided  # which modality has the labels is no matter of what is shared
    with pytest.raises(ValueError, match=r"^diagnosis: expected one that has seen a shared signal"):
        choose_estimator(found)
    few = with_few_draws(found)
    assert Diagnosis.from_json(few.to_json(draws=True)).summary() == few.summary()


def test_groups_are_the_sample_size():
    """Twenty-five stars with twenty spectra each and nothing shared: by rows it looks shared, by stars it does not."""
    rng = np.random.default_rng(3)
    star = np.repeat(np.arange(25), 20)
    x, y = (rng.standard_normal((25, 6))[star] + 0.3 * rng.standard_normal((500, 6)) for _ in range(2))
    labels = rng.integers(0, 2, 25)[star]
    with pytest.warns(InputNote, match="of the rows lie in tight groups of about 20"):
        by_rows = diagnose(x, y, labels, k=2, fit=False)
    by_stars = diagnose(x, y, labels, k=2, groups=star, fit=False)
    assert by_rows.shared.views_share
    assert not by_stars.seen
    assert by_stars.groups == 25
    assert "n = 500 in 25 groups" in by_stars.summary()
    assert by_stars.scores[0].groups == 25


@pytest.mark.slow
def test_views_with_more_columns_than_rows_are_reduced_and_said():
    rng = np.random.default_rng(4)
    signal = rng.standard_normal((120, 2))
    x, y = (signal @ rng.standard_normal((2, 400)) * 2 + rng.standard_normal((120, 400)) for _ in range(2))
    found = diagnose(x, y, signal, k=2, fit=False)
    assert (found.d_x, found.d_y) == (20, 20)
    assert any(warning.startswith("x: 400 columns reduced to 20 principal components") for warning in found.warnings)
    assert found.seen
    asked = diagnose(x, y, signal, k=2, pca=5, fit=False, predicted_scores=False)
    assert (asked.d_x, asked.d_y) == (5, 5)


@pytest.mark.slow
def test_hardly_more_rows_than_columns_and_columns_that_nearly_repeat():
    """Widths stop where a fold's training rows or the rank end."""
    rng = np.random.default_rng(5)
    signal = rng.standard_normal((40, 1))
    found = diagnose(*(signal + rng.standard_normal((40, 39)) for _ in "xy"), signal[:, 0], fit=False)
    assert max(scores.k for scores in found.scores) <= 31
    x, y = (signal + rng.standard_normal((40, 3)) for _ in "xy")
    x, y = (np.c_[view, view + 2e-5 * rng.standard_normal(view.shape)] for view in (x, y))
    found = diagnose(x, y, signal[:, 0], fit=False)
    assert max(scores.k for scores in found.scores) <= found.content.rank == 3


X, Y, S = simulated(*CASES[Regime.BOTH], n=60)


@pytest.mark.parametrize(("options", "message"), [
    ({"k": 12}, r"k: expected 1 to min\(d_x, d_y\) - 1 = 11, got 12"),
    ({"k": 0}, "k: expected 1 to"),
    ({"labelled": np.arange(19)}, "labels: expected at least 20 labelled rows, got 19"),
    ({"groups": np.arange(60) // 4}, "labels: expected at least 20 groups with labelled rows, got 15"),
    ({"pilot": True}, "k: expected the width of your embedding with pilot, got none"),
    ({"pilot": True, "method": "moments"}, "pilot: expected none with method 'moments'"),
    ({"pilot": "lstm", "k": 2}, "pilot: expected True, 'mlp', 'convolutional', 'heads', a HeadsPilot, an "),
    ({"pilot": True, "k": 2, "predicted_scores": False}, "pilot: expected none with predicted_scores=False"),
    ({"pca": 1}, "pca: expected a whole number of components from 2 on, got 1"),
    ({"pca": 60}, "pca: expected fewer components than the 60 rows or groups, got 60"),
    ({"groups": np.arange(60) // 2, "method": "spectral"}, "groups: expected none with method 'spectral'"),
])
def test_bad_options_are_refused_in_one_line(options, message):
    labels = S[:19] if "labelled" in options else S
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        diagnose(X, Y, labels, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_pilot_counts_beside_the_closed_forms(monkeypatch):
    """With networks and steps as a user trains them, less often; what counts and how is in test_pilot_outputs."""
    asked, train = [], phasejax.deep.pilot_embeddings
    monkeypatch.setattr(_diagnose, "PILOT_SEEDS", 3)
    monkeypatch.setattr(phasejax.deep, "pilot_embeddings",
                        lambda *views, **options: asked.append(options["seeds"]) or train(*views, **options))
    x, y, labels = simulated(*CASES[Regime.CA_ONLY], n=120)
    found = diagnose(x, y, labels, k=2, pilot=True, fit=False)
    assert found.scores[0].sources == ("linear", "lifted", "pilot")
    assert found.best().name == "CA"
    assert Diagnosis.from_json(found.to_json(draws=True)).best() == found.best()
    # Images and many outputs take long, and are trained twice.
    monkeypatch.setattr(phasejax.deep, "pilot_embeddings", lambda *views, **options: asked.append(options["seeds"]))
    for view, most in ((x.reshape(len(x), 2, -1), 240), (x, 239), (x, 240)):
        monkeypatch.setattr(_diagnose, "_MOST_OUTPUTS", most)
        with pytest.raises(TypeError):  # nothing came back
            diagnose(view, y, labels, k=2, pilot=True, fit=False)
    assert asked == [3, 2, 2, 3]


@pytest.mark.slow
def test_the_same_words_whatever_the_seed():
    """Digit halves: nothing but a pilot's networks depends on the seed."""
    x, y, labels = (array[:600] for array in load_digit_halves())
    first, second = (diagnose(x, y, labels, k=8, fit=False, seed=seed) for seed in (0, 1))
    assert first.best().name == "CA"
    assert first.to_json(draws=True) == second.to_json(draws=True)


def test_readings_and_matches_are_noted():
    import pandas as pd

    index = [f"row {i}" for i in range(len(X))]
    labels = pd.DataFrame(S, index=index, columns=["a", "b"])
    with pytest.warns(InputNote) as issued:
        found = diagnose(pd.DataFrame(X, index=index), pd.DataFrame(Y, index=index).iloc[:0:-1], labels, k=2, fit=False,
                         predicted_scores=False)
    assert found.n == 59
    matched = "rows matched by identifier: 59 of 60 in x and 59 in y"
    assert str(issued[0].message) == matched
    assert matched not in found.warnings  # it does not limit the answer
