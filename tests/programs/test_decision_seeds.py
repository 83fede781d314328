"""The benchmark of whether the diagnosis says the same: how it counts, and a run on one small pair."""

import numpy as np
import pytest

from benchmarks import decision_seeds


def said(names="CA", decided=True, sure=False, regime="Both", words="w", value=0.5):
    return {"names": np.array([names]), "decided": np.array([decided]), "sure": np.array([sure]),
            "regime": np.array(regime), "words": np.array(words),
            "scores": np.array([[value, value - 0.1, value + 0.1]])}


@pytest.mark.parametrize(("changed", "shares"), [
    ({}, [1, 1, 1, 1, 1, 1, 1, 0, 1]),
    ({"names": "CP both"}, [0.5, 0.5, 0.5, 1, 1, 0.75, 0.75, 0.25, 1]),
    ({"names": "CP both", "decided": False}, [0.5, 0.5, 0.5, 1, 1, 0.75, 0.75, 0, 1]),
    ({"decided": False}, [1, 0.5, 0.5, 1, 1, 1, 0.75, 0, 1]),
    ({"sure": True}, [1, 1, 0.5, 1, 1, 1, 1, 0, 1]),
    ({"regime": "None"}, [1, 1, 1, 0.5, 1, 1, 1, 0, 1]),
    ({"words": "other"}, [1, 1, 1, 1, 0.5, 1, 1, 0, 1]),
    ({"value": 0.59}, [1, 1, 1, 1, 1, 1, 1, 0, 1]),
    ({"value": 0.39}, [1, 1, 1, 1, 1, 1, 1, 0, 0.75]),
])
def test_a_pair_of_which_one_diagnosis_differs_does_not_say_the_same(changed, shares, capsys):
    found = {"one": [said(), said(), said()], "two": [said(), said(), said(**changed)]}
    rows = decision_seeds._agreement("pilot", list(found), found)
    assert [entry["value"] for entry in rows] == [*shares, 2]
    assert ("two differs" in capsys.readouterr().out) == (0.5 in shares[:5])


def test_a_first_diagnosis_that_decides_nothing_is_not_contradicted():
    found = {"one": [said(decided=False), said(names="CP both")]}
    values = {(entry["case"], entry["metric"]): entry["value"] for entry in
              decision_seeds._agreement("pilot", list(found), found)}
    assert values["with a pilot, other seeds, decided for another one", "share_of_choices"] == 0
    assert values["with a pilot, other seeds, best", "same_of_choices"] == 0


@pytest.mark.slow
def test_diagnoses_that_lack_a_row_each_are_others():
    found = [decision_seeds._said("wine, even and odd", "a row less", seed, 3, 100) for seed in (0, 1)]
    assert not np.array_equal(found[0]["scores"], found[1]["scores"])
    assert "n = #, labelled = #" in found[0]["words"]
    rows = decision_seeds.run(["wine, even and odd"], seeds=2, kinds=["a row less"], k=3, m=100)
    values = {entry["case"]: entry["value"] for entry in rows}
    assert values["without a pilot, a row less, pairs"] == 1
    assert values["without a pilot, a row less, scores"] >= 0.9
