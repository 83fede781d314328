"""How values of confounders become columns of numbers, learnt on some rows and applied to others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from phasejax.io._labels import class_name, resolved_kind

# Rows for each level from which whole numbers are classes: with fewer they are counts or years.
_MEMBERS = 5
# Names that a line shows.
_NAMED = 6


@dataclass(frozen=True)
class ConfounderCoding:
    """What each confounder is: a class, of which every level has an indicator, or a real value in its own unit.

    Args:
        names: of the confounders.
        levels: of a class the names of its levels, in order; None of a real value.
        centres, scales: of real values, from the rows that it was learnt on; 0 and 1 of classes.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...] | None, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, columns: Mapping[str, np.ndarray]) -> "ConfounderCoding":
        """The coding of these rows; a confounder that is the same in all of them has one level, or scale 1."""
        levels, centres, scales = [], [], []
        for values in columns.values():
            codes = class_codes(values)
            if codes is not None:
                levels.append(tuple(map(str, dict.fromkeys(_level_names(np.unique(values))))))
                centres.append(0.0)
                scales.append(1.0)
                continue
            numbers = np.asarray(values, np.float64)
            from_first = numbers - numbers[0]
            largest = np.abs(from_first).max()
            relative = from_first / max(largest, np.finfo(float).tiny)
            levels.append(None)
            centres.append(float(numbers[0] + largest * relative.mean()))
            scales.append(float(largest * relative.std()) or 1.0)
        return cls(tuple(columns), tuple(levels), tuple(centres), tuple(scales))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many levels each class has; 0 for real values."""
        return tuple(0 if own is None else len(own) for own in self.levels)

    def known(self, columns: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n q"]:
        """Indicators of levels and standardised real values; a level that the coding does not have is all zeros.

        Args:
            columns: values by name, in any order.

        Raises:
            ValueError: another set of confounders, text where there were real values.

        >>> coding = ConfounderCoding.of({"batch": np.array(["a", "b"]), "age": np.array([1.5, 2.5])})
        >>> coding.known({"batch": np.array(["b", "c"]), "age": np.array([2.0, 3.0])}).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]
        """
        if set(columns) != set(self.names):
            raise ValueError(f"confounders: expected {', '.join(self.names)}, got {', '.join(columns) or 'none'}")
        parts = []
        for name, levels, centre, scale in zip(self.names, self.levels, self.centres, self.scales, strict=True):
            values = columns[name]
            if levels is not None:
                parts.append(np.array(_level_names(values))[:, None] == np.array(levels))
                continue
            if values.dtype.kind not in "biuf":
                raise ValueError(f"confounders: expected numbers in {name}, got {values[0]}")
            parts.append((np.asarray(values, np.float64)[:, None] - centre) / scale)
        return np.hstack(parts, dtype=np.float64)

    def unseen(self, columns: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
        """Levels among these rows that the coding does not have, by name of the confounder."""
        found = {name: tuple(sorted({*_level_names(columns[name])} - {*levels}))
                 for name, levels in zip(self.names, self.levels, strict=True) if levels is not None}
        return {name: levels for name, levels in found.items() if levels}

    def words(self) -> str:
        """The confounders and what each is, as in "batch (3 levels), age (real)"."""
        return confounder_words(self.names, self.counts)


def confounder_words(names: Sequence[str], counts: Sequence[int]) -> str:
    """Names of confounders with the number of levels of each class; 0 levels are a real value.

    >>> confounder_words(("batch", "age"), (3, 0))
    'batch (3 levels), age (real)'
    """
    named = [f"{name} ({f'{levels} levels' if levels else 'real'})" for name, levels in zip(names, counts, strict=True)]
    return ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")


def class_codes(values: np.ndarray) -> Int[np.ndarray, "n"] | None:
    """Numbers of the levels of a class; None for real values."""
    if values.dtype.kind not in "USbiuf":
        raise ValueError(f"confounders: expected numbers or text, got dtype {values.dtype}")
    if values.dtype.kind == "f" and resolved_kind(values) != "class":
        return None
    names, codes = np.unique(values, return_inverse=True)
    if values.dtype.kind in "iu" and len(names) * _MEMBERS > len(values) and len(names) > 2:
        return None
    return codes.reshape(-1)


def _level_names(values: Any) -> list[str]:
    return [str(class_name(value)) for value in values]
