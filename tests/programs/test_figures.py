"""Figures from the command line: what is written, what the help says, and what the phase diagram shows."""

import os
import subprocess
import sys
from pathlib import Path

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

DEFAULT = [name for name, recipe in paper_figs.FIGURES.items() if not recipe.resumable]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """The folder that the command makes when no figure is named; PHASEJAX_FIGURES, if set, for the site's gallery."""
    out = Path(os.environ.get("PHASEJAX_FIGURES") or tmp_path_factory.mktemp("figures") / "made")
    done = subprocess.run([sys.executable, "-m", "paper_figs", "--preset", "quick", "--out", out], cwd=ROOT,
                          capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*DEFAULT, "all"]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFAULT)
def test_each_figure_is_written_with_its_data(figures, name):
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".nc", b"CDF")):
        assert (figures / f"{name}{suffix}").read_bytes().startswith(magic)
    with xr.open_dataset(figures / f"{name}.nc", engine="scipy") as data:
        assert data.attrs["preset"] == "quick"
        assert data.attrs["figure"] == name
        for variable in data.data_vars.values():
            assert np.isfinite(variable.where(~np.isinf(variable), 0)).all(), variable.name
    caption = " ".join((figures / f"{name}.txt").read_text().split())  # where lines end depends on the version
    assert "Computed with" in caption
    assert "preset quick" in caption
    assert "{" not in caption
    assert b"/Type3" not in (figures / f"{name}.pdf").read_bytes()  # fonts that journals refuse
    pixels = np.asarray(Image.open(figures / f"{name}.png").convert("L"))
    assert pixels.std() > 5  # not a blank page
    assert pixels[0].min() > 250  # the margin is white: nothing is cut off
    assert pixels[:, [0, -1]].min() > 250


@pytest.mark.slow
def test_nothing_else_is_written(figures):
    assert sorted(p.name for p in figures.iterdir()) == sorted(
        [f"{name}{suffix}" for name in DEFAULT for suffix in (".nc", ".png", ".pdf", ".txt")] + ["variance_trap.gif"])


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_names_select_figures(tmp_path, capsys):
    assert paper_figs.main(["soft_bottleneck", "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"soft_bottleneck.{s}" for s in ("nc", "pdf", "png", "txt")]
    assert capsys.readouterr().out.startswith("soft_bottleneck ")


def test_the_help_lists_every_figure_with_its_title(capsys):
    with pytest.raises(SystemExit) as end:
        paper_figs.main(["--help"])
    assert end.value.code == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    default, _, named = printed.partition("made only when named")
    for name, recipe in paper_figs.FIGURES.items():
        assert f"{name} {recipe.title}" in (named if recipe.resumable else default)


def test_families_declare_different_figures():
    assert len(paper_figs.FIGURES) == sum(len(family.FIGURES) for family in paper_figs.FAMILIES)


def test_bad_arguments_exit_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        paper_figs.main(["fig99", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "fig2" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert paper_figs.main(["fig2", "--out", str(tmp_path), "--executor", "dask"]) == 2
    assert "error: --executor: expected figures among infonce, " in capsys.readouterr().err
    assert paper_figs.main(["fig2", "--out", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --out")
    assert len(error.splitlines()) == 1


def test_the_thinned_sweep_keeps_both_ends():
    np.testing.assert_array_equal(PRESETS["quick"].sweep(np.arange(31)), np.arange(0, 31, 3))
    assert PRESETS["quick"].sweep(np.arange(30.0))[[0, -1]].tolist() == [0, 29]
    np.testing.assert_array_equal(PRESETS["paper"].sweep(np.arange(31)), np.arange(31))
