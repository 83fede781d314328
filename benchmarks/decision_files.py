"""Collections that `decision_pairs` reads from a folder: blood cells (RNA and protein) and emoji of two artists."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np


def blood_cells(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """800 blood cells: logarithms of RNA counts and of protein counts, and 8 cell types."""
    import h5py

    with h5py.File(Path(folder, "quickstart_pbmc_mosaic.h5mu")) as file:
        tables, names, types = [], [], []
        for modality in ("rna", "adt"):
            group = cast(Any, file[f"mod/{modality}"])
            counts = np.zeros(group["X"].attrs["shape"])
            ends = group["X/indptr"][:]
            counts[np.repeat(np.arange(len(counts)), np.diff(ends)), group["X/indices"][:]] = group["X/data"][:]
            total = counts.sum(1, keepdims=True)
            tables.append(np.log1p(counts / np.maximum(total, 1) * np.median(total)))
            names.append(group["obs/_index"][:])
            types.append(group["obs/celltype/codes"][:])
    _, left, right = np.intersect1d(*names, return_indices=True)
    return tables[0][left], tables[1][right], types[0][left]


def emoji(folder: Path, label: str, cut: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Emoji as two artists drew them, on white, 16 x 16 pixels of three colours; or one artist's halves.

    Args:
        folder: with both sheets and emoji.json.
        label: "category", or "face" for whether the emoji is a smiley, a person or an animal.
        cut: "artists" or "sides".
    """
    from PIL import Image

    entries = [entry for entry in json.loads((folder / "emoji.json").read_text())
             if entry["has_img_google"] and entry["has_img_twitter"] and entry["category"] != "Component"]
    sheets = {}
    for artist in ("google", "twitter"):
        image = Image.open(folder / f"{artist}.png").convert("RGBA")
        sheet = np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")) / 255
        # A pixel of margin on each side of the 32.
        images = np.stack([sheet[34 * e["sheet_y"] + 1:, 34 * e["sheet_x"] + 1:][:32, :32] for e in entries])
        sheets[artist] = images.reshape(len(entries), 16, 2, 16, 2, 3).mean((2, 4))
    names = np.array([e["category"] for e in entries])
    labels = (np.unique(names, return_inverse=True)[1] if label == "category" else
              np.isin(names, ["Smileys & Emotion", "People & Body", "Animals & Nature"]).astype(int))
    google = sheets["google"]
    x, y = (google, sheets["twitter"]) if cut == "artists" else (google[:, :, :8], google[:, :, 8:])
    return x, y, labels
