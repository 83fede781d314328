"""Canonical images from files of the layout of dSprites and 3DShapes, written here."""

import numpy as np
import pytest

from phasejax.deep import data
from phasejax.deep.data import _published


def sprite_file(path, side=64):
    """A file in the order of the published one, with two scales, two orientations and three places each way."""
    latents = [0], [0, 1, 2], [0, 1], [0, 1], [0, 1, 2], [0, 1, 2]
    classes = np.stack(np.meshgrid(*latents, indexing="ij"), -1).reshape(-1, 6)
    images = np.zeros((len(classes), side, side), np.uint8)
    for image, (_, shape, scale, turn, column, row) in zip(images, classes, strict=True):
        image[4 * row:4 * row + 2 + shape, 4 * column:4 * column + 2 + scale + turn] = 1
    np.savez(path, imgs=images, latents_classes=classes)
    return images, classes


def test_sprites_are_read_from_the_published_layout(tmp_path):
    images, classes = sprite_file(tmp_path / "sprites.npz")
    wanted = [np.flatnonzero((classes == [0, shape, 1, 0, 1, 1]).all(1))[0] for shape in range(3)]
    np.testing.assert_array_equal(_published.dsprites(tmp_path / "sprites.npz", 64)[..., 0], images[wanted])
    small = _published.dsprites(tmp_path / "sprites.npz", 16)
    np.testing.assert_allclose(small[..., 0], images[wanted].reshape(3, 16, 4, 16, 4).mean((2, 4)))
    assert data.stereo_dsprites(32, str(tmp_path / "sprites.npz")).images.shape == (3, 32, 32, 1)


def solid_file(path):
    import h5py

    labels = np.stack(np.meshgrid([0, 0.5], [0, 0.1], [0, 0.1], [0.75, 1.25], [0, 1, 2, 3], [-30, 0, 30],
                                  indexing="ij"), -1).reshape(-1, 6)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 16, 16, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, labels
    return images, labels


def test_solids_are_read_from_the_published_layout(tmp_path):
    images, labels = solid_file(tmp_path / "solids.h5")
    wanted = [np.flatnonzero((labels == [0.5, 0.1, 0.1, 1.25, shape, 0]).all(1))[0] for shape in range(4)]
    found = _published.shapes3d(tmp_path / "solids.h5", 16)
    np.testing.assert_allclose(found, images[wanted] / 255, atol=1e-6)


@pytest.mark.parametrize("damage", ["absent", "truncated", "text", "fields", "shapes"])
def test_files_of_another_layout_are_refused(tmp_path, damage):
    for reader, write, name in ((_published.dsprites, sprite_file, "a.npz"), (_published.shapes3d, solid_file, "a.h5")):
        path = tmp_path / name
        write(path)
        match damage:
            case "absent":
                path.unlink()
            case "truncated":
                path.write_bytes(path.read_bytes()[:500])
            case "text":
                path.write_text("not a data set")
            case "fields" if name == "a.npz":
                np.savez(path, imgs=np.zeros((3, 64, 64), np.uint8))
            case "shapes" if name == "a.npz":
                np.savez(path, imgs=np.zeros((3, 64, 64), np.uint8), latents_classes=np.zeros((3, 5), int))
            case _:
                import h5py

                with h5py.File(path, "w") as file:
                    file["images"] = np.zeros((3, 16, 16, 3), np.uint8)
                    if damage == "shapes":
                        file["labels"] = np.zeros((3, 5))
        with pytest.raises(ValueError, match="path: expected"):
            reader(path, 16)


def test_a_size_that_does_not_divide_is_refused(tmp_path):
    sprite_file(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"size: expected a divisor of 64, .*, got 48"):
        _published.dsprites(tmp_path / "a.npz", 48)
