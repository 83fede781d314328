"""What representations are called: views as they are, in principal components, or without confounders."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phasejax.diagnosis._result import Diagnosis

_ACTIONS = {
    "CA": "align (CA)", "CP both": "predict each view from the other (CP both)",
    "CA of x": "align (CA)", "CA of y": "align (CA)",
    "CP x->y": "predict y from x (CP x->y)", "CP y->x": "predict x from y (CP y->x)",
    "joint": "predict y from x and align (joint)",
    "x at k": "principal components of x", "y at k": "principal components of y",
}
_NAMES = {
    "CA": "CA, both encoders", "CP both": "CP both ways, both encoders", "CA of x": "CA, encoder of x",
    "CA of y": "CA, encoder of y", "CP x->y": "CP x→y, encoder of x", "CP y->x": "CP y→x, encoder of y",
    "joint": "CA and CP x→y, encoder of x",
    "x at k": "principal components of x", "y at k": "principal components of y"}


@dataclass(frozen=True)
class ViewWords:
    """Words for the representations of a diagnosis, by their names in `NAMES`.

    Args:
        actions: what to do, such as "align (CA)".
        labels: what a score belongs to, beside it.
        views: what x and y are, such as "x" or "4 principal components of x".
        whole: what an embedding is compared with, such as "all columns", for "x", "y" and "x and y".
    """

    actions: Mapping[str, str]
    labels: Mapping[str, str]
    views: Mapping[str, str]
    whole: Mapping[str, str]


def components_of(warnings: Iterable[str]) -> dict[str, int]:
    """How many principal components took the place of the columns of x and of y, where they did.

    Args:
        warnings: of the diagnosis, in the words of `PrincipalComponents.note`.

    >>> components_of(["y: 30 columns reduced to 4 principal components with 81 % of the variance"])
    {'y': 4}
    """
    found = (re.match(r"([xy]): \d+ columns reduced to (\d+) principal components", line) for line in warnings)
    return {match[1]: int(match[2]) for match in found if match}


def view_words(diagnosis: "Diagnosis") -> ViewWords:
    """The words for a diagnosis, which say what x and y were when they were scored.

    Args:
        diagnosis: whose warnings and confounders count.
    """
    components = components_of(diagnosis.warnings)
    without = "" if diagnosis.confounders is None else " without confounders"
    called = {view: f"{components[view]} principal components of {view}" if view in components else view
              for view in "xy"}
    if not components:
        together = f"x and y{without} side by side"
    elif len(set(components.values())) == 1 and len(components) == 2:
        together = f"{components['x']} principal components of each view{without} side by side"
    else:
        together = f"{called['x']}{without} beside {called['y']}{without}"
    actions = {view: f"{words}{without}" if without or view in components else f"{words} as it is"
               for view, words in called.items()}
    columns = {view: f"{components[view]} components" if view in components else "all columns" for view in "xy"}
    columns["x and y"] = columns["x"] if columns["x"] == columns["y"] else f"{columns['x']} and {columns['y']}"
    whole = {view: "all components" if view in components else "all columns" for view in "xy"}
    whole["x and y"] = whole["x"] if whole["x"] == whole["y"] else "all columns and components"
    return ViewWords({**_ACTIONS, **actions, "x and y": together},
                     {**_NAMES, **{name: f"{name}, {words}" for name, words in columns.items()}}, called, whole)
