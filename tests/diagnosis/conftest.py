"""A diagnosis that many tests read instead of computing one.

`tests/data/diagnosis.json` is the diagnosis of 600 rows of a model in the regime "CA only", k counted from the
labels. It was written, and after a change of the method is written anew, from the repository's root by

    python -m tests.diagnosis.conftest
"""

import pytest

from phasejax.diagnosis import MomentDiagnosis
from tests.support import DATA

SAVED = DATA / "diagnosis.json"


@pytest.fixture(scope="session")
def saved_diagnosis() -> MomentDiagnosis:
    """The diagnosis in `tests/data/diagnosis.json`: regime "CA only", two signals, 12 columns in each view."""
    return MomentDiagnosis.from_json(SAVED.read_text("utf-8"))


if __name__ == "__main__":
    from phasejax import Regime, diagnose
    from tests.diagnosis.simulated import CASES, simulated

    SAVED.write_text(diagnose(*simulated(*CASES[Regime.CA_ONLY]), method="moments").to_json(), "utf-8")
