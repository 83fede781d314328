"""Nearest neighbours across modalities: the images closest to a caption, and the captions closest to an image."""

import textwrap
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs.captions import check_data, experiment_on
from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax._core.progress import ProgressCallback
from phasejax.captions import CaptionExperiment, chance_recall, retrieval_recall
from phasejax.captions._evaluation import FrozenCaptionEncoders
from phasejax.captions._pairs import CaptionPairs
from phasejax.deep import train_grid
from phasejax.plotting import new_figure

# Pairs that are shown, half of them such as are found where there are so many, and how many neighbours of each.
_QUERIES, _NEAREST = 6, 5


def compute_neighbours(preset: Preset, *, store: Path, progress: ProgressCallback, folder: Path | None = None
                       ) -> xr.Dataset:
    """Train the preset's encoders by VICReg without distortions, and find the neighbours of clean test rows."""
    experiment = experiment_on(preset, folder, objectives=("vicreg",), noises=(0.0,), jitters=(0.0,), seeds=1)
    return neighbours_of(experiment, store, progress)


def neighbours_of(experiment: CaptionExperiment, store: Path, progress: ProgressCallback) -> xr.Dataset:
    """The nearest neighbours that the first objective of an experiment finds at its first level, jitter and seed.

    Args:
        experiment: whose first objective trains encoders of images and of captions.
        store: folder for the states of the training.
        progress: called after every epoch.

    Returns:
        Over `query` and `place`, from the nearest on: pixel values `found_image` and whether each is `right_image` for
        the `caption`; `found_caption` and whether each is a `right_caption` of the `image`. `recall` and
        `recall_chance` at that many places are of all test rows, in either direction.
    """
    encoders = FrozenCaptionEncoders(train_grid(experiment, store=store, progress=progress))
    pairs = encoders.source.held_out.select(encoders.split(0).test)
    found = encoders.embed(experiment.objectives[0], 0, pairs, np.arange(len(pairs)))
    if found.images is None or found.texts is None:
        raise ValueError(f"objectives: expected one with encoders of images and captions, got "
                         f"{experiment.objectives[0]}")
    meanings, words = _meanings(pairs), np.array(pairs.captions())
    images, captions = nearest(found.texts, found.images), nearest(found.images, found.texts)
    right_images, right_captions = (meanings[rows] == meanings[:, None] for rows in (images, captions))
    queries = _some_of_both(right_images.any(1))
    recall = [retrieval_recall(*vectors, meanings, meanings, (_NEAREST,))[0]
              for vectors in ((found.texts, found.images), (found.images, found.texts))]
    chance = chance_recall(np.bincount(meanings)[meanings], len(pairs), (_NEAREST,))[0]
    shown, pixels = pairs.images / np.float32(255), {"long_name": "pixel value", "units": "1"}
    return xr.Dataset({
        "caption": ("query", words[queries]),
        "found_image": (("query", "place", "row", "column", "colour"), shown[images[queries]], pixels),
        "right_image": (("query", "place"), right_images[queries].astype(np.int8)),
        "image": (("query", "row", "column", "colour"), shown[queries], pixels),
        "found_caption": (("query", "place"), words[captions[queries]]),
        "right_caption": (("query", "place"), right_captions[queries].astype(np.int8)),
        "recall": ("direction", np.array(recall)), "recall_chance": float(chance)},
        coords={"direction": ["text to image", "image to text"]},
        attrs={"experiment": experiment.to_json(), "rows": len(pairs)})


def _meanings(pairs: CaptionPairs) -> np.ndarray:
    """The same number for rows of one group with one caption, such as drawings of a character in several typefaces."""
    said = np.column_stack([pairs.groups, pairs.tokens[:, 0]])
    return np.unique(said, axis=0, return_inverse=True)[1].ravel()


def _some_of_both(found: np.ndarray) -> np.ndarray:
    """Pairs drawn at random: half of them found, as far as there are so many, and the others not."""
    order = np.random.default_rng(0).permutation(len(found))
    hits, misses = order[found[order]], order[~found[order]]
    shown = min(len(hits), max(_QUERIES // 2, _QUERIES - len(misses)))
    return np.concatenate([hits[:shown], misses[:_QUERIES - shown]])


def nearest(queries: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Numbers of the answers of greatest cosine similarity, those of each query in a row from the nearest on."""
    unit_queries, unit_answers = (rows / np.linalg.norm(rows, axis=1, keepdims=True)
                                  for rows in (np.asarray(queries, float), np.asarray(answers, float)))
    return np.argsort(-unit_queries @ unit_answers.T, axis=1, kind="stable")[:, :_NEAREST]


def draw_neighbours(data: xr.Dataset) -> Figure:
    """A row for each pair: left its caption and images, right its image and captions; right answers are named."""
    queries, places = data.sizes["query"], data.sizes["place"]
    figure = new_figure("page", height=0.3 + 0.68 * queries)
    halves = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.15, 1))
    for half, direction, widths in zip(halves[0], data.direction.values, ((1.7, *places * [1]), (1, 4.3)), strict=True):
        share, chance = float(data.recall.sel(direction=direction)), float(data.recall_chance)
        half.suptitle(f"{direction}: {share:.0%} found at {places}, {chance:.1%} by guessing", fontsize="medium")
        grid = half.subplots(queries, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
        for ax in grid.flat:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for row, axes in enumerate(grid):
            (_draw_images if direction == "text to image" else _draw_captions)(axes, data.isel(query=row))
    return figure


def _draw_images(axes: np.ndarray, query: xr.Dataset) -> None:
    """A caption, and the images that are nearest to it."""
    _write(axes[0], "\n".join(textwrap.wrap(_plain(query.caption), 17, max_lines=4, placeholder=" ...")))
    for ax, image, right in zip(axes[1:], query.found_image, query.right_image.values, strict=True):
        ax.imshow(image, vmin=0, vmax=1)
        if right:
            ax.spines[:].set(visible=True, color="#009E73", linewidth=2)
            ax.set_xlabel("right", fontsize="x-small", fontweight="bold", labelpad=1)


def _draw_captions(axes: np.ndarray, query: xr.Dataset) -> None:
    """An image, and the captions that are nearest to it."""
    axes[0].imshow(query.image, vmin=0, vmax=1)
    places = query.sizes["place"]
    for place, (text, right) in enumerate(zip(query.found_caption, query.right_caption.values, strict=True)):
        short = textwrap.shorten(_plain(text), 46, placeholder=" ...")
        _write(axes[1], f"{place + 1}. {short}{' (right)' if right else ''}", 1 - (place + 0.5) / places,
               bold=bool(right))


def _write(ax: Axes, text: str, height: float = 0.5, *, bold: bool = False) -> None:
    ax.text(0, height, text, transform=ax.transAxes, va="center", fontsize="x-small",
            fontweight="bold" if bold else "normal", parse_math=False)


def _plain(text: xr.DataArray) -> str:
    """A caption in which words that the vocabulary lacks are called so, without brackets."""
    return str(text.values).replace("<unk>", "(rare word)")


FIGURES = {
    "neighbours": Recipe(
        "nearest neighbours across images and captions",
        "A pair of the test rows in each row, with what is nearest to it in the other modality by cosine similarity of "
        "the embeddings of encoders that VICReg aligned on images without distortions. Left: the caption and the five "
        "nearest images; right ones are framed and named. Right: the image and the five nearest captions; right ones "
        "are bold and named. Right are the pair itself and those of its group with the same caption, such as drawings "
        "of one character in several typefaces. Pairs are drawn at random, three where a right image is among the five "
        "and three where none is. Above: how often a right one is among the five, over all test rows.",
        compute_neighbours, draw_neighbours, check_data=check_data, resumable=True),
}
