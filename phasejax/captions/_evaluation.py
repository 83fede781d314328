"""What trained encoders of images and captions have learnt: linear probes on clean images, and retrieval."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback
from phasejax.captions._batch import PAD
from phasejax.captions._epochs import CaptionEpochs
from phasejax.captions._experiment import CaptionExperiment
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._retrieval import chance_recall, retrieval_recall
from phasejax.captions._sources import Split, open_captions
from phasejax.deep import ProbeRows, TrainedGrid, probe
from phasejax.deep._evaluation import scored_cells
from phasejax.deep._grid import DIMS, cells_of
from phasejax.deep._grid_experiment import by_cell
from phasejax.deep.data import Cell

KS = (1, 5, 10)
DIRECTIONS = ("image to text", "text to image")


@dataclass(frozen=True, eq=False)
class EmbeddedCaptions:
    """Clean rows as the encoders of one cell embed them.

    Args:
        images: outputs of the image encoder, shape (n, k); None where the objective has none.
        texts: outputs of the text encoder on the captions, shape (m, k); None where the objective has none.
        row_of: the row that each caption belongs to, shape (m,), from 0 to n - 1.
        labels: classes, shape (n,).
    """

    images: Float[np.ndarray, "n k"] | None
    texts: Float[np.ndarray, "m k"] | None
    row_of: Int[np.ndarray, "m"]
    labels: Int[np.ndarray, "n"]

    @property
    def probed(self) -> Float[np.ndarray, "n k"]:
        """What a probe sees: images where they are embedded, else the captions, one of each row."""
        found = self.texts if self.images is None else self.images
        if found is None:
            raise ValueError("images: expected those or texts, since every objective has an encoder, got neither")
        return found


class FrozenCaptionEncoders:
    """The encoders of a trained grid, each with the parameters of its least validation loss.

    Args:
        trained: what `phasejax.deep.train_grid` found of a `CaptionExperiment`.
        progress: as in `phasejax.sweep`, where images have to be read again.
    """

    def __init__(self, trained: TrainedGrid[CaptionExperiment], progress: bool | ProgressCallback = False):
        self.trained, self.source = trained, open_captions(trained.experiment, progress)
        self.cells = cells_of(trained.experiment)
        self._epochs: dict[str, CaptionEpochs] = {}

    def cell(self, number: int) -> Cell:
        """The cell of a number, in the order of `cells_of`."""
        return jax.tree.map(lambda leaf: leaf[number], self.cells)

    def split(self, number: int) -> Split:
        """The rows of a cell."""
        return self.source.split(self.cell(number))

    def embed(self, objective: str, number: int, pairs: CaptionPairs, rows: Int[np.ndarray, "n"], *,
              all_captions: bool = False) -> EmbeddedCaptions:
        """Embed clean rows by the encoders of one cell.

        Args:
            objective: of the grid.
            number: of the cell.
            pairs: whose rows; those of `source`.
            rows: row numbers.
            all_captions: whether texts are all captions of the rows; else the first of each.
        """
        if objective not in self._epochs:
            self._epochs[objective] = CaptionEpochs(self.trained.experiment, objective, self.source,
                                                    jax.local_devices()[:1])
        epochs, size = self._epochs[objective], self.trained.experiment.batch
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf[number]), self.trained.params[objective])
        training = epochs.training
        images = None
        if "images" in training.encoded:
            images = np.concatenate([
                np.asarray(training.embed_images(state, epochs.clean(pairs.rows(taken)).images))
                for taken in _blocks(rows, size)])[:len(rows)]
        tokens = pairs.tokens[rows] if all_captions else pairs.tokens[rows][:, :1]
        written = (tokens != PAD).any(-1)
        row_of, texts = np.nonzero(written)[0], None
        if "tokens" in training.encoded:
            tokens = tokens[written]
            texts = np.concatenate([np.asarray(training.embed_texts(state, tokens[taken]))
                                    for taken in _blocks(np.arange(len(tokens)), size)])[:len(tokens)]
        return EmbeddedCaptions(images, texts, row_of, pairs.labels[rows])


@checked
def evaluate_captions(trained: TrainedGrid, *, progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Fit linear probes to frozen encoders of every cell, and retrieve captions by images and images by captions.

    Probes are multinomial logistic regressions on all training rows (`phasejax.deep.probe`), whose images are clean;
    of cp_reverse, which has no image encoder, they see the embedding of the clean caption.

    Args:
        trained: what `phasejax.deep.train_grid` found of a `CaptionExperiment`.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell.

    Returns:
        A dataset over (objective, jitter, noise, seed): `top1`, the share of test rows whose class is predicted, and
        whether the probe `converged`; `chance`, the share of the most frequent class; `recall` by direction and k,
        NaN for objectives without encoders of both, beside `recall_chance`; and the learning curves of `trained`.
        Cells whose parameters are not finite have NaN scores.

    Raises:
        ValueError: `trained` is of another experiment.

    Source: K26, section 4.3.
    """
    if not isinstance(trained.experiment, CaptionExperiment):
        raise ValueError("trained: expected the training of a CaptionExperiment, got that of "
                         f"{type(trained.experiment).__name__}")
    experiment, encoders = trained.experiment, FrozenCaptionEncoders(trained, progress)

    def score(objective: str, number: int) -> dict[str, Any]:
        split, source = encoders.split(number), encoders.source
        parts = [encoders.embed(objective, number, source.pairs, split.train)]
        parts += [encoders.embed(objective, number, source.held_out, rows) for rows in (split.validation, split.test)]
        vectors = [part.probed for part in parts]
        probed = probe(ProbeRows(
            features=np.concatenate(vectors), labels=np.concatenate([part.labels for part in parts]),
            positions=np.empty((sum(map(len, vectors)), 0)), train=len(split.train),
            validation=len(split.validation)), (len(split.train),))
        found = {"top1": probed.accuracy[0], "converged": probed.converged[0], "chance": probed.chance}
        tested = encoders.embed(objective, number, source.held_out, split.test, all_captions=True)
        return found | _retrieved(tested)

    return scored_cells(trained, score, partial(_score_dataset, experiment), "cells evaluated", progress)


def _retrieved(tested: EmbeddedCaptions) -> dict[str, np.ndarray]:
    """Recall in both directions, and that of guessing."""
    rows, row_of = np.arange(len(tested.labels)), tested.row_of
    captions = np.bincount(row_of, minlength=len(rows))
    chance = np.stack([chance_recall(captions, len(row_of), KS),
                       chance_recall(np.ones(len(row_of), int), len(rows), KS)])
    if tested.images is None or tested.texts is None:
        return {"recall": np.full_like(chance, np.nan), "recall_chance": chance}
    return {"recall": np.stack([retrieval_recall(tested.images, tested.texts, rows, row_of, KS),
                                retrieval_recall(tested.texts, tested.images, row_of, rows, KS)]),
            "recall_chance": chance}


def _score_dataset(experiment: CaptionExperiment, scores: list[dict[str, Any]]) -> xr.Dataset:
    """The scores of all cells of one objective."""
    dims = {"recall": (*DIMS, "direction", "k"), "recall_chance": (*DIMS, "direction", "k")}
    return xr.Dataset({name: (dims.get(name, DIMS), by_cell(experiment, [score[name] for score in scores]))
                       for name in scores[0]},
                      coords={"jitter": list(experiment.jitters), "noise": list(experiment.noises),
                              "seed": np.arange(experiment.seeds), "direction": list(DIRECTIONS), "k": list(KS)})


def _blocks(rows: Int[np.ndarray, "n"], size: int) -> list[Int[np.ndarray, "size"]]:
    """Rows in blocks of one size, the last filled up with copies of its last row."""
    return list(np.pad(rows, (0, -len(rows) % size), mode="edge").reshape(-1, size))
