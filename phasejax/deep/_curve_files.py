"""Learning curves as files: a table, and event files that TensorBoard shows."""

from pathlib import Path
from typing import Any, cast

import pandas as pd
import xarray as xr

from phasejax._core.atomic_files import written_whole
from phasejax._core.checked_call import checked


@checked
def write_curves(curves: xr.Dataset, folder: str | Path, *, tensorboard: bool = True) -> list[Path]:
    """Write learning curves as a table and as event files of TensorBoard.

    Args:
        curves: `TrainedGrid.curves`, or what an evaluation returned, which has them too.
        folder: where to write; made if need be. The table is curves.csv, a row for each epoch of each training, with
            the columns objective, jitter, noise, seed, epoch, train and validation. Event files stand in a folder for
            each training, events/OBJECTIVE/jitterJ_noiseN_seedS, and hold `loss/train` and `loss/validation`;
            `tensorboard --logdir FOLDER/events` shows them.
        tensorboard: whether to write event files, which needs the package tensorboardX.

    Returns:
        The table, and the folder of the event files where they were asked for.

    Raises:
        ValueError: a dataset without learning curves; a folder that has event files already.
        ImportError: event files without tensorboardX.
    """
    if "loss" not in curves or not {"epoch", "split"} <= set(curves["loss"].dims):
        raise ValueError("curves: expected a dataset with loss over epoch and split, got one with "
                         f"{', '.join(map(str, curves.data_vars)) or 'nothing'}")
    folder = Path(folder)
    axes = [str(name) for name in curves["loss"].dims if name not in ("epoch", "split")]
    events = folder / "events"
    if tensorboard and events.exists():
        raise ValueError(f"folder: expected one without event files, which would be shown beside the new ones, got "
                         f"{events}")
    folder.mkdir(parents=True, exist_ok=True)
    table = curves["loss"].to_series().unstack("split").dropna(how="all").reset_index()
    table = table[[*axes, "epoch", *(str(name) for name in curves["split"].values)]]
    with written_whole(folder / "curves.csv") as unfinished:
        table.to_csv(unfinished, index=False, float_format="%.6g")
    if not tensorboard:
        return [folder / "curves.csv"]
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError("TensorBoard's event files need tensorboardX: pip install 'phasejax[tensorboard]'") from None
    for cell, of_cell in table.groupby(axes, sort=False):
        named: dict[str, Any] = dict(zip(axes, cast(tuple, cell), strict=True))
        place = events / str(named.pop("objective", "training"))
        name = "_".join(f"{axis}{value:g}" for axis, value in named.items())
        with SummaryWriter(str(place / name)) as writer:
            for values in cast(pd.DataFrame, of_cell).to_dict(orient="records"):
                for split in map(str, curves["split"].values):
                    writer.add_scalar(f"loss/{split}", values[split], int(values["epoch"]))
    return [folder / "curves.csv", events]
