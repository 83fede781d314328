"""Images and captions: encoders under distortions, what the diagnosis foretells of them, and what they hold alike."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax._core.atomic_files import written_whole
from phasejax._core.progress import ProgressCallback
from phasejax.captions import (
    CAPTION_PRESETS,
    STYLE_GROUPS,
    STYLES,
    CaptionExperiment,
    CaptionScores,
    apply_style,
    evaluate_captions,
    load_emoji,
)
from phasejax.captions._plots import LOOKS, draw_top1
from phasejax.captions._scores import NAMES
from phasejax.deep import seed_interval, train_grid
from phasejax.plotting import new_figure

# Top-1 on COCO at 0, 1 and 3 groups of distortions, K26, figure 6.
PUBLISHED = {"vicreg": (0.4709, 0.4824, 0.4603), "cp": (0.5690, 0.5553, 0.4939), "cp_reverse": (0.4607, 0.4859, 0.4933)}
PUBLISHED_GROUPS = (0, 1, 3)


def experiment_on(preset: Preset, folder: Path | None = None, **changes: Any) -> CaptionExperiment:
    """The preset's experiment with changes, on its own data, on emoji or glyphs, or on a folder of COCO."""
    experiment = CAPTION_PRESETS[preset.experiment]
    if folder is not None:
        named = str(folder) in ("emoji", "glyphs")
        changes |= {"data": str(folder), "path": None} if named else {"data": "coco", "path": str(folder)}
    return replace(experiment, **changes)


def check_data(folder: Path) -> None:
    """Refuse what is neither emoji, glyphs nor a folder.

    Raises:
        ValueError: in one line.
    """
    if str(folder) not in ("emoji", "glyphs") and not folder.is_dir():
        raise ValueError(f"--data: expected emoji, glyphs or the folder of COCO, got {folder}")


def compute_fig6(preset: Preset, *, store: Path, progress: ProgressCallback, folder: Path | None = None) -> xr.Dataset:
    """Train and evaluate the preset's experiment, with the published scores beside its own."""
    return _with_published(_trained_and_scored(experiment_on(preset, folder), store, progress))


def _trained_and_scored(experiment: CaptionExperiment, store: Path, progress: ProgressCallback) -> xr.Dataset:
    found = evaluate_captions(train_grid(experiment, store=store, progress=progress), progress=progress)
    found["top1"].attrs = {"long_name": "share of clean test images whose class a linear probe predicts", "units": "1"}
    found["noise"].attrs = {"long_name": "level of the distortions", "units": "1"}
    # netCDF holds no booleans.
    return found.assign({name: found[name].astype("int8") for name in ("converged", "diverged")})


def _with_published(found: xr.Dataset) -> xr.Dataset:
    names = list(PUBLISHED)
    return found.assign(published_top1=xr.DataArray(
        np.array([PUBLISHED[name] for name in names]), dims=("published_objective", "published_groups"),
        coords={"published_objective": names, "published_groups": list(PUBLISHED_GROUPS)}))


def draw_fig6(data: xr.Dataset) -> Figure:
    """Top-1 against the number of groups of distortions: ours, and as published."""
    experiment = CaptionExperiment.from_json(data.attrs["experiment"])
    figure = new_figure("page", height=2.9)
    ours, theirs = figure.subplots(1, 2)
    draw_top1(ours, data.isel(jitter=0), np.array(experiment.groups))
    ours.set(title=f"{experiment.data}, {experiment.size} px", xlabel="groups of distortions",
             ylabel="top-1 of a linear probe")
    for objective in data.published_objective.values:
        theirs.plot(PUBLISHED_GROUPS, data.published_top1.sel(published_objective=objective), **LOOKS[str(objective)],
                    markersize=4, linewidth=1.2, markerfacecolor="white")
    theirs.set(title="COCO, 224 px, as published (one run)", xlabel="groups of distortions")
    theirs.set_xticks(PUBLISHED_GROUPS)
    handles, labels = ours.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4,
                  title="mean over seeds and 95% interval" if experiment.seeds > 2 else "mean over seeds, and seeds")
    return figure


def tabulate_captions(data: xr.Dataset) -> pd.DataFrame:
    """Top-1, its change from the first level, and recall, with intervals over seeds; the published top-1 beside."""
    table = CaptionScores(data).to_frame()
    # Seeds share splits and first parameters at all levels, so that their differences are paired.
    top1 = data.top1.transpose("objective", "jitter", "noise", "seed").values
    ends = seed_interval(top1 - top1[:, :, :1], 3)
    for name, values in zip(("change", "change_low", "change_high"), ends, strict=True):
        table[f"{name}_from_first_level"] = values.ravel()
    if "published_top1" in data:
        known = {(name, groups): value for name, values in PUBLISHED.items()
                 for groups, value in zip(PUBLISHED_GROUPS, values, strict=True)}
        table["published_top1"] = [known.get((row.objective, row.groups), np.nan) for row in table.itertuples()]
    return table.set_index(["objective", "jitter", "noise"])


# The diagnosis sees so many rows, and so many principal components of either view, as the published one of the latter.
_ROWS, _COMPONENTS = 1500, 100
_SOURCES = ("linear", "lifted", "pilot")


def compute_predicted(preset: Preset, *, store: Path, progress: ProgressCallback, folder: Path | None = None
                      ) -> xr.Dataset:
    """Alignment minus prediction of the caption in every cell: foretold from pixels and words, and as trained."""
    experiment = experiment_on(preset, folder, mode="style", jitters=(0.0, 0.5, 1.0), noises=(0.2, 0.5),
                               objectives=("vicreg", "cp"))
    found = _trained_and_scored(experiment, store, progress)
    cells = [(jitter, noise) for jitter in experiment.jitters for noise in experiment.noises]
    # A run that was killed goes on with the cells that are missing here.
    file = Path(store, "diagnosed.json")
    foretold = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for jitter, noise in cells[len(foretold):]:
        progress("cells diagnosed", len(foretold), len(cells))
        foretold.append(_foretold(experiment, jitter, noise))
        with written_whole(file) as unfinished:
            unfinished.write_text(json.dumps(foretold), encoding="utf-8")
    progress("cells diagnosed", len(cells), len(cells))
    values = np.reshape(foretold, (len(experiment.jitters), len(experiment.noises), len(_SOURCES) + 1))
    return found.assign(predicted=(("jitter", "noise", "source"), values[..., :-1]),
                        predicted_error=(("jitter", "noise"), values[..., -1])).assign_coords(source=list(_SOURCES))


def _foretold(experiment: CaptionExperiment, jitter: float, noise: float) -> list[float]:
    """CA of x minus CP x->y by source, and last the standard error of their mean by rows and sources."""
    import warnings

    from phasejax.captions import CaptionNuisance, caption_features
    from phasejax.captions._sources import open_captions
    from phasejax.diagnosis import diagnose

    pairs = open_captions(experiment).pairs
    pairs = pairs.select(np.sort(np.random.default_rng(1).permutation(len(pairs))[:_ROWS]))
    nuisance = CaptionNuisance(experiment.mode, level=noise, jitter=jitter, jitter_to=experiment.jitter_to)
    features = caption_features(pairs, nuisance, 1, size=32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all cells have the same: components in place of columns, rare classes
        scores = diagnose(features.x, features.y, features.labels, k=experiment.embedding,
                          groups=features.groups, pca=_COMPONENTS, pilot=True, fit=False).scores[0]
    values = [scores.values[source]["CA of x"] - scores.values[source]["CP x->y"] for source in _SOURCES]
    draws = np.array([scores.draws.of[source]["CA of x"] - scores.draws.of[source]["CP x->y"] for source in _SOURCES])
    return [*values, float(np.hypot(draws.mean(0).std(), draws.mean(1).std() / len(_SOURCES) ** 0.5))]


def draw_predicted(data: xr.Dataset) -> Figure:
    """Above top-1 of both objectives against jitter; below their difference, measured and foretold."""
    figure = new_figure("page", height=4.4)
    rows = figure.subplots(2, data.sizes["noise"], sharex=True, sharey="row", squeeze=False)
    experiment = CaptionExperiment.from_json(data.attrs["experiment"])
    shift = 0.015
    for column, noise in enumerate(data.noise.values):
        part = data.sel(noise=noise)
        for place, objective in enumerate(("vicreg", "cp")):
            _bars(rows[0, column], data.jitter.values + shift * (place - 0.5),
                  part.top1.sel(objective=objective).transpose("jitter", "seed").values,
                  LOOKS[objective] | {"label": NAMES[objective]})
        rows[0, column].axhline(float(part.chance.mean()), color="0.5", linestyle=":", label="chance")
        measured = (part.top1.sel(objective="vicreg") - part.top1.sel(objective="cp")).transpose("jitter", "seed")
        _bars(rows[1, column], data.jitter.values, measured.values,
              {"color": "black", "marker": "o", "label": "measured"})
        for place, (source, mark) in enumerate(zip(_SOURCES, "s^D", strict=True)):
            rows[1, column].plot(data.jitter.values + shift * (place - 1), part.predicted.sel(source=source), mark,
                                 color=("#56B4E9", "#CC79A7", "#009E73")[place], markersize=4,
                                 label=f"foretold, {source}")
        rows[1, column].axhline(0, color="0.5", linewidth=0.7)
        rows[0, column].set_title(f"{experiment.groups[column]} group{'s' if experiment.groups[column] > 1 else ''} "
                                  "of distortions")
        rows[1, column].set(xlabel="jitter: share of captions that name another style")
        rows[1, column].set_xticks(data.jitter.values)
    rows[0, 0].set_ylabel("top-1 of a linear probe")
    rows[1, 0].set_ylabel("CA minus CP image->text")
    entries = {label: handle for ax in rows[:, 0]
               for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
    return figure


def _bars(ax, x, values, look):
    mean, low, high = seed_interval(values, 1)
    if np.isfinite(low).all() and values.shape[1] > 2:
        ax.errorbar(x, mean, [mean - low, high - mean], capsize=2, linewidth=1.2, elinewidth=0.9, markersize=4, **look)
    else:
        ax.plot(x, mean, linewidth=1.2, markersize=4, **look)
        ax.plot(x, values, ".", markersize=3, color=look["color"], alpha=0.6)


def tabulate_predicted(data: xr.Dataset) -> pd.DataFrame:
    """CA minus CP image->text: measured, with its interval over seeds, and foretold by each source."""
    top1 = data.top1.transpose("objective", "jitter", "noise", "seed")
    difference = top1.sel(objective="vicreg") - top1.sel(objective="cp")
    ends = zip(("measured", "measured_low", "measured_high"), seed_interval(difference.values, 2), strict=True)
    columns = {name: (("jitter", "noise"), values) for name, values in ends}
    columns |= {f"foretold_{source}": data.predicted.sel(source=source, drop=True) for source in _SOURCES}
    return xr.Dataset(columns | {"foretold_error": data.predicted_error},
                      {name: data[name] for name in ("jitter", "noise")}).to_dataframe()


_SHOWN = {"1F600": "grinning face", "1F98A": "fox", "1F352": "cherries"}  # by code point
_STRENGTH = 1.0


def compute_styles(preset: Preset) -> xr.Dataset:
    """Three emoji as they are and in each of the sixteen styles at full strength."""
    pairs = load_emoji(size=64)
    ids = pairs.ids.tolist()
    rows = [ids.index(code) for code in _SHOWN]
    images = jnp.asarray(pairs.images[rows]) / 255
    styled = [images] + [jax.vmap(lambda image, style=style: apply_style(image, style, _STRENGTH, preset.key()))(images)
                         for style in range(len(STYLES))]
    return xr.Dataset({"image": (("style", "emoji", "row", "column", "colour"), np.stack(styled).astype(np.float32),
                                 {"long_name": "pixel value", "units": "1"})},
                      coords={"style": ["as it is", *STYLES], "emoji": list(_SHOWN.values())},
                      attrs={"strength": _STRENGTH, "key": 0})


def draw_styles_sheet(data: xr.Dataset) -> Figure:
    """A column for each style, in the order of the groups; a row for each emoji."""
    styles = data.style.values.tolist()
    groups = {"": ["as it is"], **STYLE_GROUPS}
    columns = 6
    blocks = -(-len(styles) // columns)
    shown = data.sizes["emoji"]
    figure = new_figure("page", height=blocks * (0.75 * shown + 0.35))
    grid = figure.subplots(blocks * shown, columns)
    for ax in grid.flat:
        ax.set_axis_off()
    group_of = {style: group for group, members in groups.items() for style in members}
    for place, style in enumerate(styles):
        block, column = divmod(place, columns)
        for row in range(shown):
            ax = grid[block * shown + row, column]
            ax.imshow(data.image.sel(style=style).isel(emoji=row), vmin=0, vmax=1)
            if row == 0:
                ax.set_title(style + (f"\n{group_of[style]}" if group_of[style] else "\n "), fontsize="small")
    return figure


FIGURES = {
    "styles": Recipe(
        "the sixteen styles that distort images and that captions may name",
        "Emoji as they are and in each of the sixteen styles at full strength, with the group of each style; of each "
        "active group an image shows one style.",
        compute_styles, draw_styles_sheet),
    "fig6": Recipe(
        "accuracy of probes on images and captions against the number of groups of distortions",
        "Left: top-1 of linear probes on clean images (of CP text->image, on clean captions) against the number of "
        "groups of distortions in training, mean over {of_seeds}; bars: 95% intervals by Student's t; dotted: chance. "
        "Right: the published numbers on COCO, of one run each.",
        compute_fig6, draw_fig6, tabulate=tabulate_captions, check_data=check_data, resumable=True),
    "captions_predicted": Recipe(
        "alignment and prediction on captions that name styles, foretold and trained",
        "Captions name the styles of their images; with the probability of the jitter they describe other styles. "
        "Above: top-1 of linear probes on clean images. Below: the difference of the two, as measured, and as the "
        "diagnosis foretells it from pixels and words: by linear maps, on random features (lifted) and by small "
        "networks (pilot). Means over {of_seeds}; bars: 95% intervals by Student's t.",
        compute_predicted, draw_predicted, tabulate=tabulate_predicted, check_data=check_data, resumable=True),
}
