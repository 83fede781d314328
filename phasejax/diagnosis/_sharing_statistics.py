"""The statistics of `shared_signal`: functions of an order of groups and rows, cheap to compute for many orders."""

import numpy as np

from phasejax._core.thin_svd import thin_svd
from phasejax.diagnosis._shared_directions import Axes

# Numbers of directions at which labels are compared with what is shared.
DIRECTIONS = (1, 2, 4, 8)


class PairStatistics:
    """Statistics of the cross-covariances of two views: of rows, or of groups' means and of deviations from them.

    Args:
        blocks: groups of rows that trade places.
        views: a name and two views each, the first without a name.
        learned: methods by which the columns of the first two views were learned from other rows, as many by each.
        agreements: of predictions of the labels, by how these are made.
    """

    def __init__(self, blocks, views, learned, agreements):
        self.size = blocks.number
        self.names: list[str] = []
        self.products: list[tuple[bool, _Product]] = []
        self.matched: list[tuple[bool, np.ndarray, np.ndarray, list[int]]] = []
        for by_row in (False, True) if blocks.repeated else (False,):
            level = ("within groups: " if by_row else "between groups: ") if blocks.repeated else ""
            part = blocks.deviations if by_row else blocks.means
            for name, x, y in views:
                axes_x, axes_y = Axes.of(part(x)), Axes.of(part(y))
                product = _Product(part(x), part(y), axes_x, axes_y, plain=True, sparse=not name)
                self.products.append((by_row, product))
                self.names += [f"{level}{norm} of {name}{scaled}"
                               for scaled in ("canonical correlations", "covariances")
                               for norm in ("sum of squares", "largest")]
                if not name:
                    self.names.append(f"{level}largest correlation of two columns")
                if not name and (axes_x.hides or axes_y.hides):
                    self.products.append((by_row, _Product(part(x), part(y), axes_x.without_ridge(),
                                                           axes_y.without_ridge())))
                    self.names += [f"{level}{norm} of canonical correlations without a ridge"
                                   for norm in ("sum of squares", "largest")]
            if learned:  # sums of products of columns that belong together
                x, y = (np.split(_unit_columns(part(view)), len(learned), 1) for view in views[0][1:])
                for method, of_x, of_y in zip(learned, x, y, strict=True):
                    ks = sorted({min(k, of_x.shape[1]) for k in (1, 4, of_x.shape[1])})
                    self.matched.append((by_row, of_x, of_y, ks))
                    self.names += [f"{level}agreement of {k} learned directions of {method}" for k in ks]
        self.agreements = agreements
        self.names += [f"agreement of the predictions of labels{how}" for how in agreements]
        self.dimension = max(1, self.products[0][1].dimension)
        self.cost = sum(product.cost for _, product in self.products) + sum(
            agreement.cost for agreement in agreements.values())

    def statistics(self, of_groups, of_rows):
        values = []
        for by_row, product in self.products:
            values += product.statistics(of_rows if by_row else of_groups)
        for by_row, x, y, ks in self.matched:
            agreeing = np.einsum("ij,ij->j", x, y[of_rows if by_row else of_groups])
            values += [agreeing[:k].sum() for k in ks]
        return np.array([*values, *(agreement.of(of_rows) for agreement in self.agreements.values())])


class PredictionAgreement:
    """The correlation of the labels' predictions from x with those from y, under permutations of y's rows.

    The prediction of a row is by regression on the rows of other folds. Labels stay with x, so that for y every
    permutation is another regression: its sums of y t' over each fold are computed anew. A correlation and not a
    covariance, since where labels depend on both views any permutation makes y's predictions smaller.

    Args:
        y: rows of y in coordinates in which the regression weighs each alike, shape (m, r).
        predicted: predictions from x of the same rows, shape (m, l).
        targets: label columns, zero in rows without labels, shape (m, l).
        fold: of each row.
    """

    def __init__(self, y, predicted, targets, fold):
        by_fold = np.argsort(fold, kind="stable")
        self._order, self._y = by_fold, y
        predicted = predicted - predicted.mean(0)
        size = np.linalg.norm(predicted)
        both = np.hstack([predicted / (size if size > 0 else 1), targets])[by_fold]
        self._parts = np.split(both, np.flatnonzero(np.diff(fold[by_fold])) + 1)
        self.cost = 1.5 * y.size * both.shape[1]

    def of(self, order):
        """The agreement when the rows of y are in this order."""
        y, start, parts = self._y[order][self._order], 0, []
        for part in self._parts:
            rows = y[start:start + len(part)]
            parts.append((rows, *np.split(rows.T @ part, 2, axis=1)))
            start += len(part)
        total = sum(with_targets for *_, with_targets in parts)
        agreement = squares = 0.0
        for rows, with_predictions, with_targets in parts:
            weights = total - with_targets
            agreement += np.sum(with_predictions * weights)
            if weights.shape[1] <= rows.shape[1]:
                squares += np.sum((rows @ weights) ** 2)
            else:  # of many label columns from a small matrix
                squares += np.sum(weights * (rows.T @ rows @ weights))
        return agreement / np.sqrt(squares) if squares > 0 else 0.0


class _Product:
    """Two views in principal coordinates, and the size of their cross-covariance under permutations.

    Args:
        x, y: the views.
        axes_x, axes_y: theirs.
        plain: whether to measure the covariance of columns that are not whitened, too.
        sparse: whether to find the two columns that correlate most, too.
    """

    def __init__(self, x, y, axes_x, axes_y, plain=False, sparse=False):
        self.x, self.y = axes_x.coordinates(x) * axes_x.whitening, axes_y.coordinates(y) * axes_y.whitening
        self.plain = np.outer(1 / axes_x.whitening, 1 / axes_y.whitening) if plain else None
        # From principal axes back to standardised columns.
        self.columns = (axes_x.standardised_axes, axes_y.standardised_axes) if sparse else None
        shape = self.x.shape[1], self.y.shape[1]
        self.dimension = min(shape)
        self.cost = len(x) * shape[0] * shape[1] + 4 * min(shape) ** 2 * max(shape)

    def statistics(self, order):
        cross = self.x.T @ self.y[order] / len(self.x)
        values = [*_norms(cross)]
        if self.plain is not None:
            cross *= self.plain
            values += _norms(cross)
        if self.columns is not None:
            values.append(np.abs(self.columns[0] @ cross @ self.columns[1].T).max(initial=0.0))
        return values


def _norms(cross):
    """Cube roots, which are nearly normal, of the Schatten-2 norm squared and of the Schatten-8 norm squared."""
    total = np.sum(cross**2)
    if total == 0:
        return 0.0, 0.0
    square = (cross @ cross.T if len(cross) < cross.shape[1] else cross.T @ cross) / total
    return total ** (1 / 3), (total * np.sum((square @ square) ** 2) ** (1 / 4)) ** (1 / 3)


def _unit_columns(view):
    centred = view - view.mean(0)
    norms = np.linalg.norm(centred, axis=0)
    return np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)


def label_targets(columns, kind):
    """Unit-length label columns whose squares sum to 1 in all; for classes an orthogonal basis of their contrasts."""
    targets = _unit_columns(columns)
    if kind == "class":
        left, values, _ = thin_svd(targets)
        targets = left[:, values > 1e-8 * max(1.0, values[0])]
    return targets / np.sqrt(max(1, targets.shape[1]))


class LabelStatistics:
    """The share of the label columns that the leading shared directions explain, under permutations of labels.

    A last statistic weighs all directions of alignment by their squared canonical correlations, so that many weak ones
    add up: the squares of the labels' predictions from each view, seen from the other one.
    """

    def __init__(self, blocks, scores, weighted, columns, kind):
        self.names, self.parts = [], []
        for by_row in (False, True) if blocks.repeated else (False,):
            level = ("within groups: " if by_row else "between groups: ") if blocks.repeated else ""
            part = blocks.deviations if by_row else blocks.means
            targets = label_targets(part(columns), kind)
            for name, values in scores.items():
                # A third of the units at most, so that what is explained is not all chance.
                most = max(1, min(values.shape[1] // 2, blocks.number // 6))
                ks = sorted({min(k, most) for k in DIRECTIONS if k != 1 or "features" not in name})
                # A constant view has no direction, which explains nothing.
                leading = part(values)[:, :2 * ks[-1]] if values.shape[1] else np.zeros((len(targets), 2))
                self.parts.append((by_row, _orthonormal(leading), targets, 2 * np.array(ks, int) - 1))
                self.names += [f"{level}{k} direction{'s' * (k > 1)} by {name}" for k in ks]
            values = part(weighted) - part(weighted).mean(0)
            size = np.linalg.norm(values)
            self.parts.append((by_row, values / (size if size > 0 else 1), targets, [-1]))
            self.names.append(f"{level}all directions by their canonical correlations")

    def statistics(self, of_groups, of_rows):
        values = []
        for by_row, basis, targets, ends in self.parts:
            squares = np.sum((basis.T @ targets[of_rows if by_row else of_groups]) ** 2, 1)
            values.append(np.cumsum(squares)[ends] ** (1 / 3) if len(squares) else np.zeros(len(ends)))
        return np.concatenate(values)


def _orthonormal(columns):
    """An orthonormal basis of centred columns, in their order; zeros for those that depend on earlier ones."""
    columns = _unit_columns(columns)
    basis, triangle = np.linalg.qr(columns)
    basis[:, np.abs(np.diag(triangle)) < 1e-8] = 0
    return basis
