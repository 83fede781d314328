"""Canonical images from the published files: dSprites and 3DShapes, brought to a given size."""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

# Latent classes of a sprite: colour, shape, scale, orientation, x, y; of a solid: floor hue, wall hue,
# object hue, scale, shape, orientation. Of those that are no signal the middle value is taken, of
# scale the largest.
_SPRITE_SHAPE, _SPRITE_SCALE, _SPRITE_TURN, _SPRITE_PLACE = 1, 2, 3, (4, 5)
_SOLID_SCALE, _SOLID_SHAPE = 3, 4


def dsprites(path: str | Path, size: int) -> Float[np.ndarray, "3 size size 1"]:
    """Square, ellipse and heart, largest, upright and in the middle of the image.

    Args:
        path: of dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz, or one of that layout.
        size: side in pixels, a divisor of the file's.

    Raises:
        ValueError: no such file, another layout, a size that does not divide.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            images, classes = _array(file, path, "imgs", 3), _array(file, path, "latents_classes", 2)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise _unreadable(path, "a dSprites .npz file with imgs and latents_classes", error) from None
    if classes.shape != (len(images), 6) or classes[:, _SPRITE_SHAPE].max() != 2:
        raise ValueError(f"path: expected six latent classes for each image of three shapes in {path}, got shape "
                         f"{classes.shape} for {len(images)} images")
    wanted = {_SPRITE_SCALE: classes[:, _SPRITE_SCALE].max(), _SPRITE_TURN: 0,
              **{place: (classes[:, place].max() + 1) // 2 for place in _SPRITE_PLACE}}
    rows = [_row(path, classes, wanted | {_SPRITE_SHAPE: shape}) for shape in range(3)]
    return _shrunk(images[rows][..., None].astype(np.float32), size, path)


def shapes3d(path: str | Path, size: int) -> Float[np.ndarray, "4 size size 3"]:
    """Cube, cylinder, sphere and capsule in one colour, largest, seen straight on.

    Args:
        path: of 3dshapes.h5, or one of that layout; needs the extra `hdf5`.
        size: side in pixels, a divisor of the file's.

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
            if labels.ndim != 2 or labels.shape[1] != 6 or images.ndim != 4 or len(images) != len(labels):
                raise ValueError(f"shapes {images.shape} and {labels.shape}")
            classes = np.stack([np.unique(column, return_inverse=True)[1] for column in labels.T], axis=1)
            if classes[:, _SOLID_SHAPE].max() != 3:
                raise ValueError(f"{classes[:, _SOLID_SHAPE].max() + 1} shapes")
            wanted = {column: (classes[:, column].max() + 1) // 2 for column in (0, 1, 2, 5)}
            wanted[_SOLID_SCALE] = classes[:, _SOLID_SCALE].max()
            found = np.stack([images[_row(path, classes, wanted | {_SOLID_SHAPE: shape})] for shape in range(4)])
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, "a 3DShapes .h5 file with images (n, s, s, 3) and labels (n, 6) of four shapes",
                          error) from None
    return _shrunk(found.astype(np.float32) / 255, size, path)


def _array(file, path, name, dimensions):
    array = file[name]
    if array.ndim != dimensions or array.dtype.kind not in "iu":
        raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}")
    return array


def _row(path, classes, wanted):
    rows = np.flatnonzero(np.all([classes[:, column] == value for column, value in wanted.items()], axis=0))
    if not rows.size:
        raise ValueError(f"path: expected an image with latent classes {wanted} in {path}, got none")
    return rows[0]


def _shrunk(images, size, path):
    """Means over squares of pixels."""
    side = images.shape[1]
    if images.shape[2] != side or side % size:
        raise ValueError(f"size: expected a divisor of {side}, the side of the images in {path}, got {size}")
    step = side // size
    return images.reshape(len(images), size, step, size, step, -1).mean(axis=(2, 4))


def _unreadable(path, wanted, error):
    return ValueError(f"path: expected {wanted}, got {path} ({error})")
