"""Emoji and glyphs are what their names say, and rows that show nearly the same form groups."""

import unicodedata

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from phasejax.captions import RESERVED, build_vocabulary, load_emoji, load_glyphs, words_of
from phasejax.datasets import load_emoji_artists


@pytest.fixture(scope="module")
def emoji():
    return load_emoji_artists()


def test_colours_of_hearts_and_circles_are_those_of_their_names(emoji):
    """In either artist's drawing the mean colour away from the white paper has the hue of the name."""
    pure = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "purple": (1, 0, 1)}
    for view in (emoji.x, emoji.y):
        ink = 1 - view.reshape(-1, 32, 32, 3)
        for name, colour in pure.items():
            for thing in ("circle", "heart"):
                rows = np.flatnonzero(np.isin(emoji.names, [f"large {name} {thing}", f"{name} {thing}"]))
                for row in rows:
                    mean = 1 - (ink[row].reshape(-1, 3) * ink[row].max(2).reshape(-1, 1)).sum(0) / ink[row].max(2).sum()
                    bright = np.array(colour, bool)
                    assert mean[bright].min() > mean[~bright].max(), (name, thing)


def test_two_artists_draw_the_same_thing(emoji):
    """Correlation of the drawings of flags, which are nearly alike, is high, and falls when rows are shuffled."""
    flags = emoji.labels == "Flags"
    x, y = (view[flags] - view[flags].mean(0) for view in (emoji.x, emoji.y))
    shuffled = np.random.default_rng(0).permutation(len(y))
    together, apart = ((x * other).sum() / np.linalg.norm(x) / np.linalg.norm(y) for other in (y, y[shuffled]))
    assert together > 0.5
    assert abs(apart) < 0.1


def test_groups_join_what_differs_in_the_person_alone(emoji):
    def group(name):
        return emoji.group[emoji.names == name][0]

    assert group("man zombie") == group("woman zombie")
    assert group("farmer") == group("man farmer") == group("woman farmer")
    assert len({group("farmer"), group("cook"), group("hippopotamus"), group("grinning face")}) == 4
    assert len(set(emoji.group)) == 1703
    with pytest.raises(ValueError, match="artist: expected"):
        load_emoji("apple")


def test_glyphs_are_drawn_inside_the_image_in_every_face():
    pairs = load_glyphs(("mono", "serif bold"), size=24)
    codes = np.array([int(one.split()[0], 16) for one in pairs.ids])
    assert len(set(codes)) == 3293
    ink = 1 - pairs.images[..., 0] / 255
    # The few without ink are signs that these fonts leave blank.
    assert (ink.sum((1, 2)) == 0).sum() < 8
    faces = np.array([one.split(" ", 1)[1] for one in pairs.ids])
    letters = {face: ink[(faces == face) & np.isin(codes, [ord(c) for c in "aegnosx"])] for face in set(faces)}
    # Bold letters have more ink, and letters stand in the middle.
    assert letters["serif bold"].mean() > 1.1 * letters["mono"].mean()
    middles = [(one.mean(axis) @ np.arange(24)) / one.mean(axis).sum() for one in letters["mono"] for axis in (0, 1)]
    assert np.abs(np.array(middles) - 11.5).max() < 2
    assert pairs.label_names[pairs.labels[codes == ord("Q")][0]] == "capital letter"
    # As high and as wide as matplotlib draws them, to a pixel of rounding and one of smoothing.
    font = FT2Font(matplotlib.get_data_path() + "/fonts/ttf/DejaVuSerif-Bold.ttf")
    font.set_size(19, 72)
    for one, character in zip(letters["serif bold"], "aegnosx", strict=True):
        glyph = font.load_char(ord(character))
        extent = [np.ptp(np.flatnonzero(one.max(axis) > 0.2)) + 1 for axis in (1, 0)]
        assert np.abs(np.array(extent) - [glyph.height / 64, glyph.width / 64]).max() < 2
    row = int(np.flatnonzero(codes == 0x3B1)[0])
    assert pairs.captions()[row] == unicodedata.name(chr(0x3B1)).lower()
    assert len(set(pairs.groups[codes == 0x3B1])) == 1
    with pytest.raises(ValueError, match=r"faces: expected .* got 'comic'"):
        load_glyphs(("comic",))
    with pytest.raises(ValueError, match=r"faces: expected .* each once, got"):
        load_glyphs(("sans", "sans"))


def test_a_vocabulary_has_the_most_frequent_words_whatever_the_order_of_the_captions():
    captions = ["A dog.", "a cat", "a red dog", "the cat"]
    vocabulary = build_vocabulary(captions, most=len(RESERVED) + 3, least_count=1)
    assert vocabulary.words[len(RESERVED):] == ("a", "cat", "dog")
    assert build_vocabulary(captions[::-1], most=len(RESERVED) + 3, least_count=1) == vocabulary
    assert vocabulary.encode("The cat, a dog", 64)[:7].tolist() == [2, 1, len(RESERVED) + 1, 1, len(RESERVED),
                                                                    len(RESERVED) + 2, 3]
    assert not {word for token in RESERVED[:29] for word in words_of(token)} & {token for token in RESERVED[:29]}
    for given in ({"most": 5}, {"least_count": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(given))}: expected"):
            build_vocabulary(captions, **given)
    with pytest.raises(ValueError, match="tokens: expected numbers from 0"):
        vocabulary.decode(np.array([10_000]))
