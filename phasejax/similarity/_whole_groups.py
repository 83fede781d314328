r"""Pairings and parts of rows that keep groups whole, where the rows of one group are not independent of one another.

Twenty spectra of one star are alike, in x as in y. Where single rows trade partners, that alone looks like similarity.
So under the null hypothesis only groups pair at random: group g of x meets group \pi(g) of y, with all of its rows.

A group may take the place of another only if both have as many rows. Sizes that are near each other are therefore cut
to one, with rows left out evenly along the longer groups, and groups trade places with those of their size only; the
sizes are chosen such that as few rows as possible are left out while sqrt(G) groups or more are alike. Both the true
pairing and the random ones are then those of the rows that are kept, so that the p-value is exact.

Each group of y is also turned by a random number of rows before it meets one of x. Otherwise an order that groups have
in common (rows sorted by class in each) would pair like with like in every pairing. Turning, unlike shuffling, leaves
neighbours in time neighbours.
"""

import math

import numpy as np
from jaxtyping import Int

# Row numbers of the groups of one size, a group in each row of the array.
Blocks = Int[np.ndarray, "_ _"]
# Up to so many groups, which of them have one size is decided group by group, else size by size, to save time.
_SINGLY = 1000


def groups_of_equal_size(groups: Int[np.ndarray, "n"]) -> tuple[Int[np.ndarray, "m"], list[Blocks]]:
    """The rows that are kept so that groups can trade places, and where the groups of each size are among them.

    Args:
        groups: numbers 0 to G - 1 of the groups that n rows belong to.

    Returns:
        Sorted numbers of the m rows that are kept, and for each size the places of its groups' rows among these.

    >>> rows, blocks = groups_of_equal_size(np.array([0, 0, 1, 1, 1]))
    >>> rows.tolist(), [where.tolist() for where in blocks]
    ([0, 1, 2, 4], [[[0, 1], [2, 3]]])
    """
    members = _members(groups)
    sizes = np.array([len(rows) for rows in members])
    cut = _common_sizes(sizes)
    kept = [rows[_evenly(len(rows), size)] for rows, size in zip(members, cut, strict=True)]
    rows = np.sort(np.concatenate(kept))
    return rows, [np.searchsorted(rows, np.stack([kept[group] for group in np.flatnonzero(cut == size)]))
                  for size in np.unique(cut)]


def some_of_every_group(groups: Int[np.ndarray, "n"], limit: int, rng: np.random.Generator) -> Int[np.ndarray, "m"]:
    """Sorted numbers of `limit` rows at most, from as many groups as possible: large groups lose rows first."""
    members = _members(groups)
    if len(members) > limit:
        members = [members[group] for group in np.sort(rng.permutation(len(members))[:limit])]
    sizes = np.array([len(rows) for rows in members])
    most = sizes.max()
    while np.minimum(sizes, most).sum() > limit:
        most -= 1
    return np.sort(np.concatenate([rows[_evenly(len(rows), min(len(rows), most))] for rows in members]))


def pairing_of_whole_groups(blocks: list[Blocks], rng: np.random.Generator) -> Int[np.ndarray, "m"]:
    """A random order of rows in which groups take the place of groups of their size, each turned at random.

    >>> pairing_of_whole_groups([np.array([[0, 1], [2, 3]])], np.random.default_rng(0)).tolist()
    [1, 0, 3, 2]
    """
    order = np.empty(sum(where.size for where in blocks), np.int64)
    for where in blocks:
        count, size = where.shape
        turned = (np.arange(size) + rng.integers(size, size=(count, 1))) % size
        order[where] = np.take_along_axis(where[rng.permutation(count)], turned, axis=1)
    return order


def part_of_whole_groups(groups: Int[np.ndarray, "n"], kept: int, rng: np.random.Generator
                         ) -> Int[np.ndarray, "kept"]:
    """Sorted numbers of `kept` rows that fill whole groups, drawn at random; of the last group as many as are left."""
    place = rng.permutation(groups.max() + 1)[groups]
    return np.sort(np.argsort(place, kind="stable")[:kept])


def _members(groups):
    """The row numbers of each group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _evenly(size, kept):
    """`kept` places of 0 to size - 1 at even distances."""
    return ((np.arange(kept) + 0.5) * size / kept).astype(int)


def _common_sizes(sizes):
    """For each group the size that it is cut to, such that sqrt(G) groups or more have one and fewest rows are lost."""
    least = max(2, math.isqrt(len(sizes) - 1) + 1)
    order = np.argsort(sizes, kind="stable")
    ends = np.arange(len(sizes)) + 1  # of runs of groups in this order, which are cut to one size or several as a whole
    if len(sizes) > _SINGLY:
        ends = np.append(np.flatnonzero(np.diff(sizes[order])), len(sizes) - 1) + 1
    groups = np.append(0, ends)
    rows, smallest = np.append(0, np.cumsum(sizes[order]))[groups], sizes[order][groups[:-1]]
    lost, first = np.full(len(groups), np.inf), np.zeros(len(groups), int)
    lost[0] = 0
    for end in range(1, len(groups)):  # the least loss in all runs before this end, the last of one size from `first`
        count = groups[end] - groups[:end]
        losses = np.where(count >= least, lost[:end] + rows[end] - rows[:end] - smallest[:end] * count, np.inf)
        first[end] = np.argmin(losses)
        lost[end] = losses[first[end]]
    common, end = np.empty_like(sizes), len(groups) - 1
    while end:
        common[order[groups[first[end]]:groups[end]]] = smallest[first[end]]
        end = first[end]
    return common
