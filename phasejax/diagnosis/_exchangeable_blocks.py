"""Permutation tests that move whole groups of rows, and several statistics that share one level.

Groups trade places with groups of their size, to which those of similar sizes are cut, as in
`phasejax.similarity._whole_groups`; the rows that a group keeps, and their order, are drawn at random. This is exact
whatever the sizes and whatever binds the rows of a group. Rows without groups are groups of one row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from phasejax.similarity._whole_groups import groups_of_equal_size

# Permutations after which a test stops where its p is above `_HOPELESS`. That only takes rejections away.
_FIRST, _HOPELESS = 99, 0.2


@dataclass(frozen=True)
class Blocks:
    """Groups of rows that can trade places.

    Args:
        strata: for each stratum the rows of its groups, shape (groups, rows of each); groups trade places within it.
    """

    strata: tuple[Int[np.ndarray, "_ _"], ...]

    @classmethod
    def of(cls, groups: Int[np.ndarray, "n"] | None, n: int, rng: np.random.Generator, largest: int | None = None,
           strata: Int[np.ndarray, "n"] | None = None) -> "Blocks":
        """The groups of each size, once sizes near each other are cut to one.

        Args:
            groups: the group of each row; None makes each row its own.
            n: number of rows.
            rng: draws the rows that a group keeps, and their order.
            largest: rows that a group keeps at most.
            strata: the stratum of each row, one for all rows of a group; rows and groups trade places within it. None
                for a single one.
        """
        if strata is not None:
            parts = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
            inside = [cls.of(None if groups is None else groups[rows], len(rows), rng, largest).strata
                      for rows in parts]
            return cls(tuple(rows[block] for rows, blocks in zip(parts, inside, strict=True) for block in blocks))
        if groups is None:
            return cls((np.arange(n)[:, None],))
        order = rng.permutation(n)
        rows, blocks = groups_of_equal_size(groups[order])
        return cls(tuple(order[rows[where[:, :largest]]] for where in blocks))

    @property
    def number(self) -> int:
        """Groups, the sample size."""
        return sum(len(stratum) for stratum in self.strata)

    @property
    def rows(self) -> Int[np.ndarray, "m"]:
        """The rows that are kept, group after group."""
        return np.concatenate([stratum.ravel() for stratum in self.strata])

    @property
    def repeated(self) -> bool:
        """Whether groups have several rows."""
        return any(stratum.shape[1] > 1 for stratum in self.strata)

    def permuted(self, rng: np.random.Generator) -> tuple[Int[np.ndarray, "g"], Int[np.ndarray, "m"]]:
        """A random order of the groups and the order of `rows` that goes with it."""
        of_groups, of_rows, group, row = [], [], 0, 0
        for stratum in self.strata:
            order = rng.permutation(len(stratum))
            of_groups.append(group + order)
            width = stratum.shape[1]
            of_rows.append((row + order[:, None] * width + np.arange(width)).ravel())
            group, row = group + len(stratum), row + stratum.size
        return np.concatenate(of_groups), np.concatenate(of_rows)

    def divided(self, rng: np.random.Generator, share: float) -> tuple["Blocks", "Blocks"]:
        """A random share of the groups of every stratum, at least one of each, and the others."""
        first, others = [], []
        for stratum in self.strata:
            order, count = rng.permutation(len(stratum)), max(1, round(share * len(stratum)))
            first.append(stratum[order[:count]])
            others.append(stratum[order[count:]])
        return Blocks(tuple(first)), Blocks(tuple(others))

    def means(self, values: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "g p"]:
        """The mean of each group."""
        return np.concatenate([values[stratum].mean(1) for stratum in self.strata])

    def deviations(self, values: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "m p"]:
        """The rows less the mean of their group."""
        parts = [values[stratum] for stratum in self.strata]
        return np.concatenate([(part - part.mean(1, keepdims=True)).reshape(-1, values.shape[1]) for part in parts])


@dataclass(frozen=True)
class PermutationTest:
    """The outcome of `permutation_test`.

    Args:
        p: of all statistics together.
        observed: each statistic of the data as they are.
        shuffled: the mean of each over permutations.
        deviations: how many standard deviations `observed` is above that mean.
        permutations: how many were drawn.
    """

    p: float
    observed: Float[np.ndarray, "s"]
    shuffled: Float[np.ndarray, "s"]
    deviations: Float[np.ndarray, "s"]
    permutations: int


def permutation_test(statistics: Callable[[Int[np.ndarray, "g"], Int[np.ndarray, "m"]], Float[np.ndarray, "s"]],
                     blocks: Blocks, rng: np.random.Generator, count: int) -> PermutationTest:
    r"""The p-value of the largest of several standardised statistics.

    .. math::  p = \frac{1 + \#\{b : \max_s z_{bs} \ge \max_s z_{0s}\}}{1 + B}

    Mean and standard deviation of every statistic are taken over the permutations and the data together, so the data
    are one exchangeable draw among B + 1 and the level is exact.

    Args:
        statistics: of an order of the groups and the order of the rows that goes with it; large values speak
            against the null hypothesis.
        blocks: what trades places.
        rng: draws the permutations.
        count: permutations B, at most.
    """
    values = [statistics(np.arange(blocks.number), np.arange(len(blocks.rows)))]
    p, z = 1.0, np.zeros(0)
    for total in sorted({min(_FIRST, count), count}):
        while len(values) <= total:
            values.append(statistics(*blocks.permuted(rng)))
        drawn = np.array(values)
        spread = drawn.std(0)
        constant = spread <= 1e-9 * np.abs(drawn).max(0)
        z = np.where(constant, 0, (drawn - drawn.mean(0)) / np.where(constant, 1, spread))
        largest = z.max(1)
        p = float(np.mean(largest >= largest[0] - 1e-9))
        if p > _HOPELESS:
            break
    drawn = np.array(values)
    return PermutationTest(p=p, observed=drawn[0], shuffled=drawn[1:].mean(0), deviations=z[0],
                           permutations=len(drawn) - 1)
