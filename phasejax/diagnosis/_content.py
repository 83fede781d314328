r"""Label content of data: which share of what both views tell about the labels k numbers of each objective keep.

The same notion as `phasejax.theory.label_content`, estimated without any model of the spectra. What is estimated is the
content at the number of rows at hand: of directions fitted to about n rows, judged on rows that these fits have not
seen. With more rows weak signals rise above the noise, so it can differ from the content of the population.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student_t
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.forks import check_not_forked
from phasejax._core.serialise import restored
from phasejax._core.validation import check_number, shown
from phasejax.diagnosis._content_fits import GroupMoments, Terms, coordinates, cross_fitted, transformed
from phasejax.diagnosis._cross_fit import first_columns
from phasejax.diagnosis._effective_rows import rows_worth
from phasejax.diagnosis._estimates import Estimate
from phasejax.diagnosis._folds import assign_folds
from phasejax.diagnosis._label_rows import check_label_rows
from phasejax.io import Moments, accumulate
from phasejax.io._moments import merge_all
from phasejax.theory import Regime
from phasejax.theory._label_content import KEPT

OBJECTIVES = ("ca", "cp", "cp_reverse")
# Least number of standard errors by which the labels' predictable part must be above zero.
_LEAST_Z = 2.0
# Fewest rows per column of both views, and fewest groups of the jackknife, for a regime to be stated.
_ROWS_PER_COLUMN, _LEAST_GROUPS = 3, 8
# Number of columns; groups of the jackknife up to so many columns, and divisions of the rows into groups over which it
# is averaged: what takes a few seconds at most. Averages depend less on how the rows happen to be divided.
_EFFORT = ((40, 20, 3), (100, 20, 2), (300, 20, 1), (600, 12, 1), (np.inf, 10, 1))
# The delete-group jackknife overestimates the error of what fitted spaces keep, the more so the larger the error, since
# a share cannot scatter without limit. Its errors are multiplied by a factor that falls from 0.85 for small ones to 0.5
# for those of 0.2 and more. Chosen so that 90% intervals cover 0.9 on spiked and power-law models other than those of
# `python -m benchmarks content`: 130 to 700 rows, 4 to 14 for each column of both views.
_SHRUNK, _SHRUNK_MORE, _LARGE_ERROR = 0.85, 0.35, 0.2
_DRAWS = 2000


@dataclass(frozen=True)
class ComponentCount:
    """A number of components with the ends of its interval."""

    value: int
    low: int
    high: int


@dataclass(frozen=True)
class ContentCurve:
    """Label content against the number of components k, at the number of rows at hand (`label_content`).

    Args:
        ks: numbers of components, increasing.
        ca, cp, cp_reverse: s(k) of CA, CP and CP y->x for each of `ks`. The population's lie in [0, 1]; estimates
            may lie outside.
        probabilities: for each of `ks` the probabilities of the four regimes, in the order of `Regime`.
        k80: for each objective the least number of components that keep at least 0.8, up to `rank`.
        rank: components that the views have, the lesser of their ranks.
        label_z: the labels' predictable part that the views share, in standard errors.
        n: rows.
        labelled: rows with labels.
        groups: groups of rows of the cross-fit and the jackknife.
        columns: columns of both views that vary and do not repeat others (the sum of the ranks).
        confidence: level of intervals, and the probability at which a regime is stated.
        warnings: what to know about the data.
        worth: rows that these are worth where they depend on one another in groups; None where every row stands for
            itself.
    """

    ks: tuple[int, ...]
    ca: tuple[Estimate, ...]
    cp: tuple[Estimate, ...]
    cp_reverse: tuple[Estimate, ...]
    probabilities: tuple[tuple[float, float, float, float], ...]
    k80: dict[str, ComponentCount]
    rank: int
    label_z: float
    n: int
    labelled: int
    groups: int
    columns: int
    confidence: float
    warnings: tuple[str, ...]
    worth: int | None = None

    def likeliest(self, k: int) -> Regime:
        """The regime of highest probability with k components, whether or not it is sure."""
        return Regime.from_code(int(np.argmax(self._probabilities_at(k))))

    def regime(self, k: int) -> Regime | None:
        """Which of CA and CP keep more than 0.8 of the labels' shared part in k components; None where that is unsure.

        Raises:
            ValueError: k is not one of `ks`.
        """
        return None if self.reason(k) else self.likeliest(k)

    def reason(self, k: int) -> str:
        """Why no regime is stated for k components, in one sentence; empty where one is.

        Raises:
            ValueError: k is not one of `ks`.
        """
        probability = max(self._probabilities_at(k))
        if (self.n if self.worth is None else self.worth) < _ROWS_PER_COLUMN * self.columns:
            rows = f"{self.n} rows" + ("" if self.worth is None else f", worth {self.worth} independent ones,")
            return f"{rows} are fewer than {_ROWS_PER_COLUMN} for each of the {self.columns} columns of both views."
        if self.groups < _LEAST_GROUPS:
            return f"{self.groups} independent groups with labels are fewer than {_LEAST_GROUPS}."
        if not self.label_z >= _LEAST_Z:
            return (f"What both views tell about the labels is {significant(self.label_z, 2)} standard errors above "
                    f"nothing, less than {_LEAST_Z:.0f}.")
        if probability < self.confidence:
            return (f"The likeliest regime, {self.likeliest(k).value}, has a probability of "
                    f"{significant(probability, 2)} only.")
        return ""

    def at(self, k: int) -> dict[str, Estimate]:
        """Content of the three objectives with k components.

        Raises:
            ValueError: k is not one of `ks`.
        """
        place = self._place(k)
        return {name: getattr(self, name)[place] for name in OBJECTIVES}

    @checked
    def _place(self, k: int) -> int:
        if k not in self.ks:
            raise ValueError(f"k: expected one of {', '.join(map(str, self.ks))}, got {k}")
        return self.ks.index(k)

    def _probabilities_at(self, k):
        return self.probabilities[self._place(k)]

    @classmethod
    @checked
    def from_dict(cls, saved: dict[str, Any]) -> "ContentCurve":
        """The curve that `dataclasses.asdict` made a dictionary of, or JSON made of that.

        Raises:
            ValueError: naming a field that is missing or holds what no curve holds.
        """
        curve = restored(cls, saved)
        if {len(curve.ks)} != {len(values) for values in (curve.ca, curve.cp, curve.cp_reverse, curve.probabilities)}:
            raise ValueError("expected as many shares and probabilities as ks, got others")
        return curve


@checked
def label_content(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], columns: Float[np.ndarray, "m l"],
                  labelled: Int[np.ndarray, "m"], *, groups: Int[np.ndarray, "n"] | None = None,
                  ks: Sequence[int] | None = None, beyond_rank: Literal["error", "drop"] = "error", seed: int = 0,
                  confidence: float = 0.9) -> ContentCurve:
    r"""Cross-fitted label content of paired views, with its uncertainty.

    .. math::
        e_i(M) = t_i \cdot h_i^\top M b_y + t_i \cdot g_i^\top M^\top b_x, \qquad
        s(k) = \sum_i e_i(P P^\top C) \Big/ \sum_i e_i(C)

    with t_i the centred labels of row i, h_i and g_i its whitened views, C the whitened cross-covariance, P its k
    leading left singular vectors (for CA; those of S_xx^{-1/2} S_xy for CP), and b_x, b_y the means of h t', g t'. All
    but t_i, x_i and y_i come from fits to the rows of other groups, labelled or not. The covariance of all s(k) is that
    of the jackknife that deletes each group in turn and repeats all fits. Constant columns and columns that others
    determine get no weight. The units of a view do not matter, those of single columns only in that prediction counts
    columns of its target by their variance.

    Args:
        x, y: paired views, shapes (n, d_x) and (n, d_y), finite.
        columns: label columns, shape (m, L): one-hot for classes.
        labelled: the m rows that have labels, increasing.
        groups: integers, shape (n,); rows of a group are left out together. None: each row is a group of its own.
        ks: numbers of components; powers of two and the number of label directions, below the rank, when left out.
        beyond_rank: what to do about a k beyond the rank.
        seed: of the division of the rows into groups.
        confidence: level of the intervals, and probability at which a regime is stated.

    Raises:
        ValueError: a k beyond the rank, a view without a column that varies, or fewer than 3 groups with labels.

    Source: the delete-group jackknife, Kott 2001.

    >>> rng = np.random.default_rng(0)
    >>> signal, nuisance, own_x, own_y = rng.standard_normal((4, 600, 3))
    >>> x, y = np.c_[signal + own_x, 0.5 * nuisance], np.c_[signal + own_y, 5 * nuisance + own_y]
    >>> curve = label_content(x, y, signal, np.arange(600), ks=[3])
    >>> curve.regime(3), curve.cp_reverse[0].value > 0.8
    (<Regime.NEITHER: 'Neither'>, True)
    """
    check_not_forked()
    confidence = check_number("confidence", confidence, above=0, below=1)
    x, y, columns, labelled = check_label_rows(x, y, columns, labelled, groups=groups, seed=seed)
    rng, columns_of_views = np.random.default_rng(seed), x.shape[1] + y.shape[1]
    most, divisions = next(effort[1:] for effort in _EFFORT if columns_of_views <= effort[0])
    number = min(most, len(labelled) if groups is None else len(np.unique(groups[labelled])))
    if number < 3:
        raise ValueError(f"groups: expected at least 3 with labels, got {number}")
    blocks = [_blocks(rng, len(x), labelled, groups, number) for _ in range(divisions)]
    moments = _moments(x, y, columns, labelled, blocks[0])
    with threadpool_limits(1, "blas"):  # small matrices, for which threads cost more than they gain
        of_x, of_y = coordinates([views for views, _ in moments], x.shape[1])
        for name, view in (("x", of_x), ("y", of_y)):
            if not len(view.to):
                raise ValueError(f"{name}: expected a column that varies, got none")
        rank, used = min(len(of_x.to), len(of_y.to)), len(of_x.to) + len(of_y.to)
        if ks is not None and beyond_rank == "drop":
            ks = [k for k in ks if k <= rank] or [rank]
        shown = _checked_ks(ks, rank, columns)
        origin = merge_all([views for views, _ in moments]).mean

        def cross_fit(moments):
            return cross_fitted([GroupMoments(*(transformed(part, of_x.to, of_y.to, origin) for part in pair))
                                 for pair in moments], of_x.metric, of_y.metric)

        fits = [cross_fit(moments), *(cross_fit(_moments(x, y, columns, labelled, block)) for block in blocks[1:])]
        estimated = _Estimated.of(fits)
        draws = estimated.draws()
    level = student_t.ppf((1 + confidence) / 2, number - 1) * estimated.errors
    warnings = tuple(f"{view.shape[1] - len(kept.to)} of the {view.shape[1]} columns of {name} are constant or repeat "
                     "others." for name, view, kept in (("x", x, of_x), ("y", y, of_y)) if len(kept.to) < view.shape[1])
    curves = {name: tuple(Estimate(*(float(curve[i, k - 1]) for curve in (
        estimated.shares, estimated.shares - level, estimated.shares + level))) for k in shown)
        for i, name in enumerate(OBJECTIVES)}
    return ContentCurve(
        ks=shown, **curves, probabilities=tuple(_regime_probabilities(draws[:, :2, k - 1]) for k in shown),
        k80={name: _k80(estimated.shares[i], draws[:, i], confidence) for i, name in enumerate(OBJECTIVES)}, rank=rank,
        label_z=estimated.label_z, n=len(x), labelled=len(labelled), groups=number, columns=used,
        confidence=float(confidence), warnings=warnings,
        worth=None if groups is None else rows_worth(np.hstack([x, y]), groups, len(x)))


def _blocks(rng, n, labelled, groups, number) -> Int[np.ndarray, "n"]:
    """The part of the jackknife that each row belongs to; labelled and other rows are divided evenly."""
    block, other = np.empty(n, int), np.ones(n, bool)
    if groups is None:
        other[labelled] = False
        block[labelled] = assign_folds(rng, np.zeros(len(labelled), int), None, number)
        block[other] = assign_folds(rng, np.zeros(n - len(labelled), int), None, number)
        return block
    other = ~np.isin(groups, groups[labelled])
    names, first = np.unique(groups[labelled], return_index=True)
    of_name = assign_folds(rng, None, groups[labelled], number)[first]
    block[~other] = of_name[np.searchsorted(names, groups[~other])]
    if other.any():
        block[other] = assign_folds(rng, None, groups[other], number)
    return block


def _moments(x, y, columns, labelled, block) -> list[tuple[Moments, Moments]]:
    """Moments of each block, of the views of all its rows, and of views and labels of its labelled rows."""
    if len(labelled) == len(x):
        both = accumulate([x, y, columns], block)
        return [(first_columns(part, x.shape[1] + y.shape[1]), part) for part in both]
    parts = accumulate([x, y], block), accumulate([x[labelled], y[labelled], columns], block[labelled])
    return list(zip(*parts, strict=True))


def _checked_ks(ks, rank, columns) -> tuple[int, ...]:
    if ks is None:
        directions = int(np.linalg.matrix_rank(columns - columns.mean(0)))
        powers = [2**power for power in range(int(rank).bit_length())]
        return tuple(sorted({k for k in (*powers, directions) if k < rank})) or (1,)
    if not isinstance(ks, list | tuple | range | np.ndarray) or not all(isinstance(k, int | np.integer) for k in ks):
        raise ValueError(f"ks: expected numbers from 1 to {rank}, the lesser rank of the views, got {shown(ks)}")
    ks = tuple(sorted({int(k) for k in ks}))
    if not ks or not 1 <= ks[0] <= ks[-1] <= rank:
        raise ValueError(f"ks: expected numbers from 1 to {rank}, the lesser rank of the views, got "
                         f"{', '.join(map(str, ks)) or 'none'}")
    return ks


@dataclass(frozen=True)
class _Estimated:
    """Shares s(k) for all k and the labels' predictable part in standard errors.

    Args:
        shares: s(k).
        deviations: vectors whose outer products add up to the covariance of the shares.
        freedom: degrees of freedom of that covariance.
        label_z: the predictable part over its error.
    """

    shares: Float[np.ndarray, "3 m"]
    deviations: Float[np.ndarray, "g 3 m"]
    freedom: int
    label_z: float

    @classmethod
    def of(cls, fits: list[tuple[Terms, list[Terms]]]) -> "_Estimated":
        """Averages over several divisions of the rows.

        Args:
            fits: for each division the terms of all rows, and those with each group deleted.
        """
        number = len(fits[0][1])
        scale = np.sqrt((number - 1) / number / len(fits))
        deviations, errors = [], []
        for _, deleted in fits:
            totals, replicates = np.array([terms.total for terms in deleted]), np.stack(list(map(_shares, deleted)))
            deviations.append(scale * (replicates - replicates.mean(0)))
            errors.append(scale * (totals - totals.mean()))
        jackknife = np.concatenate(deviations)
        size = np.minimum(1, np.linalg.norm(jackknife, axis=0) / _LARGE_ERROR)
        total, error = np.mean([whole.total for whole, _ in fits]), np.linalg.norm(errors)
        return cls(shares=np.mean([_shares(whole) for whole, _ in fits], 0),
                   deviations=(_SHRUNK - _SHRUNK_MORE * size) * jackknife,
                   freedom=number - 1, label_z=float(total / error) if error > 0 else 0.0)

    @property
    def errors(self) -> Float[np.ndarray, "3 m"]:
        """Standard errors of the shares."""
        return np.sqrt(np.sum(self.deviations**2, 0))

    def draws(self) -> Float[np.ndarray, "r 3 m"]:
        """Draws of all shares jointly from a t distribution: always of the same random numbers."""
        rng = np.random.default_rng(0)
        normal = rng.standard_normal((_DRAWS, len(self.deviations)))
        normal /= np.sqrt(rng.chisquare(self.freedom, (_DRAWS, 1)) / self.freedom)
        return self.shares + np.einsum("rg,gij->rij", normal, self.deviations)


def _shares(terms):
    return np.cumsum(terms.parts, 1) / (terms.total if terms.total != 0 else np.inf)


def _regime_probabilities(draws) -> tuple[float, float, float, float]:
    kept = draws > KEPT
    counts = np.bincount(kept[:, 0] + 2 * kept[:, 1], minlength=4)
    return cast(Any, tuple((counts / len(draws)).tolist()))


def _k80(shares, draws, confidence) -> ComponentCount:
    def least(curves):
        reached = curves >= KEPT
        return np.where(reached.any(-1), reached.argmax(-1) + 1, curves.shape[-1])

    low, high = np.quantile(least(draws), [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    value = int(least(shares))
    return ComponentCount(value=value, low=min(value, int(low)), high=max(value, int(high)))
