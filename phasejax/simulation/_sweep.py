"""Evaluate quantities of the spiked model over a grid of its parameters, times seeds: the public door `sweep`.

The arguments are checked here, once and before anything is compiled. Then the quantities are sorted
by what they are computed from, one stage for each source, and the stages run one after the other.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
import xarray as xr
from jaxtyping import Array, Key

from phasejax._core.checked_call import checked
from phasejax._core.executors import opened_executor
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.terminal import listed
from phasejax._core.validation import KeyLike, check_count, check_key, did_you_mean, shown
from phasejax._version import __version__
from phasejax.simulation._executor import Budget
from phasejax.simulation._grid import PARAMETERS, Grid
from phasejax.simulation._quantities import QUANTITIES, Quantity
from phasejax.simulation._shared_out import check_can_be_sent, share_out
from phasejax.simulation._size import check_chunks, check_room
from phasejax.simulation._stage import Source, Stage
from phasejax.simulation._store import COMPUTED_ON, DatasetTemplate, Memory, Variable
from phasejax.simulation._store_identity import OF_FUNCTION
from phasejax.simulation._sweep_models import (
    ModelOrBuilder,
    check_arguments,
    check_fixed,
    checked_models,
    model_of_cell,
    name_of,
)
from phasejax.simulation._zarr_store import ZarrStore
from phasejax.theory import Regime, SpikedModel

_LEAST_BYTES = 1  # of one result
_MOST_SEEDS = 10**7


@checked
def sweep(build: ModelOrBuilder, axes: Mapping[str, Any], *,
          quantities: str | Sequence[str] | Mapping[str, Quantity | Callable[..., Array]],
          fixed: Mapping[str, Any] | None = None, n: int | None = None, seeds: int = 1,
          key: KeyLike | None = None, common_random_numbers: bool = True, memory: str | float | None = None,
          store: str | Path | None = None, executor: Executor | str | None = None,
          progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Evaluate `quantities` at every point of the grid spanned by `axes`, on all devices.

    Everything is computed in float64. Quantities of covariances are evaluated on the population
    covariances when `n` is left out, else on `seeds` sample covariances of n pairs, whose exact
    distribution is drawn without drawing the pairs. Each seed then uses the same white noise everywhere
    on the grid, so that curves are smooth; `common_random_numbers=False` draws every cell on its own.

    The grid is computed in chunks of cells that fit in memory. On one platform no digit of the
    results depends on the chunks, their order or the number of devices. After
    `jax.distributed.initialize` the devices of all processes take part and every process gets
    the whole result.

    Args:
        build: makes the model of a cell from keyword arguments (a constructor of `SpikedModel`
            or any traceable function), or a model whose fields the axes replace.
        axes: name to values, shape (length,) each; the names are arguments of `build`, "n", or
            "lam", the weight of the joint objective. The grid is their product, except that
            axes given as (dimension, values) with the same dimension vary together. Axes "k", "d"
            and "d_y" change the shapes of arrays: each of their combinations is a program of its own.
        quantities: names from `simulation.QUANTITIES` and `simulation.TRAINED`, where
            "population_NAME" is NAME on the population covariances whatever n is; or a mapping of
            names to `Quantity` objects or to functions of (model, covariances).
        fixed: the other arguments of `build`, the same in all cells (or "lam").
        n: pairs in each sample, >= max(d_x, d_y), since covariances of fewer pairs cannot be
            whitened. Below d_x + d_y some sample canonical correlations are exactly 1, and a warning
            says so. Refused where no quantity depends on it.
        seeds: number of independent samples, 1 to 10^7; 1 where nothing is sampled.
        key: random key or a seed; needed when samples are drawn, and without effect elsewhere.
        common_random_numbers: use the same draws in every cell.
        memory: what the chunks in work may take, "2GB", a number of bytes, or a fraction of the
            device's memory; a quarter of it when left out. The results come on top, except in a store.
        store: folder of a Zarr store, to which each chunk is written when it is done, with its checksum. If it
            holds a part of the same sweep (parameters, functions, versions of JAX and phasejax, kind of device),
            only the rest is computed, and again what is damaged, with a note. `open_sweep` opens it later.
        executor: who computes: any `concurrent.futures.Executor`, such as Dask's `client.get_executor()`; or a text,
            "processes:4" for processes on this machine, "dask" for a Dask cluster on it, "dask:ADDRESS" for a
            scheduler, "MODULE:FUNCTION" for a function that returns an executor. The workers write to the store
            themselves, which must be at the same path for all. What a lost worker computed is given to another.
            Workers whose digits would differ are refused. `memory` is then for each chunk at a worker, 1 GB when left
            out, and "sweep" in `progress` is first called at once.
        progress: True for a progress bar on a terminal; or a function of ("sweep", done, total),
            called when a program has been compiled, first with 0 cells done, and after every chunk.

    Returns:
        A dataset with one variable per quantity, over the dimensions, "seed" where it was sampled,
        and the quantity's own dimensions (NaN beyond a shorter spectrum, where axes change
        shapes). Variables and coordinates carry `long_name` and `units`; the attributes hold what
        is needed to run it again, and `computed_on`, the versions, device, cores and flags of the process
        that began it. All of it survives netCDF. With `store` it is read from there when used.

    Raises:
        ValueError: an unknown quantity or parameter, an empty axis, a value out of range, n too
            small, seeds < 1, a missing key, n, seeds or lam that no quantity depends on, too little memory, results
            that fit neither into memory nor on the disk of the store, a store of another sweep (what differs is named)
            or one that another run is writing to, or functions that cannot
            be sent to workers; before anything is compiled. Workers that are unlike, when they first answer.
        ConnectionError: no workers any more; what is in the store is kept, and the same call goes on with it.
        OSError: a store that cannot be written.

    >>> import jax
    >>> grid = sweep(SpikedModel.homogeneous, {"kappa": [1.0, 2.0], "nu": [0.3, 0.6, 0.9]},
    ...              fixed=dict(k=2, d=6, nuisance_y=4.0), quantities=["delta_ca", "error_ca"],
    ...              n=200, seeds=5, key=jax.random.key(0))
    >>> dict(grid.sizes)
    {'kappa': 2, 'nu': 3, 'seed': 5}
    """
    constant: dict[str, Any] = dict(fixed or {})
    grid = Grid.from_axes(axes)
    check_fixed(constant, grid)
    n, seeds = n if n is None else check_count("n", n), check_count("seeds", seeds, most=_MOST_SEEDS)
    key = key if key is None else check_key("key", key)
    sampled = n is not None or "n" in grid.axes
    by_source = _sorted_by_source(quantities, sampled)
    of_n = any(quantity.source == "finite-sample theory" for chosen in by_source.values()
               for quantity in chosen.values())
    sampled = "sampled" in by_source
    _check_sampling(n, seeds, key, sampled, "n" in grid.axes)
    _check_effects(by_source, n, seeds, common_random_numbers, of_n, "n" in grid.axes)
    cells = math.prod(grid.dims.values())
    results = sum(cells * (seeds if source == "sampled" else 1) * len(chosen) for source, chosen in by_source.items())
    check_room(0, _LEAST_BYTES * results, store)
    check_arguments(build, {*grid.axes, *constant})
    if executor is not None and jax.process_count() > 1:
        raise ValueError("executor: expected none, since this program runs in several processes that share the sweep")
    budget = Budget.from_memory(memory, shared_out=executor is not None)
    models = checked_models(build, constant, grid, n if sampled else None, sampled)

    model_at = partial(model_of_cell, build, constant)
    stages = [Stage(source, chosen, grid, models, model_at, lam=constant.get("lam"), n=n,
                    seeds=seeds if source == "sampled" else 1, key=key, common=common_random_numbers)
              for source, chosen in by_source.items()]
    if ("lam" in constant or "lam" in grid.axes) and not any(stage.reads_lam for stage in stages):
        raise ValueError("lam: expected quantities of the joint objective with it, such as error_joint, got only "
                         "others, which do not depend on it")
    chunk_shapes = [stage.chunk_shape(budget) for stage in stages]
    for stage, chunk_shape in zip(stages, chunk_shapes, strict=True):
        check_chunks(stage.count_boxes(chunk_shape), stage.cells)
    attrs = _attrs(build, {name: v for name, v in constant.items() if name not in grid.axes}, models)
    if sampled and key is not None:
        attrs |= {"seeds": seeds, "common_random_numbers": int(common_random_numbers),
                  "key": json.dumps(np.asarray(jax.random.key_data(key)).tolist()),
                  "key_impl": str(jax.random.key_impl(key))}
    if n is not None and (sampled or of_n):
        attrs["n"] = n
    names = [quantities] if isinstance(quantities, str) else list(quantities)
    template = _template(names, stages, chunk_shapes, grid, attrs, seeds if sampled else None)
    check_room(*template.bytes_of_results(), store)
    if store is not None:
        template.origin |= _origin(stages)
    with contextlib.ExitStack() as stack:
        workers = None
        if executor is not None:
            workers = stack.enter_context(opened_executor(executor))
            check_can_be_sent(stages)
        results = Memory(template) if store is None else _open_store(store, template)
        stack.enter_context(contextlib.closing(results))
        report = stack.enter_context(reporting(progress))
        done, total = 0, sum(stage.cells for stage in stages)

        def advance(cells: int) -> None:
            nonlocal done
            done += cells
            report("sweep", done, total)

        if workers is not None:
            share_out(workers, stages, results, advance)
        else:
            for stage in stages:
                # A store may have been made with another memory budget, and keeps its chunks.
                stage.run(results, budget, results.chunk_shape(next(iter(stage.quantities))), advance)
        if store is not None:
            _synchronise("sweep finished")
        return results.finish()


def _sorted_by_source(quantities: str | Sequence[str] | Mapping[str, Quantity | Callable[..., Array]],
                      sampled: bool) -> dict[Source, dict[str, Quantity]]:
    """The quantities by what they are computed from, then by name."""
    if isinstance(quantities, str):
        quantities = [quantities]
    if not isinstance(quantities, Mapping | Sequence) or isinstance(quantities, bytes):
        raise ValueError("quantities: expected names, or a mapping of names to functions, got "
                         f"{shown(quantities)}")
    if not isinstance(quantities, Mapping):
        quantities = {name: _quantity_named(name) for name in quantities}
    if not quantities:
        raise ValueError("quantities: expected at least one, got none")
    found: dict[Source, dict[str, Quantity]] = {"theory": {}, "population": {}, "sampled": {}}
    for name, quantity in quantities.items():
        if not isinstance(name, str):
            raise ValueError(f"quantities: expected names that are text, got {shown(name)}")
        if not isinstance(quantity, Quantity):
            if not callable(quantity):
                raise ValueError(f"quantities: expected a Quantity or a function for {name!r}, got {shown(quantity)}")
            quantity = Quantity.from_function(quantity, name)
        if quantity.source == "finite-sample theory" and not sampled:
            raise ValueError(f"n: expected a number of pairs because {name} depends on it, got None")
        from_samples = quantity.source == "covariances" and sampled
        source = "sampled" if from_samples else "theory" if quantity.source.endswith("theory") else "population"
        found[source][name] = quantity
    return {source: chosen for source, chosen in found.items() if chosen}


def _quantity_named(name: str) -> Quantity:
    """A quantity of `QUANTITIES` or `TRAINED`; after "population_", its counterpart on population covariances."""
    known = QUANTITIES
    base = name.removeprefix("population_")
    if base not in known:
        # Imported only here, since it imports the optimiser.
        from phasejax.simulation._trained_quantities import TRAINED
        known = known | TRAINED
    if base not in known or (base != name and known[base].source != "covariances"):
        named = [*known, *(f"population_{one}" for one in known if known[one].source == "covariances")]
        raise ValueError(f"quantities: expected names among {listed(known)}, got {name!r}"
                         f"{did_you_mean(name, named)}")
    if base == name:
        return known[name]
    return dataclasses.replace(known[base], source="population",
                               long_name=f"{known[base].long_name}, of the population")


def _check_sampling(n: int | None, seeds: int, key: Key[Array, ""] | None, sampled: bool, n_is_axis: bool) -> None:
    if n is not None and n_is_axis:
        raise ValueError(f"n: expected a number or an axis, got both ({n} and an axis)")
    if n is None and not n_is_axis and seeds != 1:
        raise ValueError(f"seeds: expected 1 because n is not given, got {seeds}")
    if sampled and key is None:
        raise ValueError("key: expected a random key because n is given, got None")


def _check_effects(by_source: Mapping[Source, Mapping[str, Quantity]], n: int | None, seeds: int,
                   common_random_numbers: bool, of_n: bool, n_is_axis: bool) -> None:
    """Refuse arguments that would have no effect on these quantities."""
    if "sampled" in by_source:
        return
    names = [name for chosen in by_source.values() for name in chosen]
    if (n is not None or n_is_axis) and not of_n:
        finite = next((name for name in QUANTITIES if name not in names and name.removeprefix("finite_") in names), "")
        meant = f" (did you mean {finite!r}?)" if finite else ""
        raise ValueError(f"n: expected quantities that depend on it, got only {', '.join(names)}{meant}")
    if seeds != 1:
        raise ValueError(f"seeds: expected 1, since nothing is computed from samples, got {seeds}")
    if not common_random_numbers:
        raise ValueError("common_random_numbers: expected True, since nothing is computed from samples, got False")


def _open_store(store: str | Path, template: DatasetTemplate) -> ZarrStore:
    """The store, created by the first process and read by all."""
    first = jax.process_index() == 0
    if not first:
        _synchronise("store made")
    results = ZarrStore(store, template, writes=first)
    results.resume()
    if first:
        _synchronise("store made")
    _synchronise("store read")  # no process writes before all have read what is there
    return results


def _origin(stages: Sequence[Stage]) -> dict[str, str]:
    """What decides the numbers of a sweep besides its attributes: the compiler, the kind of device, functions."""
    here = computed_on()
    # Flags that say how many devices there are or what is written for debugging change no number.
    flags = [flag for flag in here.get("XLA_FLAGS", "").split()
             if not flag.startswith(("--xla_force_host_platform_device_count", "--xla_dump"))]
    functions = {OF_FUNCTION + name: found for stage in stages for name, found in stage.fingerprints().items()}
    return {"jaxlib": jaxlib.version.__version__, "platform": here["platform"],
            "XLA_FLAGS": " ".join(sorted(flags)) or "none"} | functions


def _synchronise(point: str) -> None:
    """Wait until every process has come to the same point."""
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import sync_global_devices
        sync_global_devices(point)


def _template(names: Iterable[str], stages: Sequence[Stage], chunk_shapes: Sequence[tuple[int, ...]], grid: Grid,
              attrs: dict[str, Any], seeds: int | None) -> DatasetTemplate:
    """The dataset without its results, with the variables in the order in which they were asked for."""
    variables = {}
    for stage, chunk_shape in zip(stages, chunk_shapes, strict=True):
        for name, quantity in stage.quantities.items():
            own, dtype = stage.own_shape(name)
            dims = stage.dims + (quantity.dims or tuple(f"{name}_{i}" for i in range(len(own))))
            variables[name] = Variable(dims, stage.shape + own, dtype, _variable_attrs(name, quantity), chunk_shape)
    coords = {name: (axis.dim, axis.values, _axis_attrs(name)) for name, axis in grid.axes.items()}
    if seeds is not None:
        coords["seed"] = ("seed", np.arange(seeds, dtype=np.int32), {"long_name": "seed", "units": "1"})
    return DatasetTemplate({name: variables[name] for name in names}, coords, attrs)


def _axis_attrs(name: str) -> dict[str, Any]:
    long_name, units = PARAMETERS.get(name, (name, "1"))
    return {"long_name": long_name, "units": units}


def _variable_attrs(name: str, quantity: Quantity) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": quantity.long_name, "units": quantity.units}
    if name.endswith("regime"):
        attrs |= {"flag_values": np.arange(4, dtype=np.int32), "flag_meanings": "|".join(r.value for r in Regime)}
    return attrs


def _attrs(build: ModelOrBuilder, fixed: Mapping[str, Any], models: Iterable[SpikedModel]) -> dict[str, Any]:
    """The attributes of the dataset that say how to run the sweep again."""
    if isinstance(build, SpikedModel):
        fixed = {**{field.name: getattr(build, field.name) for field in dataclasses.fields(build)}, **fixed}
    shapes = {name: {getattr(model, name) for model in models} for name in ("k", "d_x", "d_y")}
    return {"model": "SpikedModel" if isinstance(build, SpikedModel) else name_of(build),
            "parameters": json.dumps({name: np.asarray(value).tolist() for name, value in fixed.items()}),
            **{name: values.pop() for name, values in shapes.items() if len(values) == 1},
            "precision": "float64", "phasejax_version": __version__, "jax_version": jax.__version__,
            COMPUTED_ON: json.dumps(computed_on())}
