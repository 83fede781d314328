"""The command `phasejax sweep`: quantities of the spiked model over a grid of its parameters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from phasejax._core.atomic_files import check_writable_path
from phasejax._core.terminal import one_line
from phasejax.cli._files import check_ending
from phasejax.cli._sweep_output import ENDINGS, check_folder, listed_quantities, write_dataset

_TIMEOUT = 60
_LONGEST = 10**7  # values along an axis, as in `sweep`; more are not even listed
# Inside the class, `list` is an option.
Names = list[str]


@dataclass(frozen=True)
class Sweep:
    """Evaluate quantities of the spiked model over a grid of its parameters, times seeds.

    Example: phasejax sweep --model homogeneous --axes kappa=0:3:31 nu=0:1:31 --fixed k=3 d=20
    nuisance_y=5 --n 5000 --seeds 10 --quantities regime error_ca error_cp --store run.zarr

    Killed and started again with the same --store it goes on where it stopped.
    """

    axes: Annotated[Names | None, tyro.conf.arg(metavar="AXIS [AXIS ...]")] = None
    """What varies: NAME=FIRST:LAST:COUNT (evenly spaced) or NAME=VALUE,VALUE,... each. Names are
    arguments of the model, n, or lam."""
    quantities: Annotated[Names | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """What to compute; --list says what there is."""
    list: bool = False
    """Print all quantities with what they are and their units, and the names of axes; compute nothing."""
    model: Literal["homogeneous", "geometric"] = "homogeneous"
    """Spiked model: signals of one strength, or of geometrically decreasing strengths."""
    fixed: Annotated[Names, tyro.conf.arg(metavar="NAME=VALUE [...]")] = field(default_factory=Names)
    """Arguments of the model that do not vary, or lam: NAME=VALUE each."""
    n: int | None = None
    """Pairs in each sample; without it quantities are those of the population."""
    seeds: int = 1
    """Number of independent samples of --n pairs."""
    seed: int = 0
    """Seed of all random draws."""
    store: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Zarr store to write to, chunk by chunk; or one to go on with."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """What to write at the end, by its ending: .nc (netCDF), .zarr (a new folder), .csv (a row for each cell) or
    .npz (arrays by name)."""
    memory: Annotated[str | None, tyro.conf.arg(metavar="SIZE")] = None
    """What the chunks being computed may take, like 2GB; a quarter of the device's memory when left out."""
    progress: bool = True
    """Show on a terminal how far the work is."""
    executor: Annotated[str | None, tyro.conf.arg(metavar="WORKERS")] = None
    """Who computes: processes:COUNT on this machine, dask for a Dask cluster on it, dask:ADDRESS (or the file
    that a Dask scheduler wrote), or MODULE:FUNCTION that returns a concurrent.futures.Executor. What a lost
    worker computed is computed again; memory is then for each chunk at a worker."""
    distributed: bool = False
    """Share the work with other processes that each run this same command. Under SLURM (srun) they
    find each other; elsewhere name coordinator, processes and process-id."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Address of process 0."""
    processes: int | None = None
    """Number of processes."""
    process_id: int | None = None
    """Number of this process, from 0."""
    timeout: Annotated[int | None, tyro.conf.arg(metavar="SECONDS")] = None
    """With distributed: how long to wait for the other processes, and for one that gives no sign of life; 60 when
    left out."""

    def run(self) -> int:
        """Evaluate the grid, write the file that was asked for, and print what was written where."""
        if self.list:
            print(listed_quantities())
            return 0
        for flag, given in (("--axes", self.axes), ("--quantities", self.quantities)):
            if not given:
                raise ValueError(f"{flag}: expected at least one (--list says what there is), got none")
        if self.store is None and self.out is None:
            raise ValueError("--out or --store: expected a place for the results, got neither")
        check_ending("--out", self.out, ENDINGS)
        check_folder(self.out)
        check_writable_path(self.out, "--out")
        if self.executor is not None and self.distributed:
            raise ValueError("--executor: expected none with --distributed, which shares the work already, got "
                             f"{self.executor}")
        if not self.distributed:
            of_processes = (("--coordinator", self.coordinator), ("--processes", self.processes),
                            ("--process-id", self.process_id), ("--timeout", self.timeout))
            for flag, given in of_processes:
                if given is not None:
                    raise ValueError(f"{flag}: expected --distributed with it, got {given} without")
        axes, fixed = _by_name("--axes", map(_axis, self.axes or ())), _by_name("--fixed", map(_setting, self.fixed))

        import jax

        from phasejax._core.progress import ProgressCallback, progress_bars
        from phasejax._core.validation import check_seed
        from phasejax.cli._processes import joined
        from phasejax.simulation import sweep
        from phasejax.theory import SpikedModel

        seed = check_seed("--seed", self.seed)

        def compute(report: bool) -> Any:
            if not (self.progress and report):
                return evaluated(False)
            with progress_bars("sweep") as progress:
                return evaluated(progress)

        def evaluated(progress: bool | ProgressCallback) -> Any:
            return sweep(getattr(SpikedModel, self.model), axes, quantities=self.quantities or (), fixed=fixed,
                         n=self.n, seeds=self.seeds, key=seed, memory=self.memory, store=self.store,
                         executor=self.executor, progress=progress)

        if self.distributed:
            timeout = _TIMEOUT if self.timeout is None else self.timeout
            with joined(self.coordinator, self.processes, self.process_id, timeout):
                first = jax.process_index() == 0
                found = compute(first)
        else:
            first, found = True, compute(True)
        if first:
            if self.out is not None:
                write_dataset(found, self.out)
            shape = " x ".join(f"{name} {length}" for name, length in found.sizes.items())
            places = ", ".join(one_line(str(path)) for path in (self.store, self.out) if path is not None)
            print(f"{', '.join(map(str, found.data_vars))} over {shape}: wrote {places}")
        return 0

    def kept(self) -> str:
        """What an interrupt leaves."""
        if self.store is not None and self.store.exists():
            return f"what was computed is kept in {self.store}; run again to resume"
        return "nothing was written"


def _by_name(flag: str, given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What was given for each name; a name that stands twice is refused."""
    found: dict[str, Any] = {}
    for name, value in given:
        if name in found:
            raise ValueError(f"{flag}: expected each name once, got {name} twice")
        found[name] = value
    return found


def _axis(text: str) -> tuple[str, Any]:
    """Name and values of one axis, from NAME=FIRST:LAST:COUNT or NAME=VALUE,VALUE,..."""
    import numpy as np

    name, values = _split(text, "--axes", "NAME=FIRST:LAST:COUNT or NAME=VALUE,VALUE,...")
    try:
        if ":" in values:
            first, last, count = values.split(":")
            if int(count) > _LONGEST:
                raise ValueError(f"--axes: expected at most {_LONGEST} values of {name}, got {int(count)}")
            spaced = np.linspace(float(first), float(last), int(count))
            whole = np.all((spaced == np.round(spaced)) & (np.abs(spaced) < 2**53))
            return name, spaced.astype(int) if whole else spaced  # dimensions and n must be whole numbers
        return name, np.array([_number(value) for value in values.split(",")])
    except (ValueError, OverflowError) as error:
        if str(error).startswith("--axes: "):
            raise
        raise ValueError(f"--axes: expected NAME=FIRST:LAST:COUNT or NAME=VALUE,VALUE,..., got {text!r}") from None


def _setting(text: str) -> tuple[str, int | float]:
    """Name and value of one fixed parameter, from NAME=VALUE."""
    name, value = _split(text, "--fixed", "NAME=VALUE")
    try:
        return name, _number(value)
    except ValueError:
        raise ValueError(f"--fixed: expected NAME=VALUE, got {text!r}") from None


def _split(text: str, flag: str, form: str) -> tuple[str, str]:
    """What stands on the left and on the right of the equals sign."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"{flag}: expected {form}, got {text!r}")
    return name, value


def _number(text: str) -> int | float:
    """A whole number where the text is one: dimensions must be."""
    try:
        return int(text)
    except ValueError:
        return float(text)
