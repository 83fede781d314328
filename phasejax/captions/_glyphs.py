"""Characters as the fonts of matplotlib draw them, with the words of their Unicode names as captions."""

import unicodedata

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_among, check_count
from phasejax.captions._emoji import named_pairs
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._vocabulary import Vocabulary

# Files of the DejaVu fonts, which matplotlib brings along.
FACES = {"sans": "DejaVuSans.ttf", "sans bold": "DejaVuSans-Bold.ttf", "sans oblique": "DejaVuSans-Oblique.ttf",
         "serif": "DejaVuSerif.ttf", "serif bold": "DejaVuSerif-Bold.ttf", "serif italic": "DejaVuSerif-Italic.ttf",
         "mono": "DejaVuSansMono.ttf", "mono bold": "DejaVuSansMono-Bold.ttf",
         "mono oblique": "DejaVuSansMono-Oblique.ttf"}
_LARGEST_SIDE = 1024  # pixels
_FILLED = 0.8  # of the side by the em of the font, which leaves room for most accents
_CLASSES = {"L": "letter", "M": "mark", "N": "number", "P": "punctuation", "S": "symbol"}
_LETTERS = {"Lu": "capital letter", "Ll": "small letter", "Sm": "mathematical symbol"}


@checked
def load_glyphs(faces: tuple[str, ...] = ("sans",), size: int = 32, length: int = 32, least_count: int = 3,
                vocabulary: Vocabulary | None = None) -> CaptionPairs:
    """Characters with a Unicode name, in black on white, and the words of their names.

    Each character of the first face is drawn in every face that has it. The caption does not say in which: the face is
    a nuisance that the image alone shows. All drawings of a character form one of the `groups`.

    Args:
        faces: names out of `FACES`: "sans", "serif" and "mono", alone or with "bold", "oblique" or "italic".
        size: side of the images in pixels.
        length: T, the tokens in a caption.
        least_count: words that are in fewer names are unknown.
        vocabulary: in place of that of the names.

    Returns:
        Rows in the order of code points, face by face, `ids` of which are code point and face. Labels are kinds of
        characters: capital and small letters, other letters, marks, numbers, punctuation, mathematical and other
        symbols.

    Raises:
        ValueError: no faces, others, or one twice, a size above 1024.

    Source: the DejaVu fonts in matplotlib (Bitstream Vera licence) and Python's `unicodedata`.

    >>> pairs = load_glyphs(size=16)
    >>> pairs.images.shape[1:], str(pairs.ids[0]), pairs.captions()[0], len(pairs)
    ((16, 16, 3), '0021 sans', 'exclamation mark', 5766)
    """
    check_among("faces", faces, FACES)
    check_count("size", size, most=_LARGEST_SIDE)
    if not faces or len(set(faces)) < len(faces):
        raise ValueError(f"faces: expected at least one out of {', '.join(FACES)}, each once, got {faces}")
    have = [_characters(face) for face in faces]
    rows = [(code, face) for face, codes in zip(faces, have, strict=True) for code in sorted(have[0] & codes)]
    names = np.array([unicodedata.name(chr(code)).lower() for code, _ in rows])
    images = np.concatenate([_drawn(face, [code for code, of in rows if of == face], size) for face in faces])
    return named_pairs(images, names, np.array([_kind(chr(code)) for code, _ in rows]),
                       np.array([f"{code:04X} {face}" for code, face in rows]),
                       np.unique([code for code, _ in rows], return_inverse=True)[1].astype(np.int32),
                       length=length, least_count=least_count, vocabulary=vocabulary)


def _path(face):
    import matplotlib

    return matplotlib.get_data_path() + f"/fonts/ttf/{FACES[face]}"


def _characters(face):
    """Code points that the face draws and that have a name; no spaces and no signs that are not seen."""
    from matplotlib.ft2font import FT2Font

    return {code for code in FT2Font(_path(face)).get_charmap()
            if unicodedata.category(chr(code))[0] in _CLASSES and unicodedata.name(chr(code), "")}


def _kind(character):
    category = unicodedata.category(character)
    return _LETTERS.get(category) or {"L": "other letter", "S": "other symbol"}.get(category[0], _CLASSES[category[0]])


def _drawn(face, codes, size):
    """The characters in the middle of white images; the few that are larger are made smaller."""
    from PIL import Image, ImageDraw, ImageFont

    drawn = np.empty((len(codes), size, size, 3), np.uint8)
    fonts = [ImageFont.truetype(_path(face), max(1, round(_FILLED * size * 0.8**smaller))) for smaller in range(10)]
    for row, code in enumerate(codes):
        boxes = (font.getbbox(chr(code)) for font in fonts)
        font, (left, top, right, bottom) = next(
            (font, box) for font, box in zip(fonts, boxes, strict=False)
            if max(box[2] - box[0], box[3] - box[1]) <= size or font is fonts[-1])
        image = Image.new("L", (size, size), "white")
        # At whole pixels: Pillow cuts off the edges of characters between them.
        place = (round((size - left - right) / 2), round((size - top - bottom) / 2))
        ImageDraw.Draw(image).text(place, chr(code), 0, font)
        drawn[row] = np.asarray(image)[..., None]
    return drawn
