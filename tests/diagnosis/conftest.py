"""Diagnoses that many tests read instead of computing one.

`tests/data/diagnosis.json` is the diagnosis by moment matching of 600 rows of a model in the regime "CA only", k
counted from the labels. `tests/data/decision.json` is the default diagnosis of 300 rows of the same model with k = 2;
every tenth draw of its scores was kept. They were written, and after a change of a method are written anew, from the
repository's root by

    python -m tests.diagnosis.conftest
"""

from dataclasses import replace

import pytest

from phasejax.diagnosis import Diagnosis, MomentDiagnosis
from phasejax.diagnosis._fair_scores import Draws
from tests.support import DATA

SAVED, DECISION = DATA / "diagnosis.json", DATA / "decision.json"


@pytest.fixture(scope="session")
def saved_diagnosis() -> MomentDiagnosis:
    """The diagnosis in `tests/data/diagnosis.json`: regime "CA only", two signals, 12 columns in each view."""
    return MomentDiagnosis.from_json(SAVED.read_text("utf-8"))


@pytest.fixture(scope="session")
def saved_decision() -> Diagnosis:
    """The diagnosis in `tests/data/decision.json`: regime "CA only", k = 2, two real label columns, a good fit."""
    return Diagnosis.from_json(DECISION.read_text("utf-8"))


def with_few_draws(found: Diagnosis) -> Diagnosis:
    """A diagnosis with every tenth draw of its scores, the bulk of what is saved."""
    return replace(found, scores=tuple(
        replace(scores, draws=Draws({source: {name: draws[::10] for name, draws in names.items()}
                                     for source, names in scores.draws.of.items()})) for scores in found.scores))


if __name__ == "__main__":
    from phasejax import Regime, diagnose
    from tests.diagnosis.simulated import CASES, simulated

    model = CASES[Regime.CA_ONLY]
    SAVED.write_text(diagnose(*simulated(*model), method="moments").to_json(draws=True), "utf-8")
    DECISION.write_text(with_few_draws(diagnose(*simulated(*model, n=300), k=2)).to_json(draws=True), "utf-8")
