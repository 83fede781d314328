"""JSON of diagnoses: a schema, the same keys for all methods, and a page that describes each of them."""

import json
import re

import numpy as np
import pytest

from phasejax import diagnose
from phasejax.diagnosis import write_report
from phasejax.diagnosis._document import KEYS
from tests.support import ROOT


@pytest.fixture(scope="module")
def spectral():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    return diagnose(x, x + rng.normal(size=(60, 3)), x[:, 0] + x[:, 1], method="spectral")


def test_all_methods_have_the_same_keys(saved_decision, saved_diagnosis, spectral):
    for found in (saved_decision, saved_diagnosis, spectral):
        read = json.loads(found.to_json())
        assert list(read) == ["schema", "phasejax_version", *KEYS]
        assert read["schema"] == {"name": "phasejax.diagnosis", "version": 1}
        assert read["method"] == found.method
    assert read["shared"] is None
    assert read["n"] == 60


def test_what_is_not_estimated_is_null_and_what_is_has_its_value(saved_decision, saved_diagnosis):
    content, moments = saved_decision.to_dict(), saved_diagnosis.to_dict()
    assert content["kappa"] is None
    assert moments["shared"] is None
    assert moments["regime"] == "CA only"
    assert content["fit"]["schema"]["name"] == "phasejax.diagnosis"


def test_draws_are_left_out_unless_asked_for(saved_decision, saved_diagnosis):
    """The bulk of the text; intervals and errors are kept, and a diagnosis is read back without them too."""
    for found in (saved_decision, saved_diagnosis):
        short, long = found.to_json(), found.to_json(draws=True)
        assert len(long) > 1.8 * len(short)
        assert type(found).from_json(long).to_json() == short
        assert type(found).from_json(short).n == found.n
    read, score = json.loads(saved_decision.to_json())["scores"][0], saved_decision.scores[0].score("CA")
    assert read["draws"] is None
    assert read["combined"]["CA"] == {"value": score.value, "low": score.low, "high": score.high}
    assert read["errors"]["linear"]["CA"] == np.std(saved_decision.scores[0].draws.of["linear"]["CA"])
    with pytest.raises(ValueError, match=r"^diagnosis: expected one that was saved with its draws"):
        write_report(type(saved_decision).from_json(saved_decision.to_json()), "never.html")


def test_every_key_is_described(saved_decision):
    described = re.findall(r"`(\w+)`", (ROOT / "docs" / "json.md").read_text("utf-8").partition("## phasejax.drift")[0])
    assert not set(KEYS) - set(described)
    assert len(KEYS) == len(set(KEYS))
    read = json.loads(saved_decision.to_json())
    inside = [read["shared"], read["content"], read["scores"][0], read["spectra"], read["uses"][0],
              read["uses"][0]["choice"], read["fit"]["sensitivity"][0], read["fit"]["ca"]]
    assert not set().union(*inside) - set(described)
