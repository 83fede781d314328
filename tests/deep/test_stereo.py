"""Stereo pairs: the convention of the warp, the moments of jitter and noise, and the uniform shapes and positions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.ndimage import map_coordinates

from phasejax.deep import data
from phasejax.deep.data import _stereo


@pytest.mark.parametrize("seed", range(6))
def test_the_warp_samples_where_the_text_says(seed):
    """Against SciPy in double precision, whose mode "grid-constant" also interpolates between the image and zero."""
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


@functools.partial(jax.jit, static_argnums=1)
def render_many(pairs, n, jitter, noise, position):
    """Compiled once for all data of one shape and number of rows."""
    keys = jax.random.split(jax.random.key(0), n)
    return jax.vmap(lambda key: data.render(pairs, key, 0, position, jitter, noise))(keys)


def rendered(pairs, n, jitter, noise, position=(0.0, 0.0)):
    return render_many(pairs, n, jitter, noise, jnp.array(position))


def test_the_views_are_a_baseline_apart():
    x, y = (np.asarray(view) for view in rendered(disc(), 400, 0.0, 0.0, position=(0.1, -0.3)))
    # x has noise of its own: what is brighter than it is the disc.
    np.testing.assert_allclose(centre_of_mass(x > 0.6), [[-0.1, -0.3]] * 400, atol=0.02)
    np.testing.assert_allclose(centre_of_mass(y), [[0.3, -0.3]] * 400, atol=1e-3)


@pytest.mark.slow
def test_jitter_is_that_of_each_view():
    """400 pairs: standard deviations within 4 s.e. (14%), and correlations of the views' shifts within 4 s.e. of 0."""
    x, y = (centre_of_mass(np.asarray(view) > 0.6) for view in rendered(disc(), 400, 0.1, 0.0))
    for view, centre in ((x, -0.2), (y, 0.2)):
        np.testing.assert_allclose(view.mean(0), [centre, 0], atol=4 * 0.1 / 20)
        np.testing.assert_allclose(view.std(0), 0.1, rtol=4 / np.sqrt(2 * 400))
    for axis in (0, 1):
        assert abs(np.corrcoef(x[:, axis], y[:, axis])[0, 1]) < 4 / 20


def test_noise_is_a_tenth_on_x_and_the_given_on_y():
    """Noise on grey images, which is not clipped: standard deviations of 200,000 pixels; large noise is clipped."""
    grey = data.Stereo(images=np.full((1, 64, 64, 1), 0.5, np.float32), turn=0.0)
    x, y = (np.asarray(view)[:, 16:48, 16:48] for view in rendered(grey, 200, 0.0, 0.05))
    np.testing.assert_allclose([x.std(), y.std()], [0.1, 0.05], rtol=0.01)
    np.testing.assert_allclose([x.mean(), y.mean()], 0.5, atol=0.001)
    x, y = rendered(grey, 200, 0.0, 0.9)
    assert min(x.min(), y.min()) == 0
    assert max(x.max(), y.max()) == 1


def test_the_label_is_the_shape_that_is_seen():
    """Without jitter and noise a row's y is its own shape, moved by its position and half the baseline."""
    images = np.random.default_rng(0).uniform(size=(4, 16, 16, 3)).astype(np.float32)
    pairs = data.Stereo(images=images, turn=0.0)
    views = jax.jit(data.draw)(pairs, jax.random.split(jax.random.key(3), 40), 0.0, 0.0)
    assert set(np.asarray(views.label)) == {0, 1, 2, 3}
    expected = jax.jit(jax.vmap(lambda image, position: _stereo.warp(image, position + jnp.array([0.2, 0.0]), 0.0)))(
        images[np.asarray(views.label)], views.position)
    np.testing.assert_allclose(views.y, expected, atol=1e-5)


def test_the_views_have_noise_of_their_own():
    """200 grey pairs, 204,800 pixels in either view: the correlation of x and y is within 4 s.e. of 0."""
    grey = data.Stereo(images=np.full((1, 64, 64, 1), 0.5, np.float32), turn=0.0)
    x, y = (np.asarray(view)[:, 16:48, 16:48].ravel() for view in rendered(grey, 200, 0.0, 0.05))
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(len(x))


@pytest.mark.slow
def test_white_noise_is_normal_and_of_each_pixel_alone():
    """1024 keys with small words, 4096 pixels each: moments and correlations within 4 s.e., which is 0.002."""
    words = np.stack([np.repeat(np.arange(32), 32), np.tile(np.arange(32), 32)], 1).astype(np.uint32)
    normals = np.asarray(_stereo._white_noise(jax.random.wrap_key_data(words), 4096), np.float64)
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
    # No two rows, and no two pixels over the rows, are correlated: 6 s.e., since there are a million pairs of either.
    for rows in (normals, normals.T[:1024]):
        correlations = np.corrcoef(rows)
        assert np.abs(correlations - np.eye(len(rows))).max() < 6 / np.sqrt(rows.shape[1])


@pytest.mark.slow
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
    draw = jax.jit(data.draw)
    all_rows, alone = draw(pairs, keys, 0.2, 0.5), draw(pairs, keys[4:5], 0.2, 0.5)
    jax.tree.map(lambda whole, one: np.testing.assert_allclose(whole[4:5], one, atol=2e-6), all_rows, alone)
    again = draw(pairs, keys, 0.0, 0.5)
    np.testing.assert_array_equal(again.label, all_rows.label)
    np.testing.assert_array_equal(again.position, all_rows.position)


@pytest.mark.slow
def test_shapes_and_positions_are_uniform():
    """3000 rows: the share of each shape and the mean of each coordinate are within 4 s.e. of what they should be."""
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
