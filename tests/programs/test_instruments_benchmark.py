"""The benchmark of simulated instruments: what is drawn, and how its parts become rows."""

import numpy as np

from benchmarks import instruments
from phasejax.instruments import StarSurvey


def test_instruments_are_drawn_within_the_ranges_and_the_same_each_time():
    for number in range(4):
        survey, label, k = instruments._drawn("stars", number)
        again = instruments._drawn("stars", number)[0]
        assert (label, k) == (("log_g", "teff")[number % 2], (1, 2)[number // 2])
        assert isinstance(survey, StarSurvey)
        for name, (low, high) in instruments.RANGES.items():
            assert low <= getattr(survey, name) == getattr(again, name) <= high


def test_choices_count_where_the_measured_best_is_clear():
    # Measured: CA, CP both, CP x->y, CP y->x. The second instrument is too close to call between CA and CP both, and so
    # is the fourth, whose seeds disagree.
    measured = np.array([[0.5, 0.4, 0.1, 0.6], [0.5, 0.51, 0.3, 0.2], [0.2, 0.6, 0.5, 0.1], [0, 0.4, 0.1, 0.2]])
    measured = np.repeat(measured[:, :, None], instruments.SEEDS, axis=2)
    measured[3, 0] = [1, 0, 1, 0, 1, 0]
    chosen = np.array([[[0, 2], [1, 2], [1, 0]], [[0, 0]] * 3, [[0, 0], [1, 1], [1, 0]], [[1, 1]] * 3])
    # All are stated, none is sure.
    chosen = np.stack([chosen, np.ones_like(chosen), np.zeros_like(chosen)], axis=-1)
    regimes = (["Both", "Both"], ["Both", ""], ["CA only", "Both"], ["Both", ""])
    parts = [{"measured": m, "chosen": c, "regime": np.array(r)}
             for m, c, r in zip(measured, chosen, regimes, strict=True)]
    values = {(row["case"], row["metric"]): row["value"] for row in instruments._decision_rows("stars", parts)}
    pair, three = "stars, CA, CP both, ", "stars, CA, CP x->y, CP y->x, "
    assert values[pair + "without a pilot", "clear"] == 2
    assert values[pair + "without a pilot", "right where clear"] == 1
    assert values[pair + "with a pilot", "right where clear"] == 1
    assert values[pair + "with the heads as pilot", "right where clear"] == 1
    np.testing.assert_allclose(values[pair + "with a pilot", "mean regret"], (0.1 + 0.01 + 0 + 0.1) / 4)
    assert values[pair + "without a pilot", "decided"] == 4
    assert values[pair + "without a pilot", "decided where clear"] == 2
    assert values[pair + "without a pilot", "decided and wrong"] == 2  # the third, and the fourth by .1
    assert values[pair + "without a pilot", "sure"] == 0
    assert values[three + "without a pilot", "clear"] == 3
    assert values[three + "without a pilot", "right where clear"] == 2
    assert values[three + "with a pilot", "right where clear"] == 3
    assert (values["stars, regime", "stated"], values["stars, regime", "equal to the population's"]) == (2, 1)


def test_alarms_are_counted_and_instruments_that_nothing_moves_are_left_out():
    parts = [{"false": np.array([False, True]), "seen": np.array(seen)} for seen in (True, -1, False)]
    assert [row["value"] for row in instruments._monitor_rows("stars", parts)] == [1, 2, 3, 6]
