r"""Captions as numbers: words by a regular expression, tokens that every vocabulary has, and the words of the data.

The reserved tokens come first and have the same numbers in every vocabulary, so that programs which write into captions
on the device need none. Five mark places (`PAD`, `UNK`, `BOS`, `EOS`, `SEP`), twenty-four say in which bin a statistic
of the image lies, sixteen name styles and five say how strong a style is, five more serve descriptions of a scene.

Source: K26, section 4.3, whose published code keeps at most 10,000 tokens, words that are there at least three times,
and captions of at most 64 tokens. There, words for styles and scenes are added to the vocabulary of the runs that need
them, so that runs at different noise have different vocabularies; here all have them.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

from phasejax._core.atomic_files import written_whole
from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count, shown
from phasejax.captions._batch import PAD

UNK, BOS, EOS, SEP = range(1, 5)  # `PAD` is 0
# Bins of each statistic of an image, in the order in which they are written into a caption.
STATISTICS = {"brightness": 6, "colour temperature": 3, "contrast": 4, "saturation": 4, "detail": 4, "balance": 3}
STYLE_WORDS = ("sepia", "bluish", "amber", "greenish", "overexposed", "underexposed", "contrasty", "flat", "grainy",
               "blurred", "posterized", "solarized", "vivid", "muted", "vignetted", "spotlit")
STRENGTH_WORDS = ("slightly", "somewhat", "moderately", "strongly", "extremely")
SCENE_WORDS = ("left", "centre", "right", "small", "large")
_SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<sep>")
# No caption has them: the regular expression below takes none of their brackets together with a word.
_STATISTIC_TOKENS = tuple(f"<{name} {i + 1} of {bins}>" for name, bins in STATISTICS.items() for i in range(bins))
RESERVED = (*_SPECIAL, *_STATISTIC_TOKENS, *STYLE_WORDS, *STRENGTH_WORDS, *SCENE_WORDS)
FIRST_STATISTIC, FIRST_STYLE = len(_SPECIAL), len(_SPECIAL) + len(_STATISTIC_TOKENS)
FIRST_STRENGTH = FIRST_STYLE + len(STYLE_WORDS)
FIRST_SCENE = FIRST_STRENGTH + len(STRENGTH_WORDS)
_VERSION = 1
_LONGEST = 4096  # tokens of a caption, beyond which text encoders take gigabytes


def words_of(caption: str) -> list[str]:
    """The words and marks of a caption in lower case: runs of letters and digits, and each other mark by itself.

    Args:
        caption: any text.

    Returns:
        Its words in order; none of a text of spaces.

    >>> words_of("A dog's ball, thrown.")
    ['a', 'dog', "'", 's', 'ball', ',', 'thrown', '.']
    """
    if not isinstance(caption, str):
        raise ValueError(f"caption: expected text, got {shown(caption)}")
    return re.findall(r"\w+|[^\s\w]", caption.lower())


@checked
@dataclass(frozen=True)
class Vocabulary:
    """Which number stands for which word.

    Args:
        words: the reserved tokens, then the words of the data, each once; a word's place is its number.

    Raises:
        ValueError: words that do not begin with the reserved tokens, or that are there twice.

    >>> vocabulary = build_vocabulary(["a dog", "a cat", "a red dog"], least_count=2)
    >>> vocabulary.words[len(RESERVED):]
    ('a', 'dog')
    >>> vocabulary.decode(vocabulary.encode("A red dog", length=8))
    'a <unk> dog'
    """

    words: tuple[str, ...]
    _number: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if self.words[:len(RESERVED)] != RESERVED:
            raise ValueError(f"words: expected the {len(RESERVED)} reserved tokens first, got {self.words[:3]} ...")
        number = {word: i for i, word in enumerate(self.words)}
        if len(number) < len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise ValueError(f"words: expected each word once, got {twice!r} twice")
        object.__setattr__(self, "_number", number)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve digits that only the same words in the same order have."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:12]

    def encode(self, caption: str, length: int = 64) -> Int[np.ndarray, "length"]:
        """The numbers of a caption's words between `BOS` and `EOS`, filled up with `PAD`.

        Args:
            caption: any text; words that are not in the vocabulary become `UNK`.
            length: T, at least 3; words beyond T - 2 are left out.

        Returns:
            int32, shape (T,).
        """
        check_count("length", length, 3, _LONGEST)
        known = [self._number.get(word, UNK) for word in words_of(caption)[:length - 2]]
        encoded = np.full(length, PAD, np.int32)
        encoded[:len(known) + 2] = [BOS, *known, EOS]
        return encoded

    def decode(self, tokens: Int[HostOrDevice, "length"]) -> str:
        """The words of a caption, separated by spaces, without `PAD`, `BOS` and `EOS`.

        Args:
            tokens: numbers of words, shape (T,).

        Raises:
            ValueError: a number that stands for no word.
        """
        numbers = np.asarray(tokens)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise ValueError(f"tokens: expected numbers from 0 to {len(self) - 1}, got {numbers.min()} to "
                             f"{numbers.max()}")
        return " ".join(self.words[i] for i in numbers.tolist() if i not in (PAD, BOS, EOS))

    def check_same(self, other: "Vocabulary") -> None:
        """Refuse the vocabulary of another run: the same numbers would stand for other words.

        Raises:
            ValueError: in one line, with the numbers of words and both fingerprints.
        """
        if not isinstance(other, Vocabulary):
            raise ValueError(f"vocabulary: expected a Vocabulary, got {shown(other)}")
        if other.words != self.words:
            raise ValueError(f"vocabulary: expected that of the run, {len(self)} words ({self.fingerprint}), got "
                             f"another of {len(other)} words ({other.fingerprint})")

    def save(self, path: str) -> None:
        """Write the words to a JSON file, with a version and the fingerprint.

        Raises:
            OSError: the folder does not exist or cannot be written.
        """
        saved = {"phasejax_vocabulary": _VERSION, "fingerprint": self.fingerprint, "words": list(self.words)}
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(saved, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, path: str) -> "Vocabulary":
        """Read what `save` has written.

        Raises:
            ValueError: in one line: no such file, no vocabulary, one of a later version, one that was changed.
        """
        check_regular_file(path)
        wanted = "a vocabulary that phasejax has saved"
        with reading(str(path), wanted):
            with open(path, encoding="utf-8") as file:
                saved = json.load(file)
            if not isinstance(saved, dict) or "phasejax_vocabulary" not in saved:
                raise ValueError(f"{path}: expected {wanted}, got another JSON file")
            if saved["phasejax_vocabulary"] != _VERSION:
                raise ValueError(f"{path}: expected version {_VERSION} of a vocabulary, got "
                                 f"{saved['phasejax_vocabulary']}")
            words = saved["words"]
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{path}: expected a list of words, got none")
            vocabulary = cls(tuple(words))
        if saved.get("fingerprint") != vocabulary.fingerprint:
            raise ValueError(f"{path}: expected the words of fingerprint {saved.get('fingerprint')}, got "
                             f"{vocabulary.fingerprint}: the file was changed")
        return vocabulary


@checked
def build_vocabulary(captions: Iterable[str], most: int = 10_000, least_count: int = 3) -> Vocabulary:
    """The vocabulary of some captions: the reserved tokens and the most frequent words.

    Args:
        captions: the texts, best those of the training rows alone.
        most: number of tokens at most, the reserved ones included.
        least_count: words that are there less often are left out.

    Returns:
        Words in the order of their frequency, those of the same frequency in that of the alphabet.

    Raises:
        ValueError: most is below the number of reserved tokens.

    Source: K26, section 4.3.

    >>> len(build_vocabulary(["a dog", "a cat"], least_count=1)) - len(RESERVED)
    3
    """
    check_count("most", most, len(RESERVED))
    check_count("least_count", least_count)
    if isinstance(captions, str) or not isinstance(captions, Iterable):
        raise ValueError(f"captions: expected several texts, got {shown(captions)}")
    counts = Counter(word for caption in captions for word in words_of(caption))
    known = set(RESERVED)
    ranked = sorted(((-count, word) for word, count in counts.items() if count >= least_count and word not in known))
    return Vocabulary((*RESERVED, *(word for _, word in ranked[:most - len(RESERVED)])))
