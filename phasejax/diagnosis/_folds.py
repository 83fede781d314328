"""Folds of the labelled rows for cross-validation: whole groups in one fold, classes spread over all folds."""

import numpy as np
from jaxtyping import Float, Int

# Orders of the groups that are tried until every fold leaves members of every class to train on.
_TRIES = 20


def assign_folds(rng: np.random.Generator, classes: Int[np.ndarray, "m"] | None, groups: Int[np.ndarray, "m"] | None,
                 folds: int) -> Int[np.ndarray, "m"]:
    """The fold of each labelled row, from 0 to folds - 1.

    Without groups sizes differ by one at most, in all and within a class. With groups the rows of a group share a
    fold: groups are dealt in turn, large ones first, each to the fold where it evens out the classes most.

    Args:
        rng: of the order of rows or groups.
        classes: of the rows, from 0 on; None where labels are real.
        groups: of the rows, any integers; None where each row is a group of its own.
        folds: at least 2, at most the number of groups.

    Raises:
        ValueError: a class has members in one group only, or too few groups for every fold to leave some of it.

    >>> groups = np.repeat(np.arange(6), 3)
    >>> fold = assign_folds(np.random.default_rng(0), None, groups, 3)
    >>> fold.reshape(6, 3).std(1).max(), np.bincount(fold).tolist()
    (np.float64(0.0), [6, 6, 6])
    """
    if classes is None:
        classes = np.zeros(len(groups) if groups is not None else 0, int)
    if groups is None:
        order = rng.permutation(len(classes))
        order = order[np.argsort(classes[order], kind="stable")]
        fold = np.empty(len(classes), int)
        fold[order] = np.arange(len(classes)) % folds
        return fold
    names, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counts, (group, classes), 1.0)
    alone = (counts > 0).sum(0) == 1
    if counts.shape[1] > 1 and alone.any():
        raise ValueError(f"groups: expected every class in at least 2 groups, to hold one out, got all of class "
                         f"{int(alone.argmax())} in one")
    for _ in range(_TRIES):
        fold_of_group = _dealt(rng, counts, folds)
        inside = np.zeros((folds, counts.shape[1]))
        np.add.at(inside, fold_of_group, counts)
        if counts.shape[1] == 1 or (inside < counts.sum(0)).all():
            return fold_of_group[group]
    raise ValueError(f"groups: expected classes in enough groups to train on without any of {folds} folds, got class "
                     f"{int((inside >= counts.sum(0)).any(0).argmax())} in {int((counts > 0).sum(0).min())}")


def _dealt(rng, counts: Float[np.ndarray, "g c"], folds) -> Int[np.ndarray, "g"]:
    # A class counts by its share, so that a rare one is spread as carefully as a frequent one.
    shares, fold_of_group = counts / counts.sum(0), np.empty(len(counts), int)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    inside, rows = np.zeros((folds, counts.shape[1])), np.zeros(folds)
    for group in order:
        # By how much the sum of squared shares would grow; where that is equal, the smaller fold.
        growth = inside @ shares[group] + 1e-6 * rows / counts.sum()
        chosen = int(np.argmin(growth))
        fold_of_group[group] = chosen
        inside[chosen] += shares[group]
        rows[chosen] += counts[group].sum()
    return fold_of_group


def usable_folds(folds: int, labelled: int, groups: Int[np.ndarray, "m"] | None) -> int:
    """As many folds as asked for, or as the groups and rows allow; two rows in each at least.

    >>> usable_folds(5, 300, None), usable_folds(5, 300, np.repeat([0, 1, 2], 100))
    (5, 3)
    """
    most = labelled // 2 if groups is None else min(labelled // 2, len(np.unique(groups)))
    return max(2, min(folds, most))


def folds_of_all_rows(n: int, labelled: Int[np.ndarray, "m"], fold: Int[np.ndarray, "m"],
                      groups: Int[np.ndarray, "n"] | None) -> Int[np.ndarray, "n"]:
    """The fold of each of all n rows; -1 for rows that no fold holds out, which are trained on in all.

    An unlabelled row that shares a group with labelled ones is held out with them.

    >>> folds_of_all_rows(4, np.array([0, 2]), np.array([0, 1]), np.array([5, 5, 7, 8])).tolist()
    [0, 0, 1, -1]
    """
    everywhere = np.full(n, -1)
    everywhere[labelled] = fold
    if groups is not None:
        _, group = np.unique(groups, return_inverse=True)
        of_group = np.full(group.max() + 1, -1)
        of_group[group[labelled]] = fold
        everywhere = of_group[group]
    return everywhere
