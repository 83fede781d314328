"""Names that are not the same, and would be if they were written alike: 007 and 7, S1 and s1, with a blank inside."""

import re
import unicodedata

import numpy as np

# Of more identifiers without a partner only so many are looked at.
_MOST = 100_000
# More names of classes or groups than this are not compared.
_MOST_NAMES = 20_000
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u00ad"))  # characters that have no width


def written_otherwise(first: np.ndarray, second: np.ndarray) -> str | None:
    """What to say about identifiers of two sides that differ in how they are written only; None without.

    Leading zeros, capitals, blanks, decimals that are zero, and forms of the same letter are what may differ.

    Args:
        first, second: identifiers of both sides in one type.

    >>> written_otherwise(np.array(["007", "a1"]), np.array(["7", "A1", "b2"]))
    'written otherwise, such as 007 and 7, 2 identifiers count as different'
    """
    left, right = (dict.fromkeys(np.setdiff1d(one, other)[:_MOST].astype(str).tolist())
                   for one, other in ((first, second), (second, first)))
    theirs = {_as_written(text): text for text in right}
    pairs = [(text, theirs[form]) for text in left if (form := _as_written(text)) in theirs]
    if not pairs:
        return None
    one, other = min(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    if not (one + other).isascii():
        one, other = ascii(one), ascii(other)  # characters that may look alike
    return f"written otherwise, such as {one} and {other}, {len(pairs)} identifier" + (
        "s count as different" if len(pairs) > 1 else " counts as different")


def alike_names(names: list[str]) -> list[str]:
    """Those of different names that differ from another one only in how they are written.

    >>> alike_names(["B", "b", "T", "1", "1.0"])
    ['1', '1.0', 'B', 'b']
    """
    if len(names) > _MOST_NAMES:
        return []
    forms: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        forms.setdefault(_as_written(name), []).append(name)
    return [name for alike in forms.values() if len(alike) > 1 for name in alike]


def _as_written(text):
    text = "".join(unicodedata.normalize("NFKC", text).translate(_UNSEEN).split()).casefold()
    text = re.sub(r"^([+-]?\d+)\.0*$", r"\1", text)
    return re.sub(r"(?<!\d)0+(?=\d)", "", text) if re.fullmatch(r"[+-]?\d+", text) else text
