"""Rows as a network sees them: one caption of each with what the nuisance writes into it, and its image normalised."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import KeyLike, check_key, check_number, is_traced
from phasejax.captions._batch import PAD, CaptionBatch
from phasejax.captions._image_statistics import statistic_tokens
from phasejax.captions._nuisance import PARTS, CaptionNuisance
from phasejax.captions._pairs import CaptionRows
from phasejax.captions._style_draw import StyleDraw, draw_styles, show_styles, style_tokens
from phasejax.captions._styles import SIDE, gaussian_blur
from phasejax.captions._vocabulary import BOS, EOS, SEP

_BLUR = 4.0  # standard deviation at level 1, in 224ths of the side
# Mean and standard deviation of red, green and blue in the images of ImageNet, as image networks expect them.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


@checked
def present(key: KeyLike, rows: CaptionRows, nuisance: CaptionNuisance, level: Float[ArrayLike, ""] | None = None,
            jitter: Float[ArrayLike, ""] | None = None) -> CaptionBatch:
    """Rows as a network sees them: one caption of each, with its nuisance, and normalised images.

    A pure function, to be compiled together with the training step. A row's draw depends on the key and on its number,
    not on the rows that it is in a batch with.

    Args:
        key: from which captions, styles and jitter are drawn; another one in every epoch.
        rows: as they were loaded.
        nuisance: its mode decides which program is compiled.
        level, jitter: in place of those of the nuisance; they may be traced, so that one program serves a grid.

    Returns:
        Images with the mean and deviation of ImageNet taken out, tokens of shape (n, T), labels.

    Raises:
        ValueError: the mode scene for rows without scenes; a level or jitter out of range, where it is not traced.

    Source: K26, section 4.3.

    >>> from phasejax.captions import load_emoji
    >>> pairs = load_emoji()
    >>> batch = present(0, pairs.rows(np.array([1000])), CaptionNuisance("style", level=0.2))
    >>> batch.images.shape, pairs.vocabulary.decode(batch.tokens[0])
    ((1, 32, 32, 3), 'slightly vignetted <sep> clock face four oclock')
    """
    key = check_key("key", key)
    level, jitter = _given("level", level, nuisance.level), _given("jitter", jitter, nuisance.jitter)
    if nuisance.mode == "scene" and rows.scenes.shape[1] == 0:
        raise ValueError("mode: expected one other than scene for images without descriptions of scenes, got scene")
    return _presented(key, rows, nuisance, level, jitter)


@partial(jax.jit, static_argnames="nuisance")
def _presented(key, rows, nuisance, level, jitter):
    mode = nuisance.mode
    images = jnp.asarray(rows.images).astype(jnp.float32) / 255
    which, swapped = _uniform(key, rows.index).T
    captions = rows.tokens
    if mode == "swap":
        captions = jnp.where((swapped < jitter)[:, None, None], rows.donors, captions)
    which = jnp.minimum((which * captions.shape[1]).astype(int), captions.shape[1] - 1)
    tokens = jnp.take_along_axis(captions, which[:, None, None], axis=1)[:, 0]
    prefix = jnp.zeros((len(tokens), 0), tokens.dtype)
    if mode in ("image", "style", "swap"):
        drawn = styles_of(key, rows.index, nuisance, level, jitter)
        images = show_styles(images, drawn)
        if mode == "style":
            prefix = style_tokens(drawn)
        else:
            images = jax.vmap(gaussian_blur, (0, None))(images, _BLUR * level * images.shape[1] / SIDE)
    elif mode == "text":
        said = jax.vmap(statistic_tokens)(images)
        prefix = jnp.where(jnp.arange(said.shape[1]) < _used(level, PARTS), said, PAD)
    elif mode == "scene":
        there = (rows.scenes[:, :, 0] != PAD).sum(1)
        said = jnp.arange(rows.scenes.shape[1]) < _used(level, there)[:, None]
        prefix = jnp.where(said[..., None], rows.scenes, PAD).reshape(len(tokens), -1)
    return CaptionBatch(images=normalise(images), tokens=jax.vmap(_with_prefix)(tokens, prefix), labels=rows.labels)


def _used(level, parts):
    """max(1, round(l parts)), or 0 at l = 0."""
    return jnp.where(level > 0, jnp.maximum(1, jnp.round(level * parts)), 0)


@checked
def styles_of(key: KeyLike, index: Int[ArrayLike, "n"], nuisance: CaptionNuisance,
              level: Float[ArrayLike, ""] | None = None, jitter: Float[ArrayLike, ""] | None = None) -> StyleDraw:
    """The styles that `present` draws for some rows with the same key: the nuisance that a probe can look for.

    Args:
        key, nuisance, level, jitter: as given to `present`.
        index: numbers of the rows, shape (n,).

    >>> styles_of(0, jnp.arange(3), CaptionNuisance("style", level=0.2)).style.max(1).tolist()
    [6, 2, 13]
    """
    level, jitter = _given("level", level, nuisance.level), _given("jitter", jitter, nuisance.jitter)
    return draw_styles(jax.random.fold_in(check_key("key", key), 1), index, level,
                       jitter if nuisance.mode == "style" else 0.0, nuisance.jitter_to)


def normalise(images: Float[ArrayLike, "*n 3"]) -> Float[Array, "*n 3"]:
    """Images with values from 0 to 1 with ImageNet's mean and deviation of each colour taken out.

    >>> print(normalise(jnp.array([0.485, 0.68, 0.406])))
    [0. 1. 0.]
    """
    return (jnp.asarray(images) - MEAN) / DEVIATION


def pixels(images: Float[ArrayLike, "*n 3"]) -> Float[Array, "*n 3"]:
    """Normalised images, such as those that a decoder predicts, as values that can be shown: clipped to 0 to 1.

    >>> print(pixels(jnp.array([9.0, -9.0, 0.0])))
    [1.    0.    0.406]
    """
    return jnp.clip(jnp.asarray(images) * DEVIATION + MEAN, 0, 1)


def _given(name, value, of_nuisance):
    """What was given in place of the nuisance's own value; a concrete number must be from 0 to 1."""
    if value is None:
        return of_nuisance
    return value if is_traced(value) else check_number(name, value, least=0, most=1)


def _uniform(key, index):
    """Two uniform numbers for each row: which caption is shown, and whether it is swapped."""
    base = jax.random.fold_in(key, 0)
    return jax.vmap(lambda row: jax.random.uniform(jax.random.fold_in(base, row), (2,)))(jnp.asarray(index))


def _with_prefix(tokens, prefix):
    """A caption with words before its own and `SEP` between; `PAD` among them is left out, and the end is cut off."""
    separator = jnp.where((prefix != PAD).any(), SEP, PAD)[None]
    whole = jnp.concatenate([jnp.array([BOS]), prefix, separator, tokens[1:]]).astype(tokens.dtype)
    length = len(tokens)
    place = jnp.cumsum(whole != PAD) - 1
    kept = jnp.full(length, PAD, tokens.dtype).at[jnp.where(whole == PAD, length, place)].set(whole, mode="drop")
    return kept.at[-1].set(jnp.where(kept[-1] == PAD, PAD, EOS))
