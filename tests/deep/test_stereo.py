"""Stereo pairs: the warp's convention, moments of jitter and noise, canonical images, published files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.ndimage import map_coordinates

from phasejax.deep import data
from phasejax.deep.data import _published, _sprites, _stereo

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(6))
def test_the_warp_samples_where_the_text_says(seed):
    """Against SciPy, zero outside the pixels' centres blended in ("grid-constant"), in double precision."""
    rng = np.random.default_rng(seed)
    image, shift, turn = rng.uniform(size=(24, 24)), rng.normal(0, 0.5, 2), rng.normal(0, 1)
    u, v = np.meshgrid((2 * np.arange(24) + 1) / 24 - 1, (2 * np.arange(24) + 1) / 24 - 1)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    source = np.einsum("ab,bij->aij", rotation, np.stack([u, v])) - shift[:, None, None]
    column, row = ((source + 1) * 24 - 1) / 2
    expected = map_coordinates(image, [row, column], order=1, mode="grid-constant", cval=0.0)
    with jax.enable_x64(True):
        found = _stereo.warp(jnp.asarray(image)[..., None], jnp.asarray(shift), turn)[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_content_moves_right_and_down_and_then_turns_about_the_centre():
    image = np.zeros((32, 32, 1), np.float32)
    image[15, 15] = 1.0
    moved = _stereo.warp(image, jnp.array([4 / 16, 2 / 16]), 0.0)
    assert np.unravel_index(moved.argmax(), (32, 32)) == (17, 19)
    # A quarter turn takes right to down: from the centre (15.5, 15.5) the pixel is 3.5 right and 1.5 down.
    turned = _stereo.warp(image, jnp.array([4 / 16, 2 / 16]), np.pi / 2)
    assert np.unravel_index(turned.argmax(), (32, 32)) == (19, 14)


def test_what_leaves_the_image_is_gone():
    image = np.ones((16, 16, 3), np.float32)
    assert np.abs(_stereo.warp(image, jnp.array([2.5, 0.0]), 0.3)).max() == 0
    half = _stereo.warp(image, jnp.array([1.0, 0.0]), 0.0)
    np.testing.assert_allclose(half[:, :8], 0, atol=1e-6)
    np.testing.assert_allclose(half[:, 8:], 1, atol=1e-6)


def centre_of_mass(images):
    centres = (2 * np.arange(images.shape[1]) + 1) / images.shape[1] - 1
    mass = images[..., 0].sum((1, 2))
    return np.stack([(images[..., 0].sum(axis) * centres).sum(1) / mass for axis in (1, 2)], 1)


def disc():
    u, v = np.meshgrid(*[(2 * np.arange(64) + 1) / 64 - 1] * 2)
    return data.Stereo(images=(np.hypot(u, v) < 0.12).astype(np.float32)[None, ..., None], turn=None)


def rendered(pairs, n, jitter, noise, position=(0.0, 0.0)):
    keys = jax.random.split(jax.random.key(0), n)
    return jax.vmap(lambda key: data.render(pairs, key, 0, jnp.array(position), jitter, noise))(keys)


def test_the_views_are_a_baseline_apart():
    x, y = (np.asarray(view) for view in rendered(disc(), 2, 0.0, 0.0, position=(0.1, -0.3)))
    # x has noise of its own: what is brighter than it is the disc.
    np.testing.assert_allclose(centre_of_mass(x > 0.6), [[-0.1, -0.3]] * 2, atol=0.02)
    np.testing.assert_allclose(centre_of_mass(y), [[0.3, -0.3]] * 2, atol=1e-3)


def test_jitter_is_that_of_each_view():
    """400 pairs: standard deviations within 4 s.e. (14 %), correlation of the views' shifts within 4 s.e. of 0."""
    x, y = (centre_of_mass(np.asarray(view) > 0.6) for view in rendered(disc(), 400, 0.1, 0.0))
    for view, centre in ((x, -0.2), (y, 0.2)):
        np.testing.assert_allclose(view.mean(0), [centre, 0], atol=4 * 0.1 / 20)
        np.testing.assert_allclose(view.std(0), 0.1, rtol=4 / np.sqrt(2 * 400))
    for axis in (0, 1):
        assert abs(np.corrcoef(x[:, axis], y[:, axis])[0, 1]) < 4 / 20


def test_noise_is_a_tenth_on_x_and_the_given_on_y():
    """Amid a large white square nothing is clipped half the time: deviations below 1, of 200,000 pixels."""
    grey = data.Stereo(images=np.full((1, 64, 64, 1), 0.5, np.float32), turn=0.0)
    x, y = (np.asarray(view)[:, 16:48, 16:48] for view in rendered(grey, 200, 0.0, 0.05))
    np.testing.assert_allclose([x.std(), y.std()], [0.1, 0.05], rtol=0.01)
    np.testing.assert_allclose([x.mean(), y.mean()], 0.5, atol=0.001)
    x, y = rendered(grey, 20, 0.0, 0.9)
    assert min(x.min(), y.min()) == 0
    assert max(x.max(), y.max()) == 1


def test_the_label_is_the_shape_that_is_seen():
    """Without jitter and noise a row's y is its own shape, moved by its position and half the baseline."""
    pairs = data.stereo_shapes3d(16)
    views = data.draw(data.Stereo(images=pairs.images, turn=0.0), jax.random.split(jax.random.key(3), 40), 0.0, 0.0)
    assert set(np.asarray(views.label)) == {0, 1, 2, 3}
    for row, (label, position) in enumerate(zip(views.label, views.position, strict=True)):
        expected = _stereo.warp(pairs.images[label], position + jnp.array([0.2, 0.0]), 0.0)
        np.testing.assert_allclose(views.y[row], expected, atol=1e-5)


def test_the_views_have_noise_of_their_own():
    """Of 50 pairs on grey, 51,200 pixels each: correlation within 4 s.e. of 0."""
    grey = data.Stereo(images=np.full((1, 64, 64, 1), 0.5, np.float32), turn=0.0)
    x, y = (np.asarray(view)[:, 16:48, 16:48].ravel() for view in rendered(grey, 50, 0.0, 0.05))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(len(x))


def test_white_noise_is_normal_and_of_each_pixel_alone():
    """1024 keys that differ by one bit of either word, 4096 pixels: 4 s.e., 0.002, of moments and of correlations."""
    words = np.stack([np.repeat(np.arange(32), 32), np.tile(np.arange(32), 32)], 1).astype(np.uint32)
    normals = np.asarray(_stereo._white(jax.random.wrap_key_data(words), 4096), np.float64)
    # Kolmogorov's statistic at level 1e-4, and tails: the share beyond 3 is 0.0027, within 4 s.e. 1e-4.
    sample = np.sort(normals.ravel())
    grid = (np.arange(len(sample)) + 0.5) / len(sample)
    assert np.abs(scipy.stats.norm.cdf(sample) - grid).max() < 2.23 / np.sqrt(len(sample)) + 2**-17
    assert np.mean(np.abs(sample) > 3) == pytest.approx(0.0027, abs=1e-4)
    assert 4.2 < np.abs(sample).max() < 4.4
    error = 4 / np.sqrt(len(sample))
    for other in (np.roll(normals, 1, 1), np.roll(normals, 64, 1), np.roll(normals, 1, 0), np.roll(normals, 32, 0),
                  np.roll(normals, (1, 1), (0, 1)), np.roll(normals, (32, 1), (0, 1)),
                  np.roll(normals, (32, -1), (0, 1))):
        assert abs(np.mean(normals * other)) < error
        assert abs(np.mean((normals**2 - 1) * (other**2 - 1)) / 2) < error
    # No two rows, and no two pixels over the rows, are alike: 1e6 pairs each, 6 s.e.
    for rows in (normals, normals.T[:1024]):
        correlations = np.corrcoef(rows)
        assert np.abs(correlations - np.eye(len(rows))).max() < 6 / np.sqrt(rows.shape[1])


def test_a_fixed_turn_does_not_follow_the_jitter():
    bar = np.zeros((1, 64, 64, 1), np.float32)
    bar[:, 31:33, 12:52] = 1
    still, turning = (data.Stereo(images=bar, turn=turn) for turn in (0.0, 0.3))
    angles = []
    for pairs in (still, turning):
        _, y = rendered(pairs, 200, 0.0, 0.0, position=(-0.2, 0.0))
        row, column = np.mgrid[:64, :64] - 31.5
        moments = [np.einsum("nij,ij->n", np.asarray(y)[..., 0], m) for m in (column**2 - row**2, 2 * row * column)]
        angles.append(np.arctan2(moments[1], moments[0]) / 2)
    assert np.abs(angles[0]).max() < 1e-3
    np.testing.assert_allclose(angles[1].std(), 0.3, rtol=4 / np.sqrt(400))


def test_a_row_is_the_same_in_any_company():
    pairs = data.stereo_dsprites(16)
    keys = jax.random.split(jax.random.key(1), 6)
    all_rows = data.draw(pairs, keys, 0.2, 0.5)
    alone = jax.jit(data.draw)(pairs, keys[4:5], 0.2, 0.5)
    jax.tree.map(lambda whole, one: np.testing.assert_allclose(whole[4:5], one, atol=2e-6), all_rows, alone)
    again = data.draw(pairs, keys, 0.0, 0.5)
    np.testing.assert_array_equal(again.label, all_rows.label)
    np.testing.assert_array_equal(again.position, all_rows.position)


def test_shapes_and_positions_are_uniform():
    """3000 rows: each third and each mean within 4 s.e."""
    views = data.draw(data.stereo_dsprites(16), jax.random.split(jax.random.key(2), 3000), 0.1, 0.2)
    np.testing.assert_allclose(np.bincount(views.label) / 3000, 1 / 3, atol=4 * np.sqrt(2 / 9 / 3000))
    np.testing.assert_allclose(views.position.mean(0), 0, atol=4 * np.sqrt(1 / 12 / 3000))
    assert np.abs(views.position).max() <= 0.5


@pytest.mark.parametrize(("jitter", "noise", "message"), [
    (-0.1, 0.5, "jitter: expected a number from 0 to 1, got -0.1"), (0.1, 1.5, "noise: expected a number from 0 to 1"),
    (float("nan"), 0.5, "jitter: expected")])
def test_jitter_and_noise_out_of_range_are_refused(jitter, noise, message):
    with pytest.raises(ValueError, match=message):
        data.render(data.stereo_dsprites(16), jax.random.key(0), 0, jnp.zeros(2), jitter, noise)


def test_outlines_have_their_areas():
    """Square and ellipse in closed form; the heart from its definition: a square on its corner and two half discs."""
    images = np.asarray(_sprites.outlines(512))[..., 0]
    areas = images.mean((1, 2)) * 4
    side = 2 * _sprites._HEART * np.sqrt(0.5)
    expected = [(2 * _sprites._SQUARE) ** 2, np.pi * np.prod(_sprites._ELLIPSE), side**2 + np.pi * (side / 2) ** 2]
    np.testing.assert_allclose(areas, expected, rtol=0.01)
    np.testing.assert_allclose(images[:, :, ::-1], images, atol=1e-5)


@pytest.mark.parametrize("distance", [_sprites.square, _sprites.ellipse, _sprites.heart])
def test_distances_grow_at_unit_rate_at_the_outline(distance):
    x, y = jax.random.uniform(jax.random.key(0), (2, 20_000), minval=-0.6, maxval=0.6)
    near = np.flatnonzero(np.abs(distance(x, y)) < 0.01)
    slope = jax.vmap(jax.grad(lambda p: distance(p[0], p[1])))(jnp.stack([x, y], 1)[near])
    assert len(near) > 100
    # Corners and the tip of the heart are the exceptions.
    assert np.mean(np.abs(np.linalg.norm(slope, axis=1) - 1) < 0.02) > 0.95


def sprite_file(path, side=64):
    """Two scales, two turns, three places across and down, as the file orders them."""
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
