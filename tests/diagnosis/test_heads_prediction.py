"""What a diagnosis foretells for heads, beside the measured scores."""

from dataclasses import replace

import numpy as np
import pytest

from phasejax.diagnosis import compare_heads, diagnose
from tests.deep.heads_rows import GROUP, KIND, SPLIT, X, Y, trained

pytestmark = [pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")]


@pytest.mark.slow
def test_the_diagnosis_sees_no_test_row_and_is_judged_by_the_measured_scores():
    found = compare_heads(trained())
    kind, age = found.predictions
    assert (kind.target, age.target) == ("kind", "age")
    seen = SPLIT != "test"
    expected = diagnose(X[seen], Y[seen], KIND[seen], k=2, groups=GROUP[seen], fit=False).best(
        ("CA", "CP x->y", "CP y->x"))
    assert kind.predicted == expected.name
    assert kind.scores == pytest.approx({name: expected.scores[name] for name in kind.scores})
    aligned = max((found.score(f"CA {name}") for name in ("VICReg", "InfoNCE", "DeepCCA")),
                  key=lambda one: one.validation)
    measured = {"CA": aligned.value, **{name: found.score(name).value for name in ("CP x->y", "CP y->x")}}
    assert measured[kind.measured] == max(measured.values())
    assert kind.regret == pytest.approx(max(measured.values()) - measured[kind.predicted])
    assert kind.agrees == (kind.regret < 0.02)
    assert "diagnosis: " in found.summary()
    assert found.to_dict()["predictions"][0]["target"] == "kind"


def test_why_there_is_no_prediction_is_said():
    found = trained()
    alone = compare_heads(replace(found, scores=tuple(one for one in found.scores if one.objective != "CP y->x"
                                                      and not one.objective.startswith("CA"))))
    assert {one.predicted for one in alone.predictions} == {None}
    assert alone.predictions[0].reason == "it takes two of CA, CP x->y and CP y->x"
    wide = compare_heads(replace(found, bottleneck=50))
    assert wide.predictions[0].reason.startswith("k: expected")
    assert wide.predictions[0].agrees is None
    assert np.isfinite(found.score("x").value)


def test_nothing_is_foretold_where_nothing_is_shared():
    """The same heads, beside rows of noise."""
    found = trained()
    rng = np.random.default_rng(0)
    noise = replace(found.data, x=rng.standard_normal(X.shape), y=rng.standard_normal(Y.shape))
    for one in compare_heads(replace(found, data=noise)).predictions:
        assert one.predicted is None
        assert "no shared signal seen" in one.reason
