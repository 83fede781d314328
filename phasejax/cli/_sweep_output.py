"""What `phasejax sweep` writes besides its store, by the ending of the file, and its list of quantities."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

ENDINGS = (".nc", ".zarr", ".csv", ".npz")
_SOURCES = {
    "theory": "Closed forms of the model",
    "finite-sample theory": "Closed forms that also depend on n",
    "covariances": "Solvers on the sample covariances with --n, else on those of the population "
                   "(population_NAME: those of the population in any case)",
    "trained": "Encoders trained by gradient descent on these covariances"}


def check_folder(path: Path | None) -> None:
    """Refuse a Zarr folder that is there already: it is not replaced, unlike a file.

    Raises:
        ValueError: in one line.
    """
    if path is not None and path.suffix.lower() == ".zarr" and os.path.lexists(path):
        raise ValueError(f"--out: expected a folder that is not there yet, got {path}")


def write_dataset(dataset: Any, path: Path) -> None:
    """Write the dataset of a sweep as a whole or not at all.

    Args:
        dataset: what `sweep` returned.
        path: .nc for netCDF, .zarr for a folder, .csv for a table with a row for each cell and seed (and for each
            component of quantities that have some), .npz for arrays by name, coordinates included.
    """
    from phasejax._core.atomic_files import written_whole

    if path.suffix.lower() == ".zarr":
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem[:40]}-") as folder:
            dataset.to_zarr(Path(folder, path.name), consolidated=False)
            shutil.move(Path(folder, path.name), path)
        return
    with written_whole(path) as unfinished:
        match path.suffix.lower():
            case ".csv":
                dataset.to_dataframe().reset_index().to_csv(unfinished, index=False)
            case ".npz":
                import numpy as np

                np.savez(unfinished, allow_pickle=False, **{str(name): dataset[name].values for name in
                                                            dataset.variables})
            case _:
                dataset.to_netcdf(unfinished, engine="scipy")


def listed_quantities() -> str:
    """Every quantity that a sweep can evaluate, with what it is and its unit, by what it is computed from."""
    from phasejax.simulation import QUANTITIES, TRAINED
    from phasejax.theory import Regime

    codes = ": " + ", ".join(f"{code} {Regime.from_code(code).value}" for code in range(4))
    groups: dict[str, list[str]] = {source: [] for source in _SOURCES}
    for name, quantity in (QUANTITIES | TRAINED).items():
        unit = "" if quantity.units == "1" else f" [{quantity.units}]"
        shape = f" (one for each {quantity.dims[0]})" if quantity.dims else ""
        source = "trained" if name in TRAINED else quantity.source
        groups[source].append(f"  {name:35} {quantity.long_name}"
                              f"{codes * name.endswith('regime')}{shape}{unit}")
    blocks = [f"{heading}:\n" + "\n".join(groups[source]) for source, heading in _SOURCES.items()]
    heading = "What a sweep can compute. Units are in brackets; pure numbers have none."
    return "\n\n".join([heading, *blocks, _listed_parameters()])


def _listed_parameters() -> str:
    """What --axes and --fixed can name, for each model."""
    import inspect

    from phasejax.theory import SpikedModel

    lines = [f"  {model:35} {', '.join(inspect.signature(getattr(SpikedModel, model)).parameters)}"
             for model in ("homogeneous", "geometric")]
    return "\n".join(["Names for --axes and --fixed, by --model:", *lines,
                      f"  {'both':35} lam (weight of alignment in the joint objective); as an axis n (pairs)"])
