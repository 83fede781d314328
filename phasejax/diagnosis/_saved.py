"""A saved diagnosis read back: the plain objects of `MomentDiagnosis.to_dict`, checked field by field.

Nothing that a file holds is trusted. Every error names the field, what was expected there and what was found. Text
such as "inf" and "nan", which stands for numbers that JSON does not have, becomes numbers again; a comparison of two
diagnoses (`load_baseline`) cannot use such numbers and refuses them.
"""

import json
import math
import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from phasejax._core.input_files import check_memory, check_regular_file
from phasejax._core.records import check_schema
from phasejax._core.serialise import restored
from phasejax._version import __version__
from phasejax.diagnosis._bootstrap import ColumnScores
from phasejax.diagnosis._estimates import NAMES, SHARES, Estimate
from phasejax.diagnosis._predicted_scores import REPRESENTATIONS, PredictedScores, Score
from phasejax.diagnosis._simulator import BOUNDS
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.theory import Regime

_Read = TypeVar("_Read")
_NOT_FINITE = ("inf", "-inf", "nan")
# The least value of each count of rows, columns and signals.
_COUNTS = {"n": 2, "labelled": 1, "d_x": 2, "d_y": 2, "label_columns": 1, "k": 1}


def from_file(path: str | Path, read: Callable[[Any], _Read]) -> _Read:
    """What `read` makes of the plain objects in a JSON file.

    Raises:
        ValueError: a file that is missing, incomplete or no JSON, and what `read` refuses; with the file's name.
    """
    check_regular_file(path)
    check_memory(str(path), 10 * os.path.getsize(path))
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file, got {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected a complete JSON file, got {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path}: expected a JSON file, got something else") from None
    except ValueError as error:  # a number of thousands of digits
        raise ValueError(f"{path}: expected a complete JSON file, got {error}") from None
    try:
        return read(saved)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        # Each field is of its type; these are lengths and names that do not belong together.
        raise ValueError(f"{path}: expected what phasejax diagnose --json wrote, got fields that disagree "
                         f"({type(error).__name__}: {error})") from None


def diagnosis_fields(saved: Any, *, origin: str, finite: bool = False) -> dict[str, Any]:
    """The fields of the `MomentDiagnosis` that `saved` was written from; numbers derived from them are left out.

    Args:
        saved: what `MomentDiagnosis.to_dict` returned, or JSON made of it.
        origin: what an error calls an object that is no diagnosis at all, such as "JSON file".
        finite: whether numbers that are infinite or NaN are refused, as a comparison has to.

    Raises:
        ValueError: something else than a diagnosis by moment matching, a field that is missing, or one that
            holds what no diagnosis holds.
    """
    if not isinstance(saved, dict) or not isinstance(saved.get("phasejax_version"), str) or "method" not in saved:
        raise ValueError(f"expected a diagnosis written by phasejax, got another {origin}")
    if "schema" in saved:  # which the first versions did not write
        check_schema(saved, "phasejax.diagnosis", 1)
    if saved["method"] != "moments":
        raise ValueError(f"expected a diagnosis of method moments, got {saved['method']!s:.40}")
    try:
        return _fields(saved, finite)
    except KeyError as error:
        raise ValueError(f"expected the field {error.args[0]}, got a diagnosis without it (written by phasejax "
                         f"{saved['phasejax_version']}, this is {__version__})") from None


def _fields(saved, finite):
    estimates, probabilities = (_group(saved, name) for name in ("estimates", "probabilities"))
    if saved["draws"] is None and finite:
        raise ValueError("draws: expected those of the posterior, which are compared (phasejax diagnose --draws, "
                         "to_json(draws=True)), got a diagnosis saved without them")
    draws = {} if saved["draws"] is None else _group(saved, "draws")
    return {
        "phasejax_version": saved["phasejax_version"], "computed_on": _computed_on(saved), "method": saved["method"],
        **{name: _count(saved, name, low) for name, low in _COUNTS.items()},
        "groups": None if saved["groups"] is None else _count(saved, "groups", 2), "kind": _kind(saved),
        "k_estimated": _typed(saved, "k_estimated", bool, "true or false"),
        "confidence": _number(saved, "confidence", 0.5, finite),
        "reduced_chi2": _number(saved, "reduced_chi2", 0, finite),
        "reverse_probability": _number(saved, "reverse_probability", 0, finite),
        "estimates": {name: _estimate(estimates, name, finite) for name in _all_names(estimates)},
        "probabilities": {regime.value: _number(probabilities, regime.value, 0, finite) for regime in Regime},
        "draws": {name: _draws(draws, name, finite) for name in _all_names(draws)} if draws else {},
        **{name: _spectrum(saved, name) for name in ("ca", "cp", "cp_reverse")},
        "predicted_scores": None if saved["predicted_scores"] is None else _predicted_scores(saved),
        "warnings": tuple(_list(saved, "warnings", str, "a list of sentences"))}


def _all_names(group):
    """The ratios and parameters, which a diagnosis always has, and whatever else is there."""
    return dict.fromkeys((*NAMES, *group))


def _group(saved, name):
    if not isinstance(saved[name], dict):
        raise ValueError(f"{name}: expected values by name, got {type(saved[name]).__name__}")
    return saved[name]


def _typed(saved, name, kind, noun):
    if not isinstance(saved[name], kind):
        raise ValueError(f"{name}: expected {noun}, got {shortened(saved[name])}")
    return saved[name]


def _list(saved, name, kind, noun):
    if not isinstance(saved[name], list | tuple) or not all(isinstance(item, kind) for item in saved[name]):
        raise ValueError(f"{name}: expected {noun}, got {shortened(saved[name])}")
    return saved[name]


def _kind(saved):
    if saved["kind"] not in ("class", "real"):
        raise ValueError(f"kind: expected 'class' or 'real', got {shortened(saved['kind'])}")
    return saved["kind"]


def _count(saved, name, low):
    value = saved[name]
    if type(value) is not int or value < low:
        raise ValueError(f"{name}: expected a whole number from {low}, got {shortened(value)}")
    return value


def _number(saved, name, low, finite):
    """A number from `low`; where it need not be finite, any number that there is."""
    value = saved[name]
    if not finite and value in _NOT_FINITE:
        return float(value)
    if type(value) not in (int, float) or (not low <= value < math.inf if finite else value < low):
        raise ValueError(f"{name}: expected a number from {low}, got {shortened(value)}")
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError(f"{name}: expected a number from {low}, got {shortened(value)}") from None


def _estimate(estimates, name, finite):
    if not isinstance(estimates[name], dict):
        raise ValueError(f"estimates, {name}: expected value, low and high, got {shortened(estimates[name])}")
    return Estimate(*(_number(estimates[name], end, 0, finite) for end in ("value", "low", "high")))


def _draws(draws, name, finite):
    """At least two draws of one name, each in the range of what it names."""
    given = draws[name]
    if not isinstance(given, list | tuple) or not all(
            type(value) in (int, float) or (not finite and value in _NOT_FINITE) for value in given):
        raise ValueError(f"draws, {name}: expected a list of numbers, got {shortened(given)}")
    values = np.array([float(value) for value in given])
    high = 1 if name in (*SHARES, *BOUNDS) else math.inf
    inside = (values >= 0 if name in BOUNDS else values > 0) & (values <= high) & np.isfinite(values)
    if not finite:
        inside |= ~np.isfinite(values) | (values == 0)
    if len(values) < 2 or not inside.all():
        raise ValueError(f"draws, {name}: expected at least 2 finite numbers from 0 to {high}, got "
                         f"{shortened(values[~inside].tolist() or given)}")
    return values


def _spectrum(saved, name):
    group = _group(saved, name)
    columns = {part: _list(group, part, kind, f"a list of {noun}") for part, kind, noun in (
        ("values", int | float, "numbers"), ("r2", int | float, "numbers"), ("is_signal", bool, "true and false"))}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"{name}: expected values, r2 and is_signal of one length, got "
                         f"{', '.join(str(len(column)) for column in columns.values())}")
    try:
        return ClassifiedSpectrum(np.array(columns["values"], float), np.array(columns["r2"], float),
                                  np.array(columns["is_signal"], bool))
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError(f"{name}: expected numbers, got one that is too large") from None


def _predicted_scores(saved):
    group = _group(saved, "predicted_scores")
    readers: dict[str, Callable[[str], Any]] = {
        "metric": lambda name: _typed(group, name, str, "the name of a score"),
        "scores": lambda name: tuple(_score(item) for item in _list(group, name, dict, "a list of scores")),
        "gain_over_single": lambda name: tuple(_score(item) for item in _list(group, name, dict, "a list of scores")),
        "best": lambda name: _representation(group, name), "best_single": lambda name: _representation(group, name),
        "k": lambda name: _count(group, name, 1), "source": lambda name: _typed(group, name, str, "a source"),
        "groups": lambda name: None if group[name] is None else _count(group, name, 1),
        "per_column": lambda name: tuple(restored(ColumnScores, item, name)
                                         for item in _list(group, name, dict, "a list of scores"))}
    # Baselines of earlier versions lack the fields that have a default.
    return PredictedScores(**{field.name: readers.get(field.name, lambda name: _number(group, name, 0, False))(
        field.name) for field in fields(PredictedScores) if field.name in group or field.default is MISSING})


def _score(item):
    return Score(_representation(item, "name"),
                 *(_number(item, end, -math.inf, False) for end in ("value", "low", "high")))


def _representation(group, name):
    if group[name] not in REPRESENTATIONS:
        raise ValueError(f"{name}: expected one of {', '.join(REPRESENTATIONS)}, got {shortened(group[name])}")
    return group[name]


def shortened(value: object) -> str:
    """The value as Python writes it, cut to at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _computed_on(saved):
    """Versions, device, cores and flags as text by name; None where they were not recorded."""
    found = saved.get("computed_on")
    if found is not None and not (isinstance(found, dict) and all(isinstance(value, str) for value in found.values())):
        raise ValueError(f"expected text by name or null in the field computed_on, got {type(found).__name__}")
    return found
