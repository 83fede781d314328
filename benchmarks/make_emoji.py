"""Makes `phasejax/_data/emoji.npz`, the drawings of `phasejax.captions.load_emoji`, from two packages of npm.

`npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0`, unpack both, and run
`python -m benchmarks.make_emoji GOOGLE TWITTER` with their folders `package`. Variants of skin tone are left out. The
drawings of 64 x 64 pixels are laid on white and reduced to 32 x 32, each artist's to a palette of 256 colours, and all
compressed by LZMA, which takes a quarter less than PNG: `numpy.load` reads such files too.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

MADE = Path(__file__).parents[1] / "phasejax" / "_data" / "emoji.npz"
SIDE, COLOURS = 32, 256
_NO_EMOJI = "Component"  # the category of the skin tones themselves


def drawing(path: Path) -> UInt8[np.ndarray, "side side 3"]:
    """A drawing on white, reduced to means over squares of pixels."""
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return np.asarray(paper.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def in_palette(images: UInt8[np.ndarray, "n side side 3"]
               ) -> tuple[UInt8[np.ndarray, "n side side"], UInt8[np.ndarray, "colours 3"]]:
    """The number of each pixel's colour and the palette: median cuts, moved by two rounds of k-means."""
    flat = Image.fromarray(images.reshape(-1, SIDE, 3))
    reduced = flat.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    palette = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    return np.asarray(reduced).reshape(images.shape[:3]), palette


def make(folders: dict[str, Path], made: Path = MADE) -> None:
    """Write both artists' drawings with names, categories, subcategories and code points, in Unicode's order."""
    listed = json.loads((folders["google"] / "emoji.json").read_text())
    emoji = sorted((one for one in listed if one["category"] != _NO_EMOJI), key=lambda one: one["sort_order"])
    arrays = {"name": np.array([one["name"].lower() for one in emoji]),
              **{key: np.array([one[key] for one in emoji]) for key in ("category", "subcategory")},
              "code": np.array([one["unified"] for one in emoji])}
    for artist, folder in folders.items():
        images = np.stack([drawing(folder / "img" / artist / "64" / one["image"]) for one in emoji])
        arrays[f"{artist}_pixels"], arrays[f"{artist}_palette"] = in_palette(images)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_LZMA) as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            # A fixed date, so that the same drawings give the same file.
            file.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue(),
                          zipfile.ZIP_LZMA)


if __name__ == "__main__":
    make({"google": Path(sys.argv[1]), "twitter": Path(sys.argv[2])})
