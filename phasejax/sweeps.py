"""Evaluate quantities of the spiked model over a grid of its parameters, times seeds."""

import contextlib
import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, Key

from phasejax._pytree import check_count
from phasejax._version import __version__
from phasejax.batching import map_cells, run_in_chunks
from phasejax.covariance import population_covariances
from phasejax.model import SpikedModel
from phasejax.quantities import QUANTITIES, Cell, Quantity
from phasejax.regimes import Regime
from phasejax.sampling import colour, sample_covariances, white_wishart

# Names that belong to the solvers, not to the model.
_SOLVER_PARAMETERS = ("lam",)

_PARAMETERS = {  # long name and units
    "kappa": ("signal strength", "data units"),
    "kappa_bar": ("leading signal strength", "data units"),
    "decay": ("decay of the signal strengths", "1"),
    "nu": ("nuisance correlation", "1"),
    "gamma_x": ("noise variance of x on the signal", "data units squared"),
    "gamma_y": ("noise variance of y on the signal", "data units squared"),
    "nuisance_x": ("nuisance variance of x", "data units squared"),
    "nuisance_y": ("nuisance variance of y", "data units squared"),
    "lam": ("weight of alignment in the joint objective", "data units squared"),
}


def sweep(build: SpikedModel | Callable[..., SpikedModel], axes: Mapping[str, Sequence[float] | np.ndarray], *,
          quantities: Sequence[str] | Mapping[str, Quantity], fixed: Mapping[str, object] | None = None,
          n: int | None = None, seeds: int = 1, key: Key[Array, ""] | None = None,
          common_random_numbers: bool = True, progress: bool | Callable[[int], None] = False) -> xr.Dataset:
    """Evaluate `quantities` at every point of the grid spanned by `axes`, in one compiled program.

    Computed in float64 on the default device. Quantities of covariances are evaluated on the
    population's when `n` is left out, else on `seeds` sample covariances of n pairs, drawn
    exactly without drawing the pairs. Each seed then uses the same white random matrix
    everywhere on the grid, so that curves are smooth; `common_random_numbers=False` draws every
    cell on its own.

    Args:
        build: makes the model of a cell from keyword arguments (a constructor of `SpikedModel`
            or any traceable function), or a model whose fields the axes replace.
        axes: name to values, shape (length,) each; the names are arguments of `build`, or "lam",
            the weight of the joint objective. The grid is their product.
        quantities: names from `QUANTITIES`, or a mapping of names to `Quantity` objects.
        fixed: the other arguments of `build`, the same in all cells (or "lam").
        n: pairs in each sample, >= max(d_x, d_y): fewer leave nothing to whiten.
        seeds: number of independent samples, >= 1.
        key: random key; needed when samples are drawn.
        common_random_numbers: use the same draws in every cell.
        progress: show a progress bar on standard error; or a function that is called with 0 once
            the program is compiled and then with the number of cells that each chunk finished.

    Returns:
        A dataset with one variable per quantity, over the axes, "seed" where it was sampled, and
        the quantity's own dimensions. Variables and coordinates carry `long_name` and `units`;
        the attributes hold what is needed to run it again. All of it survives netCDF.

    Raises:
        ValueError: an unknown quantity or parameter, an empty axis, a value out of range, n too
            small, seeds < 1, or a missing key; before anything is compiled.

    >>> import jax
    >>> grid = sweep(SpikedModel.homogeneous, {"kappa": [1.0, 2.0], "nu": [0.3, 0.6, 0.9]},
    ...              fixed=dict(k=2, d=6, nuisance_y=4.0), quantities=["delta_ca", "error_ca"],
    ...              n=200, seeds=5, key=jax.random.key(0))
    >>> dict(grid.sizes)
    {'kappa': 2, 'nu': 3, 'seed': 5}
    """
    fixed = dict(fixed or {})
    axes = {name: _axis(name, values) for name, values in axes.items()}
    if not axes:
        raise ValueError("axes: expected at least one, got none")
    chosen = _choose(quantities)
    theory = {name: q for name, q in chosen.items() if q.source == "theory"}
    sampled = {name: q for name, q in chosen.items() if q.source != "theory"}
    _check_sampling(n, seeds, key, bool(sampled))
    _check_arguments(build, {*axes, *fixed})
    example = _model_at(build, fixed, {name: values[0] for name, values in axes.items()})
    least = max(example.d_x, example.d_y)
    if sampled and n is not None and n < least:
        raise ValueError(f"n: expected at least max(d_x, d_y) = {least} pairs to whiten a sample, got {n}")

    shape = tuple(len(values) for values in axes.values())
    cells = dict(zip(axes, (grid.ravel() for grid in np.meshgrid(*axes.values(), indexing="ij")), strict=True))
    cells["_index"] = np.arange(np.prod(shape), dtype=np.int32)
    draws = _draws(key, n, seeds, example, common_random_numbers) if sampled and n else None
    with _progress_bar(progress, len(cells["_index"])) as on_chunk:
        flat = run_in_chunks(_program(build, fixed, theory, sampled, n, common_random_numbers), cells, draws,
                             on_chunk=on_chunk)

    attrs = _attrs(build, fixed, axes, example)
    if draws is not None:
        attrs |= {"n": n, "seeds": seeds, "common_random_numbers": int(common_random_numbers),
                  "key": json.dumps(np.asarray(jax.random.key_data(key)).tolist()),
                  "key_impl": str(jax.random.key_impl(key))}
    variables, coords = {}, {name: (name, values, _axis_attrs(name)) for name, values in axes.items()}
    for name, quantity in chosen.items():
        values = flat[name].reshape(shape + flat[name].shape[1:])
        dims = (*axes, "seed") if name in sampled and draws is not None else tuple(axes)
        own = quantity.dims or tuple(f"{name}_{i}" for i in range(values.ndim - len(dims)))
        variables[name] = ((*dims, *own), values, _variable_attrs(name, quantity))
        if "seed" in dims:
            coords["seed"] = ("seed", np.arange(seeds, dtype=np.int32), {"long_name": "seed", "units": "1"})
    return xr.Dataset(variables, coords, attrs)


def _program(build, fixed, theory, sampled, n, common):
    """The function of (chunk of cells, draws) that a sweep compiles."""
    def draw_covariances(draw, index, model):
        if common:
            return colour(draw, model)  # the draw is a white Wishart matrix
        return sample_covariances(jax.random.fold_in(draw, index), model, n)  # the draw is a key

    def solve_cell(point, index, draws):
        model, lam = _model_at(build, fixed, point), point.get("lam", fixed.get("lam"))

        def solve(covariances):
            cell = Cell(model, covariances, lam)
            return {name: quantity.compute(cell) for name, quantity in sampled.items()}

        if draws is None:
            return solve(population_covariances(model))
        return map_cells(lambda draw: solve(draw_covariances(draw, index, model)), draws)

    def program(chunk, draws):
        points = {name: values for name, values in chunk.items() if name != "_index"}
        models = jax.vmap(lambda point: _model_at(build, fixed, point))(points)
        found = {name: jax.vmap(quantity.compute)(models) for name, quantity in theory.items()}
        if sampled:
            found |= map_cells(lambda cell: solve_cell(*cell, draws), (points, chunk["_index"]))
        return found

    return program


def _choose(quantities):
    if isinstance(quantities, str):
        quantities = [quantities]
    if not isinstance(quantities, Mapping):
        unknown = [name for name in quantities if name not in QUANTITIES]
        if unknown:
            raise ValueError(f"quantities: expected names among {', '.join(QUANTITIES)}, got {unknown[0]!r}")
        quantities = {name: QUANTITIES[name] for name in quantities}
    if not quantities:
        raise ValueError("quantities: expected at least one, got none")
    return dict(quantities)


def _axis(name, values):
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name}: expected an axis of at least one value, got shape {values.shape}")
    top = 1.0 if name == "nu" else np.inf
    bad = ~((values >= 0) & (values <= top) & (values < np.inf))
    if name in _PARAMETERS and bad.any():
        expected = "values in [0, 1]" if name == "nu" else "finite values >= 0"
        raise ValueError(f"{name}: expected {expected}, got {values[bad][0]:g}")
    return values


def _check_sampling(n, seeds, key, sampled):
    if n is not None:
        check_count("n", n)
    check_count("seeds", seeds)
    if n is None and seeds != 1:
        raise ValueError(f"seeds: expected 1 because n is not given, got {seeds}")
    if n is not None and sampled and key is None:
        raise ValueError("key: expected a random key because n is given, got None")


def _check_arguments(build, names):
    if isinstance(build, SpikedModel):
        return  # `SpikedModel.replace` says it better
    try:
        inspect.signature(build).bind(**dict.fromkeys(names - set(_SOLVER_PARAMETERS)))
    except TypeError as error:
        raise ValueError(f"axes and fixed: expected the arguments of {_name(build)}, got {error}") from None


def _model_at(build, fixed, point):
    arguments = {name: value for name, value in (fixed | point).items() if name not in _SOLVER_PARAMETERS}
    return build.replace(**arguments) if isinstance(build, SpikedModel) else build(**arguments)


def _draws(key, n, seeds, model, common):
    with jax.enable_x64(True):
        keys = jax.vmap(lambda seed: jax.random.fold_in(key, seed))(np.arange(seeds))
        if not common:
            return keys
        return jax.jit(jax.vmap(lambda k: white_wishart(k, n, model.d_x + model.d_y)))(keys)


@contextlib.contextmanager
def _progress_bar(shown, total):
    if not isinstance(shown, bool):
        yield shown
        return
    if not shown:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("cells", total=total)
        yield lambda done: bar.advance(task, done)


def _name(build):
    return getattr(build, "__qualname__", repr(build))


def _axis_attrs(name):
    long_name, units = _PARAMETERS.get(name, (name, "1"))
    return {"long_name": long_name, "units": units}


def _variable_attrs(name, quantity):
    attrs = {"long_name": quantity.long_name, "units": quantity.units}
    if name == "regime":
        attrs |= {"flag_values": np.arange(4, dtype=np.int32), "flag_meanings": "|".join(r.value for r in Regime)}
    return attrs


def _attrs(build, fixed, axes, model):
    if isinstance(build, SpikedModel):
        fixed = {field.name: getattr(build, field.name) for field in dataclasses.fields(build)} | fixed
    plain = {name: np.asarray(value).tolist() for name, value in fixed.items() if name not in axes}
    return {"model": "SpikedModel" if isinstance(build, SpikedModel) else _name(build),
            "parameters": json.dumps(plain), "k": model.k, "d_x": model.d_x, "d_y": model.d_y,
            "precision": "float64", "phasejax_version": __version__, "jax_version": jax.__version__}
