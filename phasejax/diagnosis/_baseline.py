"""A saved diagnosis as the baseline of later ones: read it, and diagnose new data in the same way."""

import re
from itertools import chain
from pathlib import Path
from typing import Any, cast, overload

from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback
from phasejax.diagnosis._content_drift import quantities
from phasejax.diagnosis._diagnose import diagnose
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._saved import diagnosis_fields, from_file
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.diagnosis._view_words import components_of
from phasejax.io._named_together import named_together


@checked
def load_baseline(path: str | Path) -> Diagnosis | MomentDiagnosis:
    """Read what `to_json` of a diagnosis wrote (`phasejax diagnose --json FILE`), to compare later data with it.

    Returns:
        A `Diagnosis`, or a `MomentDiagnosis` where the method was "moments".

    Raises:
        ValueError: a file that is missing, incomplete, of another kind or of the spectral method, or numbers that
            are not finite and cannot be compared.
    """
    return from_file(path, _read)


def _read(saved: Any) -> Diagnosis | MomentDiagnosis:
    method = saved.get("method") if isinstance(saved, dict) else None
    if method == "content":
        found = Diagnosis.from_dict(saved)
        for k in found.content.ks:
            quantities(found, k)
        return found
    if isinstance(method, str) and method != "moments":
        raise ValueError(f"expected a diagnosis of method content or moments, got {method}")
    return MomentDiagnosis(**diagnosis_fields(saved, origin="JSON file", finite=True))


@overload
def diagnose_again(baseline: Diagnosis, x: Any, y: Any, labels: Any, *, labelled: ArrayLike | None = None,
                   label_kind: str = "auto", groups: Any = None, by_position: bool = False, missing: str = "error",
                   seed: int = 0, progress: bool | ProgressCallback = False) -> Diagnosis: ...


@overload
def diagnose_again(baseline: MomentDiagnosis, x: Any, y: Any, labels: Any, *, labelled: ArrayLike | None = None,
                   label_kind: str = "auto", groups: Any = None, by_position: bool = False, missing: str = "error",
                   seed: int = 0, progress: bool | ProgressCallback = False) -> MomentDiagnosis: ...


@checked
def diagnose_again(baseline: Diagnosis | MomentDiagnosis, x: Any, y: Any, labels: Any, *,
                   labelled: ArrayLike | None = None, label_kind: str = "auto", groups: Any = None,
                   by_position: bool = False, missing: str = "error", seed: int = 0,
                   progress: bool | ProgressCallback = False) -> Diagnosis | MomentDiagnosis:
    """Diagnose new data with the settings of a baseline: its method, its k and its confidence.

    By content there are scores, and a fit of the spiked model, where the baseline has them; no networks are trained. By
    moments there are no predicted scores.

    Args:
        baseline: an earlier diagnosis, as from `load_baseline`.
        x, y, labels, labelled, label_kind, groups, by_position, missing, seed, progress: as in `diagnose`.

    Raises:
        ValueError: views of other columns or labels of another kind than the baseline's, groups where the baseline has
            none or the reverse, a baseline that rests on principal components, or what `diagnose` raises.
    """
    check_comparable(baseline)
    x, y, labels, groups = named_together(x, y, labels, groups)
    for name, view in (("x", x), ("y", y)):
        if len(view.values.shape) == 2:
            given, expected = view.values.shape[1], columns_given(baseline, name)
            taken = [rows.columns for rows in (labels, groups) if rows is not None and rows.columns is not None]
            if given - len(set(view.columns or ()) & set(chain(*taken))) != expected:  # which may be no features
                check_same(name, given, expected, "columns")
    check_groups(baseline.groups, None if groups is None else "some")
    if label_kind in ("class", "real"):
        check_kind(label_kind, baseline.kind)
    again: dict[str, Any] = {"k": baseline.k, "confidence": baseline.confidence, "labelled": labelled,
                             "label_kind": label_kind, "groups": groups, "by_position": by_position,
                             "missing": missing, "seed": seed, "progress": progress}
    if isinstance(baseline, Diagnosis):
        return diagnose(x, y, labels, predicted_scores=bool(baseline.scores), fit=baseline.fit is not None, **again)
    return diagnose(x, y, labels, method="moments", predicted_scores=False, **again)


def check_comparable(found: Diagnosis | MomentDiagnosis | SpectralDiagnosis) -> None:
    """Refuse a diagnosis whose columns are principal components or residuals, which are others in every data set.

    Raises:
        ValueError: saying so in one line.
    """
    if isinstance(found, Diagnosis) and found.confounders is not None:
        raise ValueError("baseline: expected a diagnosis without confounders, got one that removed "
                         f"{', '.join(found.confounders.names)}; remove their effect from both data sets first")
    if components_of(found.warnings):
        raise ValueError("baseline: expected a diagnosis of the columns themselves, got one of principal components, "
                         "which are others in other data; reduce both data sets by the same ones first")


def columns_given(found: Diagnosis | MomentDiagnosis, view: str) -> int:
    """The columns that a view had before those were left out that others determine."""
    note = columns_left_out(found, view)
    return int(note.split(" of ", 1)[1].split()[0]) if note else cast(int, getattr(found, f"d_{view}"))


def columns_left_out(found: Diagnosis | MomentDiagnosis, view: str) -> str:
    """What a diagnosis says about columns of a view, "x" or "y", that were left out; empty where none were."""
    return next((warning for warning in found.warnings if re.match(rf"{view}: \d+ of \d+ columns left out: ", warning)),
                "")


def check_groups(expected: int | None, got: int | str | None) -> None:
    """Refuse groups where the baseline has none, and none where it has groups: errors are those of whole groups.

    Args:
        expected: number of groups in the baseline.
        got: number of groups now, or a word for it.

    Raises:
        ValueError: saying so in one line.
    """
    if expected is not None and got is None:
        raise ValueError("groups: expected which rows belong together, as in the baseline "
                         f"({expected} groups), got none")
    if expected is None and got is not None:
        raise ValueError(f"groups: expected none, as in the baseline, got {got}{' groups' * isinstance(got, int)}")


def check_kind(got: str, expected: str) -> None:
    """Refuse labels of another kind than the baseline's.

    Raises:
        ValueError: saying so in one line.
    """
    if got != expected:
        raise ValueError(f"labels: expected those of kind {expected!r} as in the baseline, got {got!r} (label_kind "
                         "says what they are where their type does not)")


def check_same(argument: str, got: int | float | None, expected: int | float | None, noun: str = "") -> None:
    """Refuse a number that is another one than the baseline's.

    Raises:
        ValueError: naming the argument that has another number.
    """
    if got != expected:
        raise ValueError(f"{argument}: expected {expected}{noun and ' ' + noun} as in the baseline, got {got}")
