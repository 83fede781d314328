"""Canonical images of shapes from the published files, dSprites and 3DShapes, reduced to a given size.

Either file holds one image for every combination of its latent factors. The shape is the signal; of the factors that
are none, the middle value is taken (of the orientation of a sprite the first, which is upright), and of the scale the
largest. Source: Matthey et al. 2017, dSprites; Burgess and Kim 2018, 3DShapes.
"""

import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Float

# Columns of the latent factors in the files. Of sprites: colour, shape, scale, orientation, x, y; of solids: floor
# hue, wall hue, object hue, scale, shape, orientation.
_SPRITE_SHAPE, _SPRITE_SCALE, _SPRITE_ORIENTATION, _SPRITE_PLACE = 1, 2, 3, (4, 5)
_SOLID_SCALE, _SOLID_SHAPE, _SOLID_HUES_AND_ORIENTATION = 3, 4, (0, 1, 2, 5)


def dsprites(path: str | Path, size: int) -> Float[np.ndarray, "3 size size 1"]:
    """Square, ellipse and heart at the largest scale, upright, in the middle of the image; values 0 and 1.

    Args:
        path: the file dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz, or another of that layout.
        size: side of the images in pixels, a divisor of the side in the file.

    Returns:
        One image for each shape, means over squares of the file's pixels.

    Raises:
        ValueError: no such file, another layout, a size that does not divide.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            images, classes = _integers(file, "imgs", 3), _integers(file, "latents_classes", 2)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        _refuse_layout(path, "a dSprites .npz file with imgs and latents_classes", error)
    if classes.shape != (len(images), 6) or classes[:, _SPRITE_SHAPE].max() != 2:
        raise ValueError(f"path: expected six latent classes for each image of three shapes in {path}, got shape "
                         f"{classes.shape} for {len(images)} images")
    wanted = {_SPRITE_SCALE: classes[:, _SPRITE_SCALE].max(), _SPRITE_ORIENTATION: 0,
              **{place: (classes[:, place].max() + 1) // 2 for place in _SPRITE_PLACE}}
    rows = [_row_with_classes(path, classes, wanted | {_SPRITE_SHAPE: shape}) for shape in range(3)]
    return _reduced(images[rows][..., None].astype(np.float32), size, path)


def shapes3d(path: str | Path, size: int) -> Float[np.ndarray, "4 size size 3"]:
    """Cube, cylinder, sphere and capsule in the same colours, at the largest scale, seen straight on; values 0 to 1.

    Args:
        path: the file 3dshapes.h5, or another of that layout; needs the extra `hdf5`.
        size: side of the images in pixels, a divisor of the side in the file.

    Returns:
        One image for each shape, means over squares of the file's pixels.

    Raises:
        ValueError: no such file, another layout, a size that does not divide.
        ImportError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError('reading 3dshapes.h5 needs h5py: pip install "phasejax[hdf5]"') from None
    try:
        with h5py.File(path, "r") as file:
            labels, images = np.asarray(file["labels"]), file["images"]
            if not isinstance(images, h5py.Dataset):
                raise ValueError("images that are no array")
            if labels.ndim != 2 or labels.shape[1] != 6 or images.ndim != 4 or len(images) != len(labels):
                raise ValueError(f"shapes {images.shape} and {labels.shape}")
            classes = np.stack([np.unique(column, return_inverse=True)[1] for column in labels.T], axis=1)
            if classes[:, _SOLID_SHAPE].max() != 3:
                raise ValueError(f"{classes[:, _SOLID_SHAPE].max() + 1} shapes")
            wanted = {column: (classes[:, column].max() + 1) // 2 for column in _SOLID_HUES_AND_ORIENTATION}
            wanted[_SOLID_SCALE] = classes[:, _SOLID_SCALE].max()
            # Four rows are read of a file of several gigabytes.
            rows = [_row_with_classes(path, classes, wanted | {_SOLID_SHAPE: shape}) for shape in range(4)]
            found = np.stack([np.asarray(images[row]) for row in rows])
    except (OSError, KeyError, ValueError) as error:
        _refuse_layout(path, "a 3DShapes .h5 file with images (n, s, s, 3) and labels (n, 6) of four shapes", error)
    return _reduced(found.astype(np.float32) / 255, size, path)


def _integers(file, name, dimensions):
    """An array of whole numbers with so many dimensions."""
    array = file[name]
    if array.ndim != dimensions or array.dtype.kind not in "iu":
        raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}")
    return array


def _row_with_classes(path, classes, wanted):
    """The first row whose latent factors have the wanted classes, given by column."""
    rows = np.flatnonzero(np.all([classes[:, column] == value for column, value in wanted.items()], axis=0))
    if not rows.size:
        raise ValueError(f"path: expected an image with latent classes {wanted} in {path}, got none")
    return rows[0]


def _reduced(images, size, path):
    """Means over squares of pixels."""
    side = images.shape[1]
    if images.shape[2] != side or side % size:
        raise ValueError(f"size: expected a divisor of {side}, the side of the images in {path}, got {size}")
    step = side // size
    return images.reshape(len(images), size, step, size, step, -1).mean(axis=(2, 4))


def _refuse_layout(path: str | Path, wanted: str, error: Exception) -> NoReturn:
    raise ValueError(f"path: expected {wanted}, got {path} ({error})") from None
