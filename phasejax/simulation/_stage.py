"""One pass of a sweep: all quantities that are computed from the same thing, over the whole grid.

A sweep has up to three: closed forms of the models, solutions of their population covariances,
and solutions of samples. The last has a dimension more, the seed.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.linalg import whitening
from phasejax.simulation._executor import Budget, Program, Runner
from phasejax.simulation._grid import Grid, Group, chunks, cut_chunk
from phasejax.simulation._population import population_covariances
from phasejax.simulation._quantities import Cell, Quantity
from phasejax.simulation._sampling import bartlett_factor, colour_whitened
from phasejax.simulation._store import Memory, ZarrStore
from phasejax.theory import SpikedModel

# Draws that all cells share are made for this much at a time. A constant, so that how the seeds
# are cut does not depend on the machine.
_DRAWS_BYTES = 64e6


class Stage:
    """The quantities of one source.

    Args:
        source: "theory", "population" or "sampled".
        quantities: by name.
        grid: where.
        models: one of each group of the grid, for its dimensions.
        model_at: from {parameter: value} and {shape parameter: value} to the cell's model.
        lam, n: where they are not an axis.
        seeds: number of samples; 1 unless sampled.
        key: random key, where samples are drawn.
        common: whether all cells use the same draws.
    """

    def __init__(self, source: str, quantities: dict[str, Quantity], grid: Grid, models: list[SpikedModel],
                 model_at: Callable[..., SpikedModel], *, lam, n, seeds: int, key, common: bool):
        self.source, self.quantities, self._grid, self._models = source, quantities, grid, models
        self._model_at, self._lam, self._n, self._seeds, self._key, self._common = model_at, lam, n, seeds, key, common
        self.dims = (*grid.dims, "seed") if source == "sampled" else tuple(grid.dims)
        self.shape = tuple(grid.dims.values()) + ((seeds,) if source == "sampled" else ())
        self.cells = math.prod(grid.dims.values()) * seeds
        self._groups = list(grid.groups())
        self._seeds_at_once = self._cut_seeds()
        self._programs = {}  # cells of the same shapes share one
        for group, model in zip(self._groups, models, strict=True):
            if _shapes(group) not in self._programs:
                with jax.enable_x64(True):
                    constants = jax.eval_shape(partial(self._constants, group, model, 0))
                self._programs[_shapes(group)] = Program.trace(
                    self._unit(group, model), tuple(self._free(group).values()), constants,
                    closed_form=source == "theory")

    def own_shape(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of one cell's result: the longest where shapes differ between groups."""
        found = [program.results[name] for program in self._programs.values()]
        return tuple(map(max, zip(*(r.shape for r in found), strict=True))), found[0].dtype

    def box(self, budget: Budget) -> tuple[int, ...]:
        """Sides, along `dims`, of the boxes that fit the budget whatever the shapes.

        Raises:
            ValueError: not even one block of cells fits.
        """
        least: dict[str, int] = {}
        for group in self._groups:
            *sides, seeds = self._programs[_shapes(group)].box(budget)
            seeds = seeds if seeds == self._seeds_at_once else 2 ** (seeds.bit_length() - 1)  # to cut them evenly
            for dim, side in zip(self._free(group), (*sides, seeds), strict=True):
                least[dim] = min(side, least.get(dim, side))
        return tuple(least.get(dim, 1) for dim in self.dims)

    def run(self, results: Memory | ZarrStore, budget: Budget, box: tuple[int, ...],
            on_box: Callable[[int], None]) -> None:
        """Compute what `results` does not hold yet, and write it there box by box."""
        runners: dict = {}
        sides = dict(zip(self.dims, box, strict=True)) | ({} if self.source == "sampled" else {"seed": 1})
        for number, (group, model) in enumerate(zip(self._groups, self._models, strict=True)):
            free = self._free(group)
            inner = tuple(sides[dim] for dim in free)
            for first_seed in range(0, self._seeds, self._seeds_at_once):
                seeds = min(self._seeds_at_once, self._seeds - first_seed)
                lengths = (*tuple(free.values())[:-1], seeds)
                marks = {origin: f"{self.source} {number} {first_seed} {origin}" for origin in chunks(lengths, inner)}
                todo = [origin for origin, mark in marks.items() if not results.done(mark)]
                cells = {origin: math.prod(cut_chunk(inner, lengths, origin)) for origin in todo}
                if sum(cells.values()) < math.prod(lengths):
                    on_box(math.prod(lengths) - sum(cells.values()))
                if not todo:
                    continue
                with jax.enable_x64(True):
                    constants = self._constants(group, model, first_seed)
                if _shapes(group) not in runners:
                    runners[_shapes(group)] = Runner(self._programs[_shapes(group)], inner, budget.slots, constants)
                    on_box(0)
                for origin, values in runners[_shapes(group)].boxes(todo, lengths, constants):
                    region = self._region(group, (*origin[:-1], origin[-1] + first_seed),
                                          cut_chunk(inner, lengths, origin))
                    shape = tuple(cut.stop - cut.start for cut in region)
                    results.write(marks[origin], region, {name: v.reshape(shape + v.shape[len(inner):])
                                                          for name, v in values.items()})
                    on_box(cells[origin])

    def _region(self, group, origin, sides):
        """Where in the arrays of results a box of a group lies."""
        cuts = {dim: slice(first, first + side)
                for dim, first, side in zip(self._free(group), origin, sides, strict=True)}
        return tuple(cuts[dim] if dim in cuts else slice(group.index[dim], group.index[dim] + 1) for dim in self.dims)

    def _free(self, group):
        """The dimensions that vary inside a group, and their lengths; the last one is the seed."""
        free = {dim: length for dim, length in self._grid.dims.items() if dim not in group.index}
        return free | {"seed": self._seeds_at_once}

    def _cut_seeds(self):
        """How many seeds' draws are made at once."""
        if self.source != "sampled" or not self._common:
            return self._seeds
        each = max(8 * ((m.d_x + m.d_y) ** 2 + m.d_x**2) * np.size(self._sizes(group))
                   for group, m in zip(self._groups, self._models, strict=True))
        return min(self._seeds, 2 ** max(0, int(_DRAWS_BYTES // each).bit_length() - 1))  # boxes cut it evenly

    def _sizes(self, group: Group):
        """The sample sizes in a group: those of an axis, or one."""
        return self._grid.values(group).get("n", self._n)

    def _constants(self, group, model, first_seed):
        """What a program reads besides the index of a cell: values along the axes, and draws."""
        constants = {"values": {name: jnp.asarray(v) for name, v in self._grid.values(group).items()},
                     "group": jnp.asarray(list(group.index.values()), int), "first_seed": jnp.asarray(first_seed)}
        if self.source == "sampled" and not self._common:
            constants["key"] = jax.random.key_data(self._key)
        elif self.source == "sampled":
            seeds = jnp.minimum(first_seed + jnp.arange(self._seeds_at_once), self._seeds - 1)
            constants["draws"] = _draws(self._key, seeds, jnp.atleast_1d(jnp.asarray(self._sizes(group))),
                                        model.d_x, model.d_x + model.d_y)
        return constants

    def _unit(self, group, model):
        """The function from index and constants to the results of one cell."""
        dims, axes, shapes = list(self._free(group)), self._grid.axes, group.shapes
        size = model.d_x + model.d_y

        def covariances(model, at, pairs, constants):
            if self.source == "population":
                return population_covariances(model)
            if self._common:
                which = at[axes["n"].dim] if "n" in axes and axes["n"].dim in at else 0
                return colour_whitened(*(table[which, at["seed"]] for table in constants["draws"]), model)
            key = jax.random.wrap_key_data(constants["key"], impl=jax.random.key_impl(self._key))
            place = [*constants["group"], *(at[dim] for dim in dims[:-1]), at["seed"] + constants["first_seed"]]
            for index in place:
                key = jax.random.fold_in(key, index)
            return colour_whitened(*_drawn(key, pairs, size, model.d_x), model)

        def unit(index, constants):
            at = dict(zip(dims, index, strict=True))
            point = {name: v[at[axes[name].dim]] if v.ndim else v for name, v in constants["values"].items()}
            model = self._model_at(point, shapes)
            pairs = point.get("n", self._n)
            if self.source == "theory":
                return {name: q.compute(model) if q.source == "theory" else q.compute(model, pairs)
                        for name, q in self.quantities.items()}
            cell = Cell(model, covariances(model, at, pairs, constants), point.get("lam", self._lam), pairs)
            return {name: quantity.compute(cell) for name, quantity in self.quantities.items()}

        return unit


def _shapes(group):
    return tuple(group.shapes.items())


def _drawn(key, n, d, d_x):
    """A Bartlett factor and the inverse of its upper left corner."""
    factor = bartlett_factor(key, n, d)
    corner = factor[:d_x, :d_x]
    return factor, whitening(corner @ corner.T)


@partial(jax.jit, static_argnums=(3, 4))
def _draws(key, seeds, sizes, d_x, d):
    """For all sample sizes and seeds. One at a time, so that each is the same however many there are."""
    return jax.lax.map(lambda n: jax.lax.map(lambda seed: _drawn(jax.random.fold_in(key, seed), n, d, d_x), seeds),
                       sizes)
