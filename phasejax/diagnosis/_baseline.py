"""TODO module docstring of diagnosis._baseline."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasejax._version import __version__
from phasejax.diagnosis._diagnose import diagnose
from phasejax.diagnosis._estimates import SHARES
from phasejax.diagnosis._estimates import PARAMETERS, RATIOS, Estimate, Fitted
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._simulator import BOUNDS
from phasejax.theory import Regime

NAMES = (*RATIOS, *PARAMETERS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Baseline(Fitted):
    """A saved diagnosis, as far as a later one is compared with it. Read one with `load_baseline`.

    Args:
        version: of phasejax that wrote it, besides the fields of `estimates.Fitted`.
    """

    version: str

    def diagnose_again(self, x, y, labels, *, labelled=None, label_kind: str = "auto", seed: int = 0
                       ) -> Diagnosis:
        """Diagnose new data with the settings of this baseline: k and confidence; without predicted scores.

        Args:
            x, y, labels, labelled, label_kind, seed: as `diagnosis.diagnose`.

        Raises:
            ValueError: views of other columns than the baseline's, or what `diagnose` raises.
        """
        for name, view, columns in (("x", x, self.d_x), ("y", y, self.d_y)):
            shape = view.shape if hasattr(view, "shape") else np.shape(view)
            if len(shape) == 2:
                _check_same(name, shape[1], columns, "columns")
        return diagnose(x, y, labels, k=self.k, confidence=self.confidence, labelled=labelled, label_kind=label_kind,
                        predicted_scores=False, seed=seed)


def load_baseline(path: str | Path) -> Baseline:
    """Read what `CalibratedDiagnosis.to_json` wrote (`phasejax diagnose --json FILE`).

    Raises:
        ValueError: a file that is missing, incomplete, of another kind or of the spectral method.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file, got {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected a complete JSON file, got {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path}: expected a JSON file, got something else") from None
    if not isinstance(found, dict) or not isinstance(found.get("phasejax_version"), str) or "method" not in found:
        raise ValueError(f"{path}: expected a diagnosis written by phasejax, got another JSON file")
    if found["method"] != "moments":
        raise ValueError(f"{path}: expected a diagnosis of method moments, got {found['method']}")
    try:
        return _baseline(found)
    except KeyError as error:
        raise ValueError(f"{path}: expected the field {error.args[0]}, got a diagnosis without it (written by phasejax "
                         f"{found['phasejax_version']}, this is {__version__})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _baseline(found):
    counts = {name: _number(found, name, int, low) for name, low in
              (("n", 2), ("labelled", 1), ("d_x", 2), ("d_y", 2), ("label_columns", 1), ("k", 1))}
    estimates, probabilities, draws = (_group(found, name) for name in ("estimates", "probabilities", "draws"))
    return Baseline(
        version=found["phasejax_version"], **counts, confidence=_number(found, "confidence", float, 0.5),
        reduced_chi2=_number(found, "reduced_chi2", float, 0),
        estimates={name: _estimate(estimates, name) for name in NAMES},
        probabilities={regime.value: _number(probabilities, regime.value, float, 0) for regime in Regime},
        draws={name: _draws(draws, name) for name in NAMES})


def _group(found, name):
    if not isinstance(found[name], dict):
        raise ValueError(f"{name}: expected values by name, got {type(found[name]).__name__}")
    return found[name]


def _number(found, name, kind, low):
    value = found[name]
    good = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not good or not low <= value < math.inf:
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}: expected {noun} from {low}, got {_short(value)}")
    return kind(value)


def _estimate(estimates, name):
    if not isinstance(estimates[name], dict):
        raise ValueError(f"estimates, {name}: expected value, low and high, got {_short(estimates[name])}")
    return Estimate(*(_number(estimates[name], end, float, 0) for end in ("value", "low", "high")))


def _draws(draws, name):
    """Draws of one name: at least two finite numbers of its range."""
    if not isinstance(draws[name], list) or not all(type(value) in (int, float) for value in draws[name]):
        raise ValueError(f"draws, {name}: expected a list of numbers, got {_short(draws[name])}")
    values = np.array(draws[name], float)
    high = 1 if name in (*SHARES, *BOUNDS) else math.inf
    inside = (values >= 0 if name in BOUNDS else values > 0) & (values <= high) & np.isfinite(values)
    if len(values) < 2 or not inside.all():
        raise ValueError(f"draws, {name}: expected at least 2 finite numbers from 0 to {high}, got "
                         f"{_short(values[~inside].tolist() or draws[name])}")
    return values


def _short(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _check_same(argument, got, expected, noun):
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} {noun} as in the baseline, got {got}")
