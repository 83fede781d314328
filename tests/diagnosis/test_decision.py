"""Choices among representations: who wins, when it is decided and when sure, what is lost, and what would settle it."""

from dataclasses import replace

import numpy as np
import pytest

from phasejax.diagnosis import Choice, FairScores
from phasejax.diagnosis._decision import INDIFFERENT, choose
from phasejax.diagnosis._fair_scores import Draws
from phasejax.diagnosis._representations import MEASURED, NAMES, known_names


def scores(by_source, error=0.005, labelled=300, groups=None, rest=0.3):
    """Scores of the names given by source, all others equal, with normal draws that share no error."""
    rng = np.random.default_rng(0)
    values = {source: {name: rest for name in NAMES if source != "pilot" or name not in MEASURED} | given
              for source, given in by_source.items()}
    draws = {source: {name: value + error * rng.standard_normal(1000) for name, value in given.items()}
             for source, given in values.items()}
    return FairScores(metric="R2", chance=0.0, k=8, labelled=labelled, groups=groups, folds=5, sources=tuple(values),
                      values=values, draws=Draws(draws))


def all_sources(**given):
    return {source: given for source in ("linear", "lifted", "pilot")}


PAIR = ("CA", "CP both")


def test_a_large_difference_on_which_all_agree_is_sure():
    found = scores(all_sources(**{"CA": 0.8, "CP both": 0.6})).best(PAIR)
    assert isinstance(found, Choice)
    assert (found.name, found.decided, found.sure, found.needed) == ("CA", True, True, "")
    assert found.probability > 0.99
    assert found.scores == pytest.approx({"CA": 0.8, "CP both": 0.6})
    assert found.expected_loss["CP both"] == pytest.approx(0.2, abs=0.003)
    assert found.expected_loss["CA"] < 1e-3
    without_pilot = {name: given for name, given in all_sources(**{"CA": 0.8, "CP both": 0.6}).items()
                     if name != "pilot"}
    found = scores(without_pilot).best(PAIR)
    assert (found.decided, found.sure, found.needed) == (True, False, "a pilot")


def test_expected_loss_of_a_normal_difference():
    # E max(0, d) of a normal d = s (phi(m/s) + m/s Phi(m/s)); each name has the errors of its sources and of networks.
    from scipy.stats import norm

    from phasejax.diagnosis import _decision
    found = scores({"linear": {"CA": 0.50, "CP both": 0.49}}, error=0.03).best(PAIR)
    s, m = np.sqrt(2 * (0.03**2 + _decision._METHOD_ERROR**2)), 0.01
    expected = {"CA": s * (norm.pdf(m / s) - m / s * norm.cdf(-m / s)),
                "CP both": s * (norm.pdf(m / s) + m / s * norm.cdf(m / s))}
    # 1000 draws: four standard errors of a mean.
    assert found.expected_loss == pytest.approx(expected, abs=4 * s / np.sqrt(1000))
    assert found.probability == pytest.approx(norm.cdf(m / s), abs=4 * 0.5 / np.sqrt(1000))
    assert not found.decided


def test_a_difference_of_two_hundredths_is_the_least_that_unlimited_rows_decide():
    for gap, decided in ((1.3 * INDIFFERENT, True), (0.2 * INDIFFERENT, False)):
        found = scores(all_sources(**{"CA": 0.5 + gap, "CP both": 0.5}), error=1e-6).best(PAIR)
        assert (found.name, found.probability >= 0.9) == ("CA", decided)


def test_sources_that_disagree_leave_it_open():
    given = {"linear": {"CA": 0.8, "CP both": 0.6}, "lifted": {"CA": 0.55, "CP both": 0.7},
             "pilot": {"CA": 0.76, "CP both": 0.72}}
    found = scores(given).best(PAIR)
    assert (found.name, found.decided, found.sure) == ("CA", False, False)
    del given["pilot"]
    assert scores(given).best(PAIR).needed.startswith("a pilot")


def test_none_better_by_more_than_nobody_should_act_on():
    """Beside a pilot that in 90 % of the draws decides, otherwise 95 %: at a gap g with error s, P(d > -0.02)."""
    from scipy.stats import norm

    from phasejax.diagnosis._decision import _METHOD_ERROR
    error = 0.02
    s = np.sqrt(2) * np.hypot(error, _METHOD_ERROR)  # the same draws for every source, so that weights do not matter
    gap = norm.ppf(0.925) * s - INDIFFERENT
    assert norm.cdf(gap / s) < 0.85
    for sources, leading, decided in ((("linear", "lifted", "pilot"), None, True), (("lifted", "pilot"), None, True),
                                      (("linear", "lifted"), None, False), (("linear", "lifted", "pilot"), "pilot",
                                                                            False)):
        rng = np.random.default_rng(1)
        drawn = {name: value + error * rng.standard_normal(20_000)
                 for name, value in (("CA", 0.5 + gap), ("CP both", 0.5))}
        given = {source: {"CA": 0.5 + gap, "CP both": 0.5} for source in sources}
        found = replace(scores(given), leading=leading, draws=Draws({source: drawn for source in sources}),
                        values=given)
        assert found.best(PAIR).decided == decided


def test_draws_weight_sources_about_what_they_count():
    """CA is better by 0.4 in closed forms and worse by 0.1 in the pilot: it wins where the pilot weighs less than 4/5,
    and its weight is a beta variable, the pilot's part of a Dirichlet distribution with shapes 3 (1, 2, 8) / 11.
    """
    from scipy.stats import beta
    given = {"linear": {"CA": 0.9, "CP both": 0.5}, "lifted": {"CA": 0.9, "CP both": 0.5},
             "pilot": {"CA": 0.6, "CP both": 0.7}}
    # Four standard errors of 1000 draws, and the errors of networks beside differences of this size.
    assert scores(given, error=1e-6).best(PAIR).probability == pytest.approx(beta.cdf(4 / 5, 24 / 11, 9 / 11), abs=0.06)


def test_noise_is_never_decided():
    found = scores(all_sources(**{"CA": 0.02, "CP both": 0.0}), error=0.02).best(PAIR)
    assert not found.decided
    assert "above chance" in found.needed


def test_what_is_not_trained_gains_nothing_by_a_pilot():
    given = {"linear": {"CA": 0.5, "CP both": 0.4, "x": 0.55}, "lifted": {"CA": 0.5, "CP both": 0.4, "x": 0.55},
             "pilot": {"CA": 0.7, "CP both": 0.5}}
    found = scores(given).best(("CA", "CP both", "x"))
    assert found.name == "CA"
    # Beside a pilot linear, lifted and pilot count as 1 : 2 : 8; alone closed forms count alike.
    assert found.scores == pytest.approx({"CA": (0.5 * 3 + 0.7 * 8) / 11, "CP both": (0.4 * 3 + 0.5 * 8) / 11,
                                          "x": 0.55})
    # A pilot that has diverged for one objective counts for none, in values and in draws alike: of closed forms that
    # differ by 0.4 and by -0.2 the first wins where it weighs more than a third.
    disagreeing = scores({"linear": {"CA": 0.9, "CP both": 0.5}, "lifted": {"CA": 0.5, "CP both": 0.7},
                          "pilot": {"CA": 0.7, "CP both": 0.5}}, error=1e-6)
    for of in (disagreeing.values, disagreeing.draws.of):
        del of["pilot"]["CP both"]
    # Four standard errors of 1000 draws.
    assert disagreeing.best(PAIR).probability == pytest.approx(2 / 3, abs=0.06)
    diverged = scores(given)
    for of in (diverged.values, diverged.draws.of):
        del of["pilot"]["CP both"]
    assert diverged.best(("CA", "CP both", "x")).scores == pytest.approx({"CA": 0.5, "CP both": 0.4, "x": 0.55})


def test_number_of_labels_that_would_decide():
    # Standard error of the difference sqrt(2) 0.05 with 100 labels, gap 0.05: 100 (1.2816 sqrt(2) 0.05 / 0.05)^2.
    found = scores({"linear": {"CA": 0.55, "CP both": 0.5}}, error=0.05, labelled=100).best(PAIR)
    assert not found.decided
    assert found.needed.endswith("labels instead of 100 would tell CA from CP both")
    assert 290 <= int(found.needed.split()[1]) <= 370
    grouped = scores({"linear": {"CA": 0.55, "CP both": 0.5}}, error=0.05, labelled=1000, groups=100).best(PAIR)
    assert "groups instead of 100" in grouped.needed


def test_a_tie_is_said():
    found = scores(all_sources(**{"CA": 0.508, "CP both": 0.5, "joint": 0.3}), error=1e-4).best((*PAIR, "joint"))
    assert found.name == "CA"
    assert "joint" not in found.equal


def test_the_order_of_names_and_other_choices_change_nothing():
    given = scores(all_sources(**{"CA": 0.52, "CP both": 0.5}), error=0.02)
    one, other, more = given.best(PAIR), given.best(PAIR[::-1]), given.best((*PAIR, "joint"))
    assert one.expected_loss == other.expected_loss
    assert one.probability == pytest.approx(more.probability, abs=1e-12)


@pytest.mark.parametrize(("among", "message"), [
    (("CA", "CP"), "among: expected some of CA, CP both.*'CP'"), (("CA", "CP x>y"), "did you mean 'CP x->y'"),
    ((), "among: expected names"), ("CA", "among: expected names"), (("CA", "ca"), "each name once")])
def test_what_is_refused(among, message):
    with pytest.raises(ValueError, match=message) as caught:
        choose(scores({"linear": {}}), among)
    assert "\n" not in str(caught.value)


def test_names_are_read_in_any_spelling():
    assert known_names(("cp X -> y", "X and Y")) == ("CP x->y", "x and y")
