"""Paired views with labels on some rows, checked and reduced to the moments that moment matching needs.

Tables of any length are read in blocks; a sample of rows is kept for spectra and predicted scores.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from phasejax._core.thin_svd import thin_svd
from phasejax.io import Moments, Table, accumulate, encode_labels, open_table
from phasejax.io._arrays import check_views
from phasejax.io._fold_view import FoldView
from phasejax.io._labels import labelled_rows, resolved_kind
from phasejax.io._moments import check_varying, each_left_out, merge_all

# Views of more numbers than this are read in blocks and never held as a whole.
IN_MEMORY = 5e7
# Rows that spectra and predicted scores rest on, at most. Their sampling error is then below 0.01.
SAMPLE_ROWS = 50_000
# Groups of rows that are left out in turn, at most, to see how much the statistics scatter over rows.
GROUPS = 20
# Numbers of a view that are read at a time while a sample of its rows is gathered.
_BLOCK_NUMBERS = 2**24
# Rows of each class in the sample, where there are so many.
_LEAST_OF_CLASS = 20
# Least eigenvalue of the correlations of (x, y), each of full rank, below which the views share a column.
_COPIED = 1e-10


@dataclass(frozen=True, eq=False)
class PairedRows:
    """The moments of n paired rows, m of them with labels, and a sample of the rows.

    Args:
        n, m: rows, and labelled rows.
        encoded: label columns of the sample, classes one-hot, several real ones with unit variances, shape
            (rows with labels in the sample, L).
        kind: "class" or "real".
        joint: covariance of (x, y, t), divisor n - 1, from all rows in the block of (x, y); t are linearly
            independent, unit-variance combinations of the label columns.
        without: `joint` when one of g random groups of rows is left out, each in turn; labelled rows
            are spread evenly over the groups, at most `GROUPS` of them; dependent rows are in the same one. Where n is
            too small it may be singular.
        x, y: the sample, all rows or `SAMPLE_ROWS` of them.
        labelled: which rows of the sample have labels.
        groups: numbers of the groups of dependent rows that the rows of the sample belong to; None where every row
            stands for itself.
        number_of_groups: how many groups the n rows are in; n where every row stands for itself.
        in_folds: of each view whose columns are principal components of all rows, or residuals, what makes these by
            the training rows of a fold alone; None where the columns are the data's own.
        strata: within which rows of the sample trade places in tests; None for a single one.
        of_scores: label columns, labelled rows and groups of the rows of `in_folds`, where these are others than the
            sample.
    """

    n: int
    m: int
    encoded: Float[np.ndarray, "s l"]
    kind: str
    joint: Float[np.ndarray, "p p"]
    without: Float[np.ndarray, "g p p"]
    x: Float[np.ndarray, "r d_x"]
    y: Float[np.ndarray, "r d_y"]
    labelled: Int[np.ndarray, "s"]
    groups: Int[np.ndarray, "r"] | None = None
    number_of_groups: int = 0
    in_folds: tuple[FoldView | None, FoldView | None] = (None, None)
    strata: Int[np.ndarray, "r"] | None = None
    of_scores: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None

    @property
    def scored(self) -> tuple[FoldView, FoldView]:
        """Both views as they are scored on held-out rows."""
        return self.in_folds[0] or FoldView(self.x), self.in_folds[1] or FoldView(self.y)

    @property
    def scored_labels(self) -> tuple[Float[np.ndarray, "t l"], Int[np.ndarray, "t"], Int[np.ndarray, "_"] | None]:
        """Label columns, labelled rows and groups of the views that are scored."""
        return self.of_scores or (self.encoded, self.labelled, self.groups)

    @property
    def d_x(self) -> int:
        """Columns of x."""
        return self.x.shape[1]

    @property
    def d_y(self) -> int:
        """Columns of y."""
        return self.y.shape[1]

    @property
    def q(self) -> int:
        """Linearly independent label columns."""
        return len(self.joint) - self.d_x - self.d_y

    @property
    def views_share_a_column(self) -> bool:
        """Whether some combination of x's columns is one of y's: a canonical correlation of 1 although n > d."""
        d = self.d_x + self.d_y
        scale = np.sqrt(np.diag(self.joint)[:d])
        return bool(self.n > d and np.linalg.eigvalsh(self.joint[:d, :d] / np.outer(scale, scale))[0] < _COPIED)


def paired_rows(x: ArrayLike | Table, y: ArrayLike | Table, labels: ArrayLike, labelled: ArrayLike | None = None,
                label_kind: str = "auto", seed: int = 0, groups: Int[np.ndarray, "n"] | None = None) -> PairedRows:
    """Check the arguments of `diagnose`, and reduce the rows to their moments.

    Raises:
        ValueError: an input that no answer could rest on, in one line.
    """
    x, y = _opened("x", x), _opened("y", y)
    if len(x) != len(y):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
    n = len(x)
    which = labelled_rows(labelled, n)
    everything = len(which) == n
    rng = np.random.default_rng(seed)
    of_rows = groups
    groups = _groups(rng, which, n) if of_rows is None else _parts_of_groups(rng, which, of_rows)
    # Drawn first: the same for a table and for an array.
    if len(x) * (x.shape[1] + y.shape[1]) <= IN_MEMORY:
        rows_x, rows_y = check_views(x.rows(0, n), y.rows(0, n))
        x, y, kept = open_table(rows_x, "x"), open_table(rows_y, "y"), np.arange(n)
    else:
        for view in (x, y):
            if n <= view.shape[1]:
                raise ValueError(f"{view.name}: expected more rows than its {view.shape[1]} columns, got {n}")
        kept = np.sort(rng.permutation(n)[:SAMPLE_ROWS]) if everything else _with_labels_first(rng, which, n)
        kept = _with_every_class(rng, kept, which, labels, label_kind)
        rows_x, rows_y = _gathered(x, kept), _gathered(y, kept)
    encoded = in_like_units(encode_labels(labels, len(which), label_kind), resolved_kind(labels, label_kind))
    columns = _independent(encoded)
    if rows_x.shape == rows_y.shape and np.array_equal(rows_x, rows_y):
        raise ValueError("y: expected another view of the same things, got x itself")
    of_label = np.full(n, -1)
    of_label[which] = np.arange(len(which))
    in_sample = np.flatnonzero(of_label[kept] >= 0)
    chosen = of_label[kept[in_sample]]
    joint, without = _joint(x, y, columns, which, groups)
    _check_rank("x", joint[:x.shape[1], :x.shape[1]])
    _check_rank("y", joint[x.shape[1]:-columns.shape[1], x.shape[1]:-columns.shape[1]])
    return PairedRows(n=n, m=len(which), encoded=encoded[chosen],
                      kind=resolved_kind(labels, label_kind),
                      joint=joint, without=without, x=np.asarray(rows_x, np.float64),
                      y=np.asarray(rows_y, np.float64), labelled=in_sample,
                      groups=None if of_rows is None else np.unique(of_rows[kept], return_inverse=True)[1],
                      number_of_groups=n if of_rows is None else int(of_rows.max()) + 1)


def most_components(data: PairedRows, k: int | None) -> int:
    """The most components that leave one for nuisance in each view.

    Raises:
        ValueError: a k beyond it, or views of one column.
    """
    top = min(data.d_x, data.d_y) - 1
    if k is not None and not 1 <= k <= top:
        reduced = any(one is not None and one.width is not None for one in data.in_folds)
        why = ", where d counts the principal components that take the place of columns" if reduced else ""
        raise ValueError(f"k: expected 1 to min(d_x, d_y) - 1 = {top}, got {k}{why}")
    if top < 1:
        raise ValueError("x, y: expected at least 2 columns each, one for signal and one for nuisance")
    return top


def in_like_units(columns: Float[np.ndarray, "m l"], kind: str) -> Float[np.ndarray, "m l"]:
    """Several real label columns with unit variances, so that none counts more because of its unit."""
    return columns / columns.std(0) if kind == "real" and columns.shape[1] > 1 else columns


def _opened(name, view):
    if isinstance(view, Table):
        return view
    array = np.asarray(view)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected numbers, got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        if array.ndim == 2 and len(array):
            raise ValueError(f"{name}: expected at least 1 column, got none")
        raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape {array.shape}")
    return open_table(array, name)


def _independent(encoded):
    """A basis of the centred label columns with unit variances: one-hot columns sum to 1, and others may be copies."""
    centred = encoded - encoded.mean(0)
    left, values, _ = thin_svd(centred / np.linalg.norm(centred, axis=0))
    kept = values > 1e-8 * values[0]
    return left[:, kept] * np.sqrt(len(encoded) - 1)


def _groups(rng, which, n):
    """The group of each row. Rows are dealt out in random order, labelled ones first, so that groups have as many."""
    others = np.setdiff1d(np.arange(n), which)
    groups = np.empty(n, np.uint8)
    groups[np.concatenate([rng.permutation(which), rng.permutation(others)])] = np.resize(
        np.arange(min(GROUPS, len(which)), dtype=np.uint8), n)
    return groups


def _parts_of_groups(rng, which, of_rows):
    """The part of each row, whole groups in one part. Groups are dealt out in random order, those with labels first."""
    order = rng.permutation(int(of_rows.max()) + 1)
    labelled = np.unique(of_rows[which])
    order = np.concatenate([order[np.isin(order, labelled)], order[~np.isin(order, labelled)]])
    part = np.empty(len(order), np.uint8)
    part[order] = np.resize(np.arange(min(GROUPS, len(labelled)), dtype=np.uint8), len(order))
    return part[of_rows]


def _joint(x, y, columns, which, groups):
    """The covariance of (x, y, columns), and the same without each group."""
    if len(which) == len(groups):
        parts = accumulate([x, y, columns], groups)
        whole, rests = merge_all(parts), each_left_out(parts)
        check_varying(whole, [x.shape[1], y.shape[1], columns.shape[1]])
        return _unbiased(whole), np.stack([_unbiased(rest) for rest in rests])
    parts = accumulate([x, y], groups)
    whole, rests = merge_all(parts), each_left_out(parts)
    check_varying(whole, [x.shape[1], y.shape[1]])
    order = np.argsort(which)
    rows = np.hstack([_gathered(x, which[order]), _gathered(y, which[order]), columns[order]]).astype(np.float64)
    own = [Moments.of(rows[groups[which[order]] == group]) for group in range(len(parts))]
    return (_pooled(merge_all(own), whole),
            np.stack([_pooled(labelled, views) for labelled, views in zip(each_left_out(own), rests, strict=True)]))


def _unbiased(moments):
    return moments.scatter / (moments.n - 1)


def _pooled(labelled, views):
    """The covariance of the labelled rows with its block of (x, y) taken from `views`, the moments of all rows."""
    joint, block = _unbiased(labelled), _unbiased(views)
    joint[:len(block), :len(block)] = block
    return joint


def _check_rank(name, covariance):
    scale = np.sqrt(np.diag(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(scale, scale))
    rank = int(np.sum(values > len(values) * 100 * np.finfo(float).eps))
    if rank < len(values):
        raise ValueError(f"{name}: expected linearly independent columns, got rank {rank} from {len(values)} columns")


def _with_labels_first(rng, which, n):
    others = np.setdiff1d(np.arange(n), which)
    ordered = np.concatenate([rng.permutation(which), rng.permutation(others)])
    return np.sort(ordered[:SAMPLE_ROWS])


def _with_every_class(rng, kept, which, labels, label_kind):
    """The sample with some rows of every class, so that rare ones can be cross-validated too."""
    values = np.asarray(labels)
    if resolved_kind(values, label_kind) != "class" or len(values) != len(which):
        return kept
    codes = np.unique(values, return_inverse=True)[1].reshape(-1)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    rank = np.arange(len(order)) - first[codes[order]]
    return np.union1d(kept, which[order[rank < _LEAST_OF_CLASS]])


def _gathered(table, rows):
    """The given rows, sorted, of a table that is read in blocks."""
    at_once, parts = max(1, _BLOCK_NUMBERS // table.shape[1]), []
    for start in range(0, len(table), at_once):
        inside = rows[np.searchsorted(rows, start):np.searchsorted(rows, start + at_once)]
        if inside.size:
            parts.append(table.rows(start, min(start + at_once, len(table)))[inside - start])
    return np.concatenate(parts)
