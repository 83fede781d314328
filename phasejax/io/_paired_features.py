"""Features of two frozen models with all that is known of their rows: targets, groups, and the parts of a split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int, Real, Shaped

from phasejax._core.validation import check_choice

PARTS = ("train", "validation", "test")
# Names under which a file may call the parts.
PART_NAMES = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
              "validation": "validation", "test": "test", "testing": "test"}


@dataclass(frozen=True, eq=False)
class PairedFeatures:
    """Features of two frozen models on the same n things, as `read_star_features` and `read_cite_seq` give them.

    All of it goes into `phasejax.deep.train_heads`: x, y, targets, and groups, nuisance, split and label_kind by name.

    Args:
        x, y: features, shapes (n, d_x) and (n, d_y).
        names: what the views are, such as ("LAMOST", "Kepler").
        targets: values of all rows by name: real ones, or classes as text or numbers; NaN where a value is missing.
        nuisance: classes of all rows by name, of what should not be predictable.
        label_kind: "class" or "real" for each target and nuisance.
        groups: number of the group (star, donor) that each row belongs to, from 0 on.
        split: "train", "validation" or "test" for each row.
        ids: identifiers of all rows by name, as text; empty where there is none.
        notes: what was decided in reading, one sentence each.
    """

    x: Real[np.ndarray, "n d_x"]
    y: Real[np.ndarray, "n d_y"]
    names: tuple[str, str]
    targets: Mapping[str, Shaped[np.ndarray, "n"]]
    nuisance: Mapping[str, Shaped[np.ndarray, "n"]]
    label_kind: Mapping[str, str]
    groups: Int[np.ndarray, "n"]
    split: Shaped[np.ndarray, "n"]
    ids: Mapping[str, Shaped[np.ndarray, "n"]]
    notes: tuple[str, ...] = ()

    def rows(self, part: str) -> Int[np.ndarray, "m"]:
        """Numbers of the rows of a part of the split."""
        check_choice("part", part, PARTS)
        return np.flatnonzero(self.split == part)

    def take(self, rows: Sequence[int] | Int[np.ndarray, "m"]) -> "PairedFeatures":
        """The features of some rows, by number, in that order; groups keep their numbers."""
        rows = np.asarray(rows)
        of: Any = {name: {key: values[rows] for key, values in getattr(self, name).items()}
                   for name in ("targets", "nuisance", "ids")}
        return replace(self, x=self.x[rows], y=self.y[rows], groups=self.groups[rows], split=self.split[rows], **of)

    def known(self, target: str) -> Int[np.ndarray, "m"]:
        """Numbers of the rows that have a value of a target."""
        check_choice("target", target, self.targets)
        values = self.targets[target]
        return np.flatnonzero(~np.isnan(values)) if values.dtype.kind == "f" else np.arange(len(values))
