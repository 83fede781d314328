"""Figures from the command line; what they show, pixel by pixel where it matters."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from paper_figs import __main__ as paper_figs
from paper_figs.presets import PRESETS
from phasejax import plotting
from phasejax.plotting import REGIME_COLOURS
from phasejax.theory import Regime
from tests.support import ROOT

pytestmark = pytest.mark.slow



def command(*args):
    return subprocess.run([sys.executable, "-m", "paper_figs", *map(str, args)], cwd=ROOT, capture_output=True,
                          text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    out = tmp_path_factory.mktemp("figures") / "made"
    done = command("--preset", "quick", "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", paper_figs.FIGURES)
def test_each_figure_is_written_with_its_data(figures, name):
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".nc", b"CDF")):
        assert (figures / f"{name}{suffix}").read_bytes().startswith(magic)
    with xr.open_dataset(figures / f"{name}.nc", engine="scipy") as data:
        assert data.attrs["preset"] == "quick"
        assert data.attrs["figure"] == name
        for variable in data.data_vars.values():
            assert np.isfinite(variable.where(~np.isinf(variable), 0)).all(), variable.name
    pixels = np.asarray(Image.open(figures / f"{name}.png").convert("L"))
    assert pixels.std() > 5  # not a blank page
    assert pixels[0].min() > 250  # nothing runs over the edge
    assert pixels[:, [0, -1]].min() > 250


def test_nothing_else_is_written(figures):
    assert sorted(p.name for p in figures.iterdir()) == sorted(
        [f"{name}{suffix}" for name in paper_figs.FIGURES for suffix in (".nc", ".png", ".pdf")]
        + ["variance_trap.gif"])


def test_the_animation_moves_forth_and_back(figures):
    with Image.open(figures / "variance_trap.gif") as gif:
        frames, durations = [], []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB"), float))
            durations.append(gif.info["duration"])
        assert gif.info["loop"] == 0
    steps = PRESETS["quick"].frames + 20
    assert sum(durations) == pytest.approx(steps * 1000 / 15, rel=0.15)
    assert np.abs(frames[len(frames) // 2] - frames[0]).mean() > 5
    assert np.abs(frames[-1] - frames[0]).mean() < 1


def rendered(draw, size=(4, 4)):
    figure = Figure(figsize=size, dpi=100)
    canvas = FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    draw(ax)
    canvas.draw()
    return ax, np.asarray(canvas.buffer_rgba())[..., :3] / 255


def test_fig2_shows_each_regime_where_theory_puts_it():
    data = paper_figs.FIGURES["fig2"].compute(PRESETS["quick"])
    panel = data.sel(nuisance_y=5.0)
    ax, pixels = rendered(lambda ax: plotting.plot_regimes(ax, panel.regime, "kappa", "nu"))
    # By hand, gamma_x = 1, gamma_y = .05, nuisance_y = 5: at kappa 1 the boundaries are .69 (CA) and .316 (CP);
    # at kappa 2.8, .939 and 1.18.
    for (kappa, nu), regime in {(1, 0.2): Regime.BOTH, (1, 0.5): Regime.CA_ONLY, (1, 0.8): Regime.NEITHER,
                                (2.8, 0.97): Regime.CP_ONLY}.items():
        column, row = ax.transData.transform((kappa, nu)).astype(int)
        np.testing.assert_allclose(pixels[len(pixels) - 1 - row, column], to_rgb(REGIME_COLOURS[regime]), atol=0.01)
    assert float(panel.ca_boundary.interp(kappa=1.0)) == pytest.approx(0.6901, abs=1e-3)
    assert float(panel.cp_boundary.interp(kappa=1.0)) == pytest.approx(0.3162, abs=1e-3)


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {"normal": np.eye(3),
          "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                         [-0.003882, -0.048116, 1.051998]],
          "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                           [-0.011820, 0.042940, 0.968881]],
          "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                         [0.004733, 0.691367, 0.303900]]}


def least_distance(colours, vision):
    """Least CIELAB distance between any two colours; about 2.3 is just noticeable."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    labs = []
    for colour in colours:
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        f = np.cbrt(to_xyz @ np.clip(np.asarray(VISION[vision]) @ linear, 0.001, 1) / [0.95047, 1, 1.08883])
        labs.append([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    labs = np.array(labs)
    return min(np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i])


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_by_every_reader(vision):
    assert least_distance(REGIME_COLOURS.values(), vision) > 25
    assert least_distance(plotting.OBJECTIVE_COLOURS.values(), vision) > 15


def test_names_select_figures(tmp_path):
    done = command("soft_bottleneck", "--out", tmp_path)
    assert done.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"soft_bottleneck.{s}" for s in ("nc", "pdf", "png")]


def test_bad_arguments_exit_2(tmp_path):
    done = command("fig99", "--out", tmp_path)
    assert done.returncode == 2
    assert "fig2" in done.stderr
    (tmp_path / "file").write_text("")
    done = command("fig2", "--out", tmp_path / "file")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --out")
    assert "Traceback" not in done.stderr


def test_the_thinned_sweep_keeps_both_ends():
    np.testing.assert_array_equal(PRESETS["quick"].sweep(np.arange(31)), np.arange(0, 31, 3))
    assert PRESETS["quick"].sweep(np.arange(30.0))[[0, -1]].tolist() == [0, 29]
    np.testing.assert_array_equal(PRESETS["paper"].sweep(np.arange(31)), np.arange(31))
