"""Trained heads as they are applied to new features, saved to a file and read back."""

import json
import zipfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from phasejax._core.atomic_files import written_whole
from phasejax._core.checked_call import checked
from phasejax._core.input_files import reading
from phasejax._core.serialise import restored, schema
from phasejax._core.validation import check_choice, check_count
from phasejax.deep._heads_confounders import HeadConfounders, check_same_confounders
from phasejax.deep._heads_networks import applied
from phasejax.deep._heads_programs import ENCODED, HeadSizes, PairProgram
from phasejax.deep._pilot_rows import standardised
from phasejax.io import match_rows
from phasejax.io._arrays import finite_view
from phasejax.io._confounder_coding import ConfounderCoding
from phasejax.io._confounders import confounders_of_rows, named_confounders

_SCHEMA = schema("phasejax.heads.networks", 1)
# Rows that are embedded at a time.
_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, eq=False)
class Heads:
    """Encoders that were trained on pairs, to embed new features of either view (`train_heads(...).heads`).

    Args:
        sizes: of their networks.
        units: for x and for y the centres of the columns and what they are multiplied by, from the training rows.
        networks: by objective, for each seed, all parameters and the running means of batch norm.
        confounders: known nuisance that is removed from features first; None where nothing is.
    """

    sizes: HeadSizes
    units: dict[str, tuple[np.ndarray, np.ndarray]]
    networks: dict[str, tuple[tuple[np.ndarray, Any], ...]]
    confounders: HeadConfounders | None = None

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives that were trained."""
        return tuple(self.networks)

    @checked
    def embed(self, objective: str, x: ArrayLike | None = None, y: ArrayLike | None = None, *,
              confounders: Any = None, seed: int = 0) -> Float[np.ndarray, "n c"]:
        """Outputs of an objective's encoders on new rows: k columns for each view that is given.

        Args:
            objective: one of `objectives`.
            x, y: features with the columns that were trained on, shapes (n, d_x) and (n, d_y). An objective of one
                encoder takes its view; of one with two, outputs stand side by side where both views are given.
            confounders: of these rows, where the heads were trained with some: one column or several, or a dictionary
                of them, with the same names.
            seed: which of the trainings, counted from 0.

        Raises:
            ValueError: an unknown objective, other confounders, a view without an encoder, features of another width,
                no finite numbers.
        """
        check_choice("objective", objective, self.objectives)
        check_count("seed", seed, 0, len(self.networks[objective]) - 1)
        found = []
        for view, rows in (("x", x), ("y", y)):
            if rows is None:
                continue
            if view not in ENCODED.get(objective, "xy"):
                raise ValueError(f"{view}: expected none with {objective}, which has no encoder of {view}")
            rows = finite_view(view, rows)
            self.check_columns(view, rows)
            left = self._without_confounders(view, rows, confounders)
            found.append(outputs(self.sizes.program(objective), *self.networks[objective][seed], view,
                                 standardised(left, *self.units[view])))
        if not found:
            raise ValueError(f"x, y: expected rows of at least one view to embed with {objective}, got none")
        if len({len(one) for one in found}) > 1:
            raise ValueError(f"y: expected {len(found[0])} rows as in x, got {len(found[1])}")
        return np.concatenate(found, 1)

    def _without_confounders(self, view, rows, given):
        known = [] if given is None else named_confounders(given)
        columns = {}
        if known:
            _, columns = confounders_of_rows(known, match_rows(rows, rows, by_position=True), by_position=True)
        check_same_confounders(columns, self)
        return rows if self.confounders is None else self.confounders.removed(view, rows, columns)

    def check_columns(self, view: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Refuse features of another width than the view "x" or "y" had."""
        if rows.shape[1] != (columns := len(self.units[view][0])):
            raise ValueError(f"{view}: expected {columns} columns, as these heads were trained on, got {rows.shape[1]}")

    @checked
    def save(self, path: str | Path) -> None:
        """Write the heads to a file that ends in .npz, from which `load_heads` makes them again."""
        if Path(path).suffix != ".npz":
            raise ValueError(f"path: expected a file ending in .npz, got {path}")
        arrays = {f"{view} {what}": array for view, pair in self.units.items()
                  for what, array in zip(("centre", "scale"), pair, strict=True)}
        for objective, seeds in self.networks.items():
            for seed, network in enumerate(seeds):
                arrays |= {f"{objective} {seed} {i}": leaf for i, leaf in enumerate(jax.tree.leaves(network))}
        if self.confounders is not None:
            arrays |= {f"{view} confounders {name}": array for view, slopes in self.confounders.views.items()
                       for name, array in vars(slopes).items()}
        about = _SCHEMA | {"confounders": None if self.confounders is None else asdict(self.confounders.coding),
                           "sizes": asdict(self.sizes),
                           "seeds": {objective: len(seeds) for objective, seeds in self.networks.items()}}
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)


@checked
def load_heads(path: str | Path) -> Heads:
    """The heads that `Heads.save` wrote.

    Args:
        path: the file.

    Raises:
        ValueError: a file that holds no heads, or not all of them, in one line.
    """
    try:
        with reading(str(path), "a file of heads"), Path(path).open("rb") as opened, \
                np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        if about.get("schema") != _SCHEMA["schema"]:
            raise ValueError(f"{path}: expected heads of version 1, got another file")
        sizes = restored(HeadSizes, about["sizes"], "sizes")
        networks = {objective: _networks(sizes.program(objective), objective, count, arrays)
                    for objective, count in about["seeds"].items()}
        units = {view: tuple(_as(arrays[f"{view} {what}"], (columns,)) for what in ("centre", "scale"))
                 for view, columns in (("x", sizes.d_x), ("y", sizes.d_y))}
        confounders = None if about.get("confounders") is None else HeadConfounders.loaded(
            restored(ConfounderCoding, about["confounders"], "confounders"), arrays,
            {view: len(centre) for view, (centre, _) in units.items()})
    except (KeyError, AttributeError, TypeError, zipfile.BadZipFile, json.JSONDecodeError):
        raise ValueError(f"{path}: expected heads that Heads.save wrote, got another file") from None
    return Heads(sizes, units, networks, confounders)


def _networks(program, objective, count, arrays):
    """Parameters and running means of each seed, with the shapes that the program has."""
    shapes = jax.eval_shape(lambda: (_flat(program), program.new(jax.random.key(0))[1]))
    leaves, structure = jax.tree.flatten(shapes)
    return tuple(jax.tree.unflatten(structure, [_as(arrays[f"{objective} {seed} {i}"], leaf.shape)
                                                for i, leaf in enumerate(leaves)]) for seed in range(count))


def _as(array, shape):
    if array.shape != tuple(shape):
        raise TypeError
    return array


def _flat(program):
    from jax.flatten_util import ravel_pytree

    return ravel_pytree(program.new(jax.random.key(0))[0])[0]


@lru_cache(maxsize=32)
def _compiled(norm):
    return jax.jit(lambda layers, means, rows: applied(layers, means, rows, norm)[0])


def outputs(program: PairProgram, flat: np.ndarray, means: Any, view: str, rows: Float[np.ndarray, "n d"]
            ) -> Float[np.ndarray, "n k"]:
    """Outputs of the encoder of a view on standardised rows, a block of rows at a time."""
    size = min(_ROWS_AT_A_TIME, 1 << max(len(rows) - 1, 1).bit_length())
    embed = _compiled(program.sizes.norm)
    layers, means = program.encoder(flat, view), means[f"encoder_{view}"]
    blocks = []
    for start in range(0, len(rows), size):
        block = rows[start:start + size]
        filled = np.concatenate([block, np.zeros((size - len(block), rows.shape[1]), rows.dtype)])
        blocks.append(np.asarray(embed(layers, means, filled))[:len(block)])
    return np.concatenate(blocks)
