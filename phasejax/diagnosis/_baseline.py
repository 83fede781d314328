"""A saved diagnosis as the baseline of later ones: read it, and diagnose new data in the same way."""

import json
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from phasejax.diagnosis._diagnose import diagnose
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._saved import diagnosis_fields
from phasejax.io import as_named


def load_baseline(path: str | Path) -> MomentDiagnosis:
    """Read what `MomentDiagnosis.to_json` wrote (`phasejax diagnose --json FILE`), to compare later data with it.

    Raises:
        ValueError: a file that is missing, incomplete, of another kind or of the spectral method, or numbers that
            are not finite and cannot be compared.
    """
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file, got {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected a complete JSON file, got {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path}: expected a JSON file, got something else") from None
    try:
        return MomentDiagnosis(**diagnosis_fields(saved, origin="JSON file", finite=True))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def diagnose_again(baseline: MomentDiagnosis, x: Any, y: Any, labels: Any, *, labelled: ArrayLike | None = None,
                   label_kind: str = "auto", groups: Any = None, by_position: bool = False, missing: str = "error",
                   seed: int = 0) -> MomentDiagnosis:
    """Diagnose new data with the settings of a baseline: its k and its confidence; without predicted scores.

    Args:
        baseline: an earlier diagnosis, as from `load_baseline`.
        x, y, labels, labelled, label_kind, groups, by_position, missing, seed: as in `diagnose`.

    Raises:
        ValueError: views of other columns than the baseline's, or what `diagnose` raises.
    """
    x, y = as_named(x, "x"), as_named(y, "y")
    for name, view, columns in (("x", x, baseline.d_x), ("y", y, baseline.d_y)):
        if len(view.values.shape) == 2 and view.values.shape[1] < columns:
            check_same(name, view.values.shape[1], columns, "columns")
    found = diagnose(x, y, labels, method="moments", k=baseline.k, confidence=baseline.confidence, labelled=labelled,
                     label_kind=label_kind, groups=groups, predicted_scores=False, by_position=by_position,
                     missing=missing, seed=seed)
    for name, got, columns in (("x", found.d_x, baseline.d_x), ("y", found.d_y, baseline.d_y)):
        check_same(name, got, columns, "columns")  # of those that are left where others determine some
    return found


def check_same(argument: str, got: int | float, expected: int | float, noun: str) -> None:
    """Refuse a number that is another one than the baseline's.

    Raises:
        ValueError: naming the argument that has another number.
    """
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} {noun} as in the baseline, got {got}")
