"""Learning curves as files: what TensorBoard's event files hold is what the curves hold."""

import struct

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phasejax.deep import write_curves

CURVES = xr.Dataset(
    {"loss": (("objective", "jitter", "noise", "seed", "epoch", "split"),
              np.random.default_rng(0).random((2, 1, 1, 2, 3, 2)).astype(np.float32))},
    coords={"objective": ["cp", "vicreg"], "jitter": [0.0], "noise": [0.5], "seed": [0, 1], "epoch": [1, 2, 3],
            "split": ["train", "validation"]})
CURVES["loss"][1, 0, 0, 1, 2:] = np.nan  # stopped early


def events_in(folder):
    """(tag, step, value) of all scalars in the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in folder.glob("events.out.tfevents.*"):
        content = path.read_bytes()
        while content:
            size = struct.unpack("<Q", content[:8])[0]
            event = Event.FromString(content[12:12 + size])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            content = content[16 + size:]
    return found


def test_table_and_events_hold_the_curves(tmp_path):
    table, events = write_curves(CURVES, tmp_path / "logs")
    rows = pd.read_csv(table)
    assert list(rows.columns) == ["objective", "jitter", "noise", "seed", "epoch", "train", "validation"]
    assert len(rows) == 2 * 2 * 3 - 1
    one = rows[(rows.objective == "cp") & (rows.seed == 1)]
    np.testing.assert_allclose(one[["train", "validation"]], CURVES["loss"][0, 0, 0, 1], rtol=1e-5)
    assert sorted(path.relative_to(events).as_posix() for path in events.glob("*/*")) == [
        f"{objective}/jitter0_noise0.5_seed{seed}" for objective in ("cp", "vicreg") for seed in (0, 1)]
    stopped = sorted(events_in(events / "vicreg" / "jitter0_noise0.5_seed1"))
    assert stopped == [(f"loss/{split}", epoch, float(CURVES["loss"][1, 0, 0, 1, epoch - 1, place]))
                       for place, split in enumerate(("train", "validation")) for epoch in (1, 2)]


def test_a_table_alone_needs_no_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    assert write_curves(CURVES, tmp_path, tensorboard=False) == [tmp_path / "curves.csv"]
    with pytest.raises(ImportError, match="need tensorboardX"):
        write_curves(CURVES, tmp_path)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match="curves: expected a dataset with loss over epoch and split, got one with a"):
        write_curves(xr.Dataset({"a": ("x", [1.0])}), tmp_path)
    (tmp_path / "events").mkdir()
    with pytest.raises(ValueError, match="folder: expected one without event files"):
        write_curves(CURVES, tmp_path)
