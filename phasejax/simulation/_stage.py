"""One stage of a sweep: all quantities that are computed from the same source, over the whole grid.

A sweep has up to three stages: closed forms of the models, solutions of their population covariances,
and solutions of sample covariances. The last has one dimension more, the seed. A stage turns its
quantities into a function of one cell, has it compiled once for each combination of shapes, and
writes the results chunk by chunk to memory or to a store.
"""

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from phasejax._core.devices import local_slots
from phasejax._core.linalg import whitening
from phasejax._core.validation import users_own
from phasejax.linear import Covariances, Whitened
from phasejax.simulation._executor import Budget, CompiledProgram, Program, Slots
from phasejax.simulation._grid import Grid, Group, chunk_origins, clipped_chunk_shape
from phasejax.simulation._population import population_covariances
from phasejax.simulation._quantities import Cell, Quantity
from phasejax.simulation._sampling import bartlett_factor, colour_whitened
from phasejax.simulation._store import Region, Results
from phasejax.theory import SpikedModel

Values = dict[str, np.ndarray]
Source = Literal["theory", "population", "sampled"]
# Draws that all cells share are made for as many seeds at a time as fit in this. It is a constant, so
# that how the seeds are divided does not depend on the machine.
_DRAWS_BYTES = 64e6


class Box(NamedTuple):
    """One chunk of a stage, with all that tells a worker which one it is.

    Args:
        key: name in the journals of stores.
        group: number of the group of the grid.
        first_seed: of the seeds that are drawn at once.
        origin: index of the first cell, in the group and from the first seed.
        lengths: of the dimensions of the group, with the seeds that are drawn at once.
        chunk_shape: of a whole chunk in these dimensions.
        region: where it lies in the arrays of results.
        cells: number of cells.
    """

    key: str
    group: int
    first_seed: int
    origin: tuple[int, ...]
    lengths: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    region: Region
    cells: int


class Stage:
    """The quantities of one source over a grid.

    Args:
        source: what the quantities are computed from.
        quantities: by name.
        grid: the cells.
        models: one model of each group of the grid, for its dimensions.
        model_at: from {parameter: value} and {shape parameter: value} to the cell's model.
        lam: weight of the joint objective, where it is not an axis.
        n: pairs in each sample, where it is not an axis.
        seeds: number of samples; 1 unless sampled.
        key: random key, where samples are drawn.
        common: whether all cells use the same draws.

    Attributes:
        reads_lam: whether any quantity read the weight of the joint objective.
    """

    def __init__(self, source: Source, quantities: Mapping[str, Quantity], grid: Grid, models: list[SpikedModel],
                 model_at: Callable[[Mapping[str, Any], Mapping[str, int]], SpikedModel], *, lam: Any, n: int | None,
                 seeds: int, key: Key[Array, ""] | None, common: bool):
        self.source, self.quantities, self._grid, self._models = source, dict(quantities), grid, models
        self._model_at, self._lam, self._n, self._seeds, self._key, self._common = model_at, lam, n, seeds, key, common
        self.dims = (*grid.dims, "seed") if source == "sampled" else tuple(grid.dims)
        self.shape = tuple(grid.dims.values()) + ((seeds,) if source == "sampled" else ())
        self.cells = math.prod(grid.dims.values()) * seeds
        self._key_impl = None if key is None else jax.random.key_impl(key)
        self._groups = list(grid.groups())
        self._seeds_at_once = self._count_seeds_at_once()
        self._compiled: dict[tuple, CompiledProgram] = {}
        self.reads_lam = False
        self._compiling, self._part, self._computed = threading.Lock(), None, 0  # of `compute`
        self._programs: dict[tuple, Program] = {}  # groups of the same shapes share one
        for group, model in zip(self._groups, models, strict=True):
            if _shapes(group) not in self._programs:
                with jax.enable_x64(True):
                    constants = jax.eval_shape(partial(self._constants, group, model, 0))
                self._programs[_shapes(group)] = Program.trace(
                    self._cell_function(group, model), tuple(self._varying(group).values()), constants,
                    closed_form=source == "theory")

    def __reduce__(self):
        """Stages travel as what they were made of, and trace their programs anew."""
        key = None if self._key is None else (np.asarray(jax.random.key_data(self._key)), str(self._key_impl))
        return _remade, (self.source, self.quantities, self._grid, self._models, self._model_at, self._lam, self._n,
                         self._seeds, key, self._common)

    def own_shape(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of one cell's result: the longest where shapes differ between groups."""
        found = [program.results[name] for program in self._programs.values()]
        return tuple(map(max, zip(*(r.shape for r in found), strict=True))), found[0].dtype

    def fingerprints(self) -> dict[str, str]:
        """By the name of each quantity, what tells its computation from any that may give other numbers."""
        of_programs = [program.fingerprints() for program in self._programs.values()]
        return {name: " ".join(dict.fromkeys(found[name] for found in of_programs)) for name in self.quantities}

    def chunk_shape(self, budget: Budget) -> tuple[int, ...]:
        """Cells along each of `dims` in a chunk that fits the budget in every group.

        Raises:
            ValueError: not even one block of cells fits.
        """
        least: dict[str, int] = {}
        for group in self._groups:
            *sides, seeds = self._programs[_shapes(group)].chunk_shape(budget)
            if seeds != self._seeds_at_once:  # a power of two divides the seeds that are drawn at once evenly
                seeds = 2 ** (seeds.bit_length() - 1)
            for dim, side in zip(self._varying(group), (*sides, seeds), strict=True):
                least[dim] = min(side, least.get(dim, side))
        return tuple(least.get(dim, 1) for dim in self.dims)

    def run(self, results: Results, budget: Budget, chunk_shape: tuple[int, ...],
            advance: Callable[[int], None]) -> None:
        """Compute what `results` does not hold yet, and write it there chunk by chunk.

        Args:
            results: where the results go.
            budget: memory and devices.
            chunk_shape: cells along each of `dims` in a chunk.
            advance: called with the number of cells of each finished chunk, with those that were
                finished earlier, and with 0 when a program has been compiled.
        """
        for _, of_part in itertools.groupby(self.boxes(chunk_shape), lambda box: (box.group, box.first_seed)):
            boxes = {box.origin: box for box in of_part}
            missing = {origin: box for origin, box in boxes.items() if not results.is_done(box.key)}
            if len(missing) < len(boxes):
                advance(sum(box.cells for origin, box in boxes.items() if origin not in missing))
            if not missing:
                continue
            any_box = next(iter(missing.values()))
            program, constants, is_new = self._program(any_box, budget.slots)
            if is_new:
                advance(0)
            for origin, values in program.compute_chunks(list(missing), any_box.lengths, constants):
                box = missing[origin]
                results.write(box.key, box.region, self._along_dims(box, values))
                advance(box.cells)

    def boxes(self, chunk_shape: tuple[int, ...]) -> Iterator[Box]:
        """The chunks of the stage, those of one group and of seeds that are drawn at once together.

        Args:
            chunk_shape: cells along each of `dims` in a chunk.
        """
        sides = dict(zip(self.dims, chunk_shape, strict=True)) | ({} if self.source == "sampled" else {"seed": 1})
        for number, group in enumerate(self._groups):
            varying = self._varying(group)
            inner = tuple(sides[dim] for dim in varying)
            for first_seed in range(0, self._seeds, self._seeds_at_once):
                seeds = min(self._seeds_at_once, self._seeds - first_seed)
                lengths = (*tuple(varying.values())[:-1], seeds)
                for origin in chunk_origins(lengths, inner):
                    clipped = clipped_chunk_shape(inner, lengths, origin)
                    # Stores keep these keys in their journals: another form would make old stores begin anew.
                    yield Box(f"{self.source} {number} {first_seed} {origin}", number, first_seed, origin, lengths,
                              inner, self._region(group, (*origin[:-1], origin[-1] + first_seed), clipped),
                              math.prod(clipped))

    def compute(self, box: Box) -> Values:
        """The results of one chunk over `dims`, computed in this thread; several may be computed at once."""
        with self._compiling:
            part = box.group, box.first_seed, box.chunk_shape
            if self._part is None or self._part[0] != part:
                program, constants, _ = self._program(box, tuple(dict.fromkeys(local_slots())))
                self._part = part, program, program.on_devices(constants)
            _, program, constants = self._part
            self._computed += 1
            device = list(constants)[self._computed % len(constants)]
        return self._along_dims(box, program.compute_chunk(box.origin, box.lengths, device, constants))

    def _program(self, box: Box, slots: Slots) -> tuple[CompiledProgram, Any, bool]:
        """The program of a chunk, its constants, and whether it has been compiled only now."""
        group, model = self._groups[box.group], self._models[box.group]
        with jax.enable_x64(True):
            constants = self._constants(group, model, box.first_seed)
        key = _shapes(group), box.chunk_shape, slots
        is_new = key not in self._compiled
        if is_new:
            self._compiled[key] = CompiledProgram(self._programs[_shapes(group)], box.chunk_shape, slots, constants)
        return self._compiled[key], constants, is_new

    def _along_dims(self, box: Box, values: Values) -> Values:
        """The results of a chunk with all of `dims`, those along which its group does not vary too."""
        shape = tuple(cut.stop - cut.start for cut in box.region)
        return {name: v.reshape(shape + v.shape[len(box.chunk_shape):]) for name, v in values.items()}

    def _region(self, group: Group, origin: tuple[int, ...], sides: tuple[int, ...]) -> Region:
        """Where in the arrays of results a chunk of a group lies."""
        cuts = {dim: slice(first, first + side)
                for dim, first, side in zip(self._varying(group), origin, sides, strict=True)}
        return tuple(cuts[dim] if dim in cuts else slice(group.index[dim], group.index[dim] + 1) for dim in self.dims)

    def count_boxes(self, chunk_shape: tuple[int, ...]) -> int:
        """How many chunks `boxes` gives, without making them."""
        sides = dict(zip(self.dims, chunk_shape, strict=True))
        found = 0
        for group in self._groups:
            *lengths, _ = self._varying(group).items()
            whole, rest = divmod(self._seeds, self._seeds_at_once)
            of_seeds = (whole * math.ceil(self._seeds_at_once / sides.get("seed", 1))
                        + math.ceil(rest / sides.get("seed", 1)))
            found += math.prod(math.ceil(length / sides[dim]) for dim, length in lengths) * of_seeds
        return found

    def _note_lam(self) -> None:
        """Remember that the weight of the joint objective was read while a program was traced."""
        self.reads_lam = True

    def _varying(self, group: Group) -> dict[str, int]:
        """The dimensions that vary inside a group, and their lengths; the last one is the seed."""
        varying = {dim: length for dim, length in self._grid.dims.items() if dim not in group.index}
        return varying | {"seed": self._seeds_at_once}

    def _count_seeds_at_once(self) -> int:
        """For how many seeds the draws are made at once: all, or a power of two, which chunks divide evenly."""
        if self.source != "sampled" or not self._common:
            return self._seeds
        bytes_per_seed = max(8 * ((m.d_x + m.d_y) ** 2 + m.d_x**2) * np.size(self._sample_sizes(group))
                             for group, m in zip(self._groups, self._models, strict=True))
        return min(self._seeds, 2 ** max(0, int(_DRAWS_BYTES // bytes_per_seed).bit_length() - 1))

    def _sample_sizes(self, group: Group) -> Any:
        """The numbers of pairs in a group: an array along the axis "n", or one number."""
        return self._grid.values(group).get("n", self._n)

    def _constants(self, group: Group, model: SpikedModel, first_seed: int) -> dict[str, Any]:
        """What a program reads besides the index of a cell: values along the axes, and draws."""
        constants: dict[str, Any] = {
            "values": {name: jnp.asarray(v) for name, v in self._grid.values(group).items()},
            "group": jnp.asarray(list(group.index.values()), int), "first_seed": jnp.asarray(first_seed)}
        if self.source == "sampled" and self._key is not None:
            if self._common:
                seeds = jnp.minimum(first_seed + jnp.arange(self._seeds_at_once), self._seeds - 1)
                sizes = jnp.atleast_1d(jnp.asarray(self._sample_sizes(group)))
                constants["draws"] = _draws(self._key, seeds, sizes, model.d_x, model.d_x + model.d_y)
            else:
                constants["key"] = jax.random.key_data(self._key)
        return constants

    def _cell_function(self, group: Group, model: SpikedModel) -> Callable[[Any, dict[str, Any]], dict[str, Array]]:
        """The function from index and constants to the results of one cell."""
        dims, axes, shapes = list(self._varying(group)), self._grid.axes, group.shapes
        size = model.d_x + model.d_y

        def covariances(model: SpikedModel, at: dict[str, Any], pairs: Any, constants: dict[str, Any]
                        ) -> Covariances | Whitened:
            if self.source == "population":
                return population_covariances(model)
            if self._common:
                which = at[axes["n"].dim] if "n" in axes and axes["n"].dim in at else 0
                factors, inverses = constants["draws"]
                return colour_whitened(factors[which, at["seed"]], inverses[which, at["seed"]], model)
            key = jax.random.wrap_key_data(constants["key"], impl=self._key_impl)
            position = [*constants["group"], *(at[dim] for dim in dims[:-1]), at["seed"] + constants["first_seed"]]
            for index in position:
                key = jax.random.fold_in(key, index)
            factor, inverse = _draw_factor(key, pairs, size, model.d_x)
            return colour_whitened(factor, inverse, model)

        def results(index: Any, constants: dict[str, Any]) -> dict[str, Array]:
            at = dict(zip(dims, index, strict=True))
            point = {name: v[at[axes[name].dim]] if v.ndim else v for name, v in constants["values"].items()}
            model = self._model_at(point, shapes)
            pairs = point.get("n", self._n)
            if self.source == "theory":
                return {name: _computed(name, q, model) if q.source == "theory" else _computed(name, q, model, pairs)
                        for name, q in self.quantities.items()}
            cell = Cell(model, covariances(model, at, pairs, constants), point.get("lam", self._lam), pairs,
                        self._note_lam)
            return {name: _computed(name, quantity, cell) for name, quantity in self.quantities.items()}

        return results


def _computed(name: str, quantity: Quantity, *of: Any) -> Array:
    """The value of a quantity; an error of the user's own function says which one it was."""
    with users_own("quantities", f"the function {name!r}"):
        value = quantity.compute(*of)
    if value is None:
        raise ValueError(f"quantities: expected a number or an array from the function {name!r}, got None")
    return value


def _remade(source, quantities, grid, models, model_at, lam, n, seeds, key, common) -> Stage:
    """A stage, from what `Stage.__reduce__` keeps of it."""
    return Stage(source, quantities, grid, models, model_at, lam=lam, n=n, seeds=seeds, common=common,
                 key=None if key is None else jax.random.wrap_key_data(jnp.asarray(key[0]), impl=key[1]))


def _shapes(group: Group) -> tuple[tuple[str, int], ...]:
    """The shape parameters of a group, as a key for the program that its cells share."""
    return tuple(group.shapes.items())


def _draw_factor(key: Key[Array, ""], n: Any, d: int, d_x: int) -> tuple[Array, Array]:
    """A Bartlett factor and the inverse of its upper left corner, from which a cell's covariances follow."""
    factor = bartlett_factor(key, n, d)
    corner = factor[:d_x, :d_x]
    return factor, whitening(corner @ corner.T)


@partial(jax.jit, static_argnums=(3, 4))
def _draws(key: Key[Array, ""], seeds: Array, sizes: Array, d_x: int, d: int) -> tuple[Array, Array]:
    """Factors and inverses of all sample sizes and seeds, shape (sizes, seeds, d, d) and (sizes, seeds, d_x, d_x).

    They are drawn one at a time, so that each is the same however many there are.
    """
    return jax.lax.map(lambda n: jax.lax.map(lambda seed: _draw_factor(jax.random.fold_in(key, seed), n, d, d_x),
                                             seeds), sizes)
