"""Plots that several packages share: colours that every reader can tell apart."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from phasejax import SpikedModel, plotting
from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS
from phasejax.theory import Regime

# How readers with each kind of colour vision see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
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
    assert least_distance(OBJECTIVE_COLOURS.values(), vision) > 15


def test_bands_stay_among_the_seeds_and_few_seeds_are_dots():
    """Of values near an end of their range, mean - deviation would lie outside it; a quantile cannot."""
    errors = np.random.default_rng(0).beta(0.1, 2, (4, 10))
    for seeds, bands in ((10, 1), (4, 0)):
        ax = Figure().subplots()
        values = xr.DataArray(errors[:, :seeds], dims=("nu", "seed"), coords={"nu": [0.0, 0.1, 0.2, 0.3]})
        plotting.plot_curve(ax, values, "nu")
        assert len(ax.collections) == bands
        assert len(ax.lines) == (1 if bands else 1 + seeds)
        for band in ax.collections:
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() >= errors.min()
            assert heights.max() <= errors.max()


def test_two_places_are_not_joined_by_a_line():
    for places, line in ((2, "None"), (3, "-")):
        ax = Figure().subplots()
        plotting.plot_curve(ax, xr.DataArray(np.ones((places, 5)), dims=("nu", "seed"),
                                             coords={"nu": np.arange(places)}), "nu")
        assert ax.lines[0].get_linestyle() == line


def test_cells_without_a_result_do_not_look_like_a_regime():
    codes = xr.DataArray([[0, 1], [-1, 3]], dims=("nu", "kappa"), coords={"nu": [0, 1], "kappa": [0, 1]})
    for part, hatch in ((codes, "xxxxx"), (codes.clip(0), None)):
        ax = Figure().subplots()
        plotting.plot_regimes(ax, part, "kappa", "nu")
        assert ax.patch.get_hatch() == hatch


def test_pdfs_embed_truetype_with_text_that_journals_print(tmp_path):
    with plotting.paper_style():
        figure = plotting.new_figure("column", height=2.4)
        ax = figure.subplots()
        ax.set(xlabel=r"signal strength $\kappa$", title="regimes")
        figure.savefig(tmp_path / "a.pdf")
    written = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in written  # TrueType
    assert b"/Type3" not in written
    assert figure.get_figwidth() == 3.25
    assert all(7 <= text.get_fontsize() <= 9 for text in figure.findobj(Text) if text.get_text())


def test_the_phase_diagram_of_a_model_shows_its_regimes_and_its_place():
    """By hand, gamma_x = 1, gamma_y = .05, nuisance_y = 5, as in Fig. 2: at kappa 1 CA recovers below nu = .69 only."""
    model = SpikedModel.homogeneous(1.0, 0.5, k=2, d=5, gamma_x=1.0, gamma_y=0.05, nuisance_y=5.0)
    ax = plotting.plot_phase_diagram(model, cells=41)
    codes = ax.collections[0].get_array().reshape(41, 41)
    for nu, regime in ((0.2, Regime.BOTH), (0.5, Regime.CA_ONLY), (0.8, Regime.NEITHER)):
        assert Regime.from_code(codes[round(40 * nu), 20]) is regime
    assert [tuple(map(float, line.get_xydata()[0])) for line in ax.lines] == [(1.0, 0.5)]
    given = Figure().subplots()
    assert plotting.plot_phase_diagram(model, given, kappa=(0, 3), cells=5) is given
    assert given.get_xlim() == (0, 3)
    assert not plotting.plot_phase_diagram(model, kappa=(2, 3), n=50, cells=5).lines
    for kappa in ((3, 1), (0.0, np.nan), (-1, 2)):
        with pytest.raises(ValueError, match=r"^kappa: expected"):
            plotting.plot_phase_diagram(model, kappa=kappa, cells=5)
    with pytest.raises(ValueError, match="nuisance in both views"):
        plotting.plot_phase_diagram(SpikedModel.homogeneous(1.0, 0.0, k=2, d=2))


def test_a_shared_label_stands_above_the_legend():
    figure = plotting.new_figure("column", height=2.4)
    panels = plotting.panels_above_legend(figure)
    panels.subplots(1, 2, sharey=True)
    label = panels.supxlabel("shared")
    legend = figure.legend(handles=plotting.boundary_handles(), loc="outside lower center")
    figure.draw_without_rendering()
    assert legend.get_window_extent().y1 < label.get_window_extent().y0


def test_boundaries_end_where_no_correlation_is_large_enough():
    """Closed forms give 1 there, which is no place at which a ratio is 1."""
    kappa = xr.DataArray([0.0, 1.0, 2.0, 3.0], dims="kappa")
    ax = Figure().subplots()
    plotting.plot_boundaries(ax, kappa.copy(data=[0.0, 0.5, 1.0, 1.0]), kappa.copy(data=[0.0, 0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 0.5, 1, np.nan])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [0, 0.2, 0.4, 0.6])


def test_a_small_maximum_of_an_expected_ratio_is_no_regime():
    kappa = {"kappa": [1.0, 2.0, 3.0, 4.0]}
    ca = xr.DataArray([[0.9, 1.01, 0.99, 1.2], [0.9, 1.1, 1.2, 1.3]], dims=("nu", "kappa"), coords=kappa)
    cp = xr.DataArray([[0.5, 0.6, 0.7, 1.1], [0.5, np.nan, 1.1, 1.2]], dims=("nu", "kappa"), coords=kappa)
    codes = plotting.expected_regimes(ca, cp, "kappa")
    np.testing.assert_array_equal(codes, [[0, 0, 0, 3], [0, -1, 3, 3]])
    np.testing.assert_array_equal(plotting.expected_regimes(ca.T, cp.T, "kappa"), codes.T)


def test_areas_are_named_where_there_is_room():
    coords = {"nu": np.linspace(0, 1, 50), "kappa": np.linspace(0, 3, 50)}
    codes = xr.DataArray(np.repeat([[0] * 24 + [3] * 24 + [1] * 2], 50, 0), dims=("nu", "kappa"), coords=coords)
    ax = Figure().subplots()
    plotting.plot_regimes(ax, codes, "kappa", "nu", named=True)
    assert [text.get_text() for text in ax.texts] == ["Neither", "Both"]  # "CA only" is a strip
    assert ax.texts[0].get_position()[0] < 1.4 < ax.texts[1].get_position()[0]
