"""What is done to images and captions: how often, how strongly, and what the caption says of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.captions import (
    RESERVED,
    STYLES,
    CaptionNuisance,
    apply_style,
    caption_features,
    load_coco,
    load_emoji,
    pixels,
    present,
    styles_of,
)
from phasejax.captions._image_statistics import image_statistics, statistic_tokens
from phasejax.captions._present import _with_prefix
from phasejax.captions._vocabulary import STRENGTH_WORDS, STYLE_WORDS
from tests.captions.coco_folder import make_coco

COUNT = 4000
FIRST = dict(zip(STYLES, [0] * 4 + [4] * 2 + [6] * 2 + [8] * 4 + [12] * 2 + [14] * 2, strict=True))
SIZES = np.array([4, 2, 2, 4, 2, 2])


def drawn(level, jitter=0.0, jitter_to="another", mode="style", key=0):
    return jax.tree.map(np.asarray, styles_of(key, jnp.arange(COUNT), CaptionNuisance(
        mode, level=level, jitter=jitter, jitter_to=jitter_to)).__dict__ | {"keys": 0})


@pytest.fixture(scope="module")
def pairs():
    return load_emoji(size=16).select(np.arange(0, 1900, 100))


@pytest.mark.parametrize(("level", "count"), [(0.0, 0), (0.01, 1), (0.2, 1), (0.5, 3), (1.0, 6)])
def test_as_many_groups_are_active_as_the_level_says(level, count):
    assert CaptionNuisance("style", level=level).groups == count
    assert set((drawn(level)["style"] >= 0).sum(1)) == {count}


def test_styles_and_strengths_are_uniform():
    found = drawn(0.5)
    style, active = found["style"], found["style"] >= 0
    # Each group in half of the rows; 5 standard errors of n = 4000.
    assert np.abs(active.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(COUNT)
    counts = np.bincount(style[active], minlength=16)
    expected = np.repeat(COUNT / 2 / SIZES, SIZES)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    strength = found["strength"][active]
    assert 0.3 <= strength.min() < 0.301 < 0.999 < strength.max() <= 1
    assert strength.mean() == pytest.approx(0.65, abs=5 * 0.7 / np.sqrt(12 * strength.size))
    assert np.array_equal(found["named"], style)


def test_jitter_to_another_names_a_different_style_of_the_group_as_strongly():
    found = drawn(1.0, jitter=0.3)
    wrong = found["named"] != found["style"]
    assert wrong.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / wrong.size))
    first = np.array([FIRST[STYLES[i]] for i in range(16)])
    assert np.array_equal(first[found["named"]], first[found["style"]])
    assert np.array_equal(found["named_strength"], found["strength"])
    # At 1 each is wrong, in groups of four equally often by any other.
    found = drawn(1.0, jitter=1.0)
    step = (found["named"] - found["style"]) % SIZES
    assert (step > 0).all()
    assert np.abs(np.bincount(step[:, 0], minlength=4)[1:] / COUNT - 1 / 3).max() < 5 * 0.48 / np.sqrt(COUNT)
    # Groups that are not active are not named.
    found = drawn(0.2, jitter=1.0)
    assert np.array_equal(found["named"] < 0, found["style"] < 0)


def test_jitter_to_anew_makes_the_nuisance_of_the_caption_independent():
    found = drawn(0.5, jitter=1.0, jitter_to="anew")
    shown, named = (found[name] == np.arange(16)[:, None, None] for name in ("style", "named"))
    shown, named = (one.any(2).astype(float) for one in (shown, named))
    correlation = np.corrcoef(shown, named)[:16, 16:]
    assert np.abs(correlation).max() < 5 / np.sqrt(COUNT)
    assert set(named.sum(0)) == {3}
    # The correlation of either's indicators is 1 - jitter.
    found = drawn(0.5, jitter=0.4, jitter_to="anew")
    same = [np.corrcoef((found["style"] == s).any(1), (found["named"] == s).any(1))[0, 1] for s in range(16)]
    assert np.mean(same) == pytest.approx(0.6, abs=5 * 0.8 / np.sqrt(COUNT))
    # A caption describes one draw or the other, not some styles of each.
    assert (found["style"] == found["named"]).all(1).mean() == pytest.approx(0.6, abs=0.01 + 5 * 0.49 / np.sqrt(COUNT))


def test_an_image_shows_the_styles_that_were_drawn_and_its_caption_names_them(pairs):
    nuisance, rows = CaptionNuisance("style", level=0.5), pairs.rows(np.arange(len(pairs)))
    batch, styles = present(3, rows, nuisance), styles_of(3, rows.index, nuisance)
    one = jax.jit(apply_style)
    for i in (0, 7, 12):
        expected = pairs.images[i] / np.float32(255)
        for style, strength in zip(styles.style[i], styles.strength[i], strict=True):
            expected = expected if style < 0 else one(expected, style, strength, styles.keys[i])
        np.testing.assert_allclose(pixels(batch.images[i]), expected, atol=1e-5)
        said = [word for style, strength in zip(styles.named[i], styles.named_strength[i], strict=True) if style >= 0
                for word in (STRENGTH_WORDS[int((strength - 0.3) / 0.14)], STYLE_WORDS[style])]
        assert pairs.vocabulary.decode(batch.tokens[i]) == " ".join([*said, "<sep>", pairs.captions()[i]])
    assert np.array_equal(batch.labels, pairs.labels)


    # Whatever rows are in the batch with it.
    backwards = present(3, pairs.rows(np.arange(len(pairs))[::-1]), nuisance)
    for name in ("images", "tokens"):
        np.testing.assert_allclose(getattr(backwards, name)[::-1], getattr(batch, name), atol=1e-5)


@pytest.mark.slow
def test_one_program_serves_a_grid_of_levels_and_jitters(pairs):
    rows, nuisance = pairs.rows(np.arange(len(pairs))), CaptionNuisance("style", level=0.5)
    whole = present(3, rows, nuisance)
    cells = jax.jit(jax.vmap(partial(present, jax.random.key(3), rows, CaptionNuisance("style"))))(
        level=jnp.array([0.0, 0.5]), jitter=jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(cells.images[1], whole.images, atol=1e-5)
    assert np.array_equal(cells.tokens[1], whole.tokens)
    assert np.array_equal(cells.tokens[0], pairs.tokens[:, 0])
    np.testing.assert_allclose(pixels(cells.images[0]), pairs.images / 255, atol=1e-6)


@pytest.mark.slow
def test_captions_are_swapped_as_often_as_the_jitter_says():
    pairs = load_emoji(size=8)
    rows = pairs.rows(np.arange(len(pairs)), seed=1)
    batch = present(3, rows, CaptionNuisance("swap", level=0.5, jitter=0.3))
    own, donor = (np.asarray((batch.tokens == tokens[:, 0]).all(1)) for tokens in (rows.tokens, rows.donors))
    assert (own | donor).all()
    differ = (rows.tokens != rows.donors).any((1, 2))
    assert donor[differ].mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / differ.sum()))
    # Images are distorted as in the mode image, whose captions stay as they are.
    assert (np.abs(pixels(batch.images) - rows.images / 255).mean((1, 2, 3)) > 0.003).mean() > 0.99
    image = present(3, rows, CaptionNuisance("image", level=0.5))
    np.testing.assert_allclose(image.images, batch.images, atol=1e-5)
    assert np.array_equal(image.tokens, pairs.tokens[:, 0])


@pytest.mark.slow
def test_statistics_and_scenes_stand_before_a_caption(pairs, tmp_path):
    rows = pairs.rows(np.arange(19))
    text = present(3, rows, CaptionNuisance("text", level=0.5))
    bins = [RESERVED[int(token)] for token in statistic_tokens(rows.images[5] / np.float32(255))[:3]]
    assert pairs.vocabulary.decode(text.tokens[5]) == " ".join([*bins, "<sep>", pairs.captions()[5]])
    coco = load_coco(str(make_coco(tmp_path)), size=8, length=16)
    shown = present(3, coco.rows(np.arange(12)), CaptionNuisance("scene", level=1.0)).tokens
    assert coco.vocabulary.decode(shown[3]).startswith("dog left <sep> a dog sits")
    assert coco.vocabulary.decode(shown[0]).startswith("a dog sits")
    # One of the five captions is shown, each of them somewhere.
    assert len({coco.vocabulary.decode(row).split("number")[1][:2] for row in np.asarray(shown)}) > 2
    with pytest.raises(ValueError, match="mode: expected one other than scene"):
        present(3, rows, CaptionNuisance("scene", level=1.0))


def test_a_caption_that_is_too_long_is_cut_and_ends():
    caption, prefix = jnp.array([2, 60, 61, 3, 0, 0]), jnp.array([0, 40, 30, 0])
    found = jax.jit(jax.vmap(_with_prefix, (None, 0)))(caption, jnp.array([prefix, 0 * prefix, prefix.at[2].set(0)]))
    assert found.tolist() == [[2, 40, 30, 4, 60, 3], [2, 60, 61, 3, 0, 0], [2, 40, 4, 60, 61, 3]]


def test_statistics_of_an_image_lie_in_the_published_bins():
    ramp = np.zeros((8, 8, 3), np.float32)
    ramp[:4] = [0.9, 0.2, 0.1]
    luminance = ramp @ [0.299, 0.587, 0.114]
    found = np.asarray(image_statistics(jnp.asarray(ramp)))
    expected = [luminance.mean(), 0.4, luminance.std(ddof=1), 0.5 * 0.8 / 0.9, luminance.max() / 14, luminance.max()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert [RESERVED[int(token)] for token in statistic_tokens(jnp.asarray(ramp))] == [
        "<brightness 2 of 6>", "<colour temperature 3 of 3>", "<contrast 3 of 4>", "<saturation 3 of 4>",
        "<detail 2 of 4>", "<balance 3 of 3>"]


def test_features_are_pixels_and_counts_of_words(pairs):
    features = caption_features(pairs, CaptionNuisance("none"), 0, size=8)
    shown = pixels(features.x.reshape(-1, 8, 8, 3))
    np.testing.assert_allclose(shown.mean((1, 2)), (pairs.images / 255).mean((1, 2)), atol=0.02)
    captions = [caption.split() for caption in pairs.captions()]
    assert all([caption.count(word) for word in features.words] == row.tolist()
               for caption, row in zip(captions, features.y, strict=True))
    assert {word for caption in captions for word in caption} == set(features.words)


@pytest.mark.parametrize(("given", "said"), [
    ({"mode": "blur"}, "mode: expected"), ({"mode": "style", "level": 1.5}, "level: expected"),
    ({"mode": "style", "jitter": -0.1}, "jitter: expected"),
    ({"mode": "style", "jitter_to": "x"}, "jitter_to: expected"),
    ({"mode": "image", "jitter": 0.2}, "jitter: expected 0 in the mode image, got 0.2")])
def test_a_nuisance_that_cannot_be_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        CaptionNuisance(**given)


def test_levels_and_jitters_out_of_range_are_refused(pairs):
    for given in ({"level": 1.5}, {"jitter": -0.5}, {"level": float("nan")}):
        with pytest.raises(ValueError, match=f"^{next(iter(given))}: expected a number of at least 0 and of at most 1"):
            present(0, pairs.rows(np.arange(2)), CaptionNuisance("style"), **given)
