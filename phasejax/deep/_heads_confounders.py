"""Confounders removed from the rows of heads: what least squares on the training rows predict of features and targets.

Slopes come from training rows alone, so that rows that validate or test have no part in them, and they are saved with
the heads. Real targets are residuals too, so that their scores are shares of the variance that confounders leave;
classes and nuisances stay as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from phasejax._core.residuals import explained_share, slopes_on
from phasejax.deep._heads_rows import HeadRows, Target
from phasejax.io._confounder_coding import ConfounderCoding
from phasejax.io._confounders import encode_confounders

# Share of a column's variance on the training rows up to which nothing is left of it.
_NOTHING_LEFT = 1e-8
# Levels that a line names.
_NAMED = 6


@dataclass(frozen=True, eq=False)
class ViewSlopes:
    """What confounders predict of a view.

    Args:
        mean: of the view's columns on the training rows, shape (d,).
        origin: of the confounders' columns, shape (q,).
        slopes: shape (q, d).
        left: columns of which confounders leave something; the others become 0.
    """

    mean: Float[np.ndarray, "d"]
    origin: Float[np.ndarray, "q"]
    slopes: Float[np.ndarray, "q d"]
    left: Bool[np.ndarray, "d"]

    @classmethod
    def of(cls, rows: Float[np.ndarray, "m d"], known: Float[np.ndarray, "m q"]) -> "ViewSlopes":
        """Slopes on the training rows."""
        mean, origin, slopes = slopes_on(rows, known)
        centred = rows - mean
        residual = centred - (known - origin) @ slopes
        return cls(mean, origin, slopes, np.sum(residual**2, 0) > _NOTHING_LEFT * np.sum(centred**2, 0))

    def removed(self, rows: Float[np.ndarray, "n d"], known: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n d"]:
        """Residuals of any rows."""
        return np.where(self.left, rows - self.mean - (known - self.origin) @ self.slopes, 0.0)


@dataclass(frozen=True, eq=False)
class HeadConfounders:
    """Known nuisance as trained heads remove it from new features.

    Args:
        coding: what each confounder is.
        views: slopes for x and for y.
    """

    coding: ConfounderCoding
    views: dict[str, ViewSlopes]

    @classmethod
    def loaded(cls, coding: ConfounderCoding, arrays: Mapping[str, np.ndarray], widths: Mapping[str, int]
               ) -> "HeadConfounders":
        """As saved in a file of heads.

        Args:
            coding: what each confounder is.
            arrays: of the file, by name.
            widths: columns of x and of y.

        Raises:
            KeyError, TypeError: arrays that are missing, or of another shape.
        """
        q = sum(count or 1 for count in coding.counts)
        views = {view: ViewSlopes(**{name: arrays[f"{view} confounders {name}"]
                                     for name in ("mean", "origin", "slopes", "left")}) for view in widths}
        for view, d in widths.items():
            own = views[view]
            if [own.mean.shape, own.origin.shape, own.slopes.shape, own.left.shape] != [(d,), (q,), (q, d), (d,)]:
                raise TypeError(f"slopes of {view} of another shape")
        return cls(coding, views)

    def removed(self, view: str, rows: Float[np.ndarray, "n d"], columns: Mapping[str, np.ndarray]
                ) -> Float[np.ndarray, "n d"]:
        """Features of "x" or "y" without the confounders' effect; unknown levels count as the average of the others.

        Args:
            view: which.
            rows: its features.
            columns: values of the confounders of these rows by name.

        Raises:
            ValueError: other confounders than the heads were trained with.
        """
        return self.views[view].removed(rows, self.coding.known(columns))


def check_same_confounders(columns: Mapping[str, np.ndarray], heads: Any) -> None:
    """Refuse confounders where trained heads have none, and none where they have some.

    Args:
        columns: values of confounders by name; empty without.
        heads: trained `Heads`; None where they are to be trained.

    Raises:
        ValueError: in one line.
    """
    if heads is None or bool(columns) == (heads.confounders is not None):
        return
    if columns:
        raise ValueError(f"confounders: expected none, as these heads were trained with, got {', '.join(columns)}")
    raise ValueError(f"confounders: expected {heads.confounders.coding.words()}, as these heads were trained with, got "
                     "none")


def without_confounders(rows: HeadRows, given: HeadConfounders | None
                        ) -> tuple[HeadRows, HeadConfounders, dict[str, Any], tuple[str, ...]]:
    """The rows of heads once confounders are removed.

    Args:
        rows: as they are.
        given: slopes of heads that were trained before; None to fit them.

    Returns:
        Residual rows; how to remove confounders from others; what they explained, for the results; and warnings.

    Raises:
        ValueError: confounders that determine a view or a target, or too many of them for the training rows.
    """
    columns, training = rows.confounders, rows.rows("train")
    if given is None:
        own = {name: values[training] for name, values in columns.items()}
        try:
            encode_confounders(own)  # refuses what cannot be removed
        except ValueError as error:
            raise ValueError(f"{error} (rows to train on)") from None
        coding = ConfounderCoding.of(own)
        known = coding.known(columns)
        given = HeadConfounders(coding, {name: ViewSlopes.of(np.asarray(view[training], np.float64), known[training])
                                         for name, view in (("x", rows.x), ("y", rows.y))})
        if empty := next((name for name, own in given.views.items() if not own.left.any()), None):
            raise ValueError(f"{empty}: expected columns that confounders do not determine, got none")
        unseen = "no row to train on"
    else:
        known, unseen = given.coding.known(columns), "none of the rows that these heads were trained on"
    cleaned = replace(rows, **{name: given.removed(name, view, columns) for name, view in (("x", rows.x),
                                                                                           ("y", rows.y))},
                      targets=tuple(_residual(target, known, rows.part == 0) for target in rows.targets))
    shares = {f"{name}_share": explained_share(np.asarray(view[training], np.float64), known[training])
              for name, view in (("x", rows.x), ("y", rows.y))}
    about = {"names": list(given.coding.names), "levels": list(given.coding.counts), **shares}
    return cleaned, given, about, tuple(
        f"confounders: {name} has {unseen} with {', '.join(levels[:_NAMED])}"
        f"{f' and {len(levels) - _NAMED} more' if len(levels) > _NAMED else ''}, whose effect stays in their rows"
        for name, levels in given.coding.unseen(columns).items()) + tuple(
        f"{name}: {np.sum(~own.left)} of {len(own.left)} columns are constant, or determined by the confounders"
        for name, own in given.views.items() if not own.left.all())


def _residual(target: Target, known: Float[np.ndarray, "n q"], training: Bool[np.ndarray, "n"]) -> Target:
    """A real target less what confounders predict of it."""
    if target.kind != "real" or target.nuisance:
        return target
    fit = training & target.known
    own = ViewSlopes.of(target.values[fit, None], known[fit])
    if not own.left.any():
        raise ValueError(f"labels {target.name}: expected values that confounders do not determine, got none")
    return replace(target, values=np.where(target.known, own.removed(target.values[:, None], known)[:, 0], 0.0))
