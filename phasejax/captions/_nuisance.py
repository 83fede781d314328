r"""What is done to an image and its caption before a network sees them: the nuisance of the experiment.

``image``
    Styles and a blur of standard deviation 4 l on the image; the caption knows nothing of them. This is figure 6 of
    K26, as its published code has it.
``style``
    Styles on the image, and the caption begins with their names; jitter lets it name others.
``text``
    The caption begins with statistics of the image, each as the bin in which it lies; the image is left alone.
``scene``
    The caption begins with the other things in the image, as far as the data describe them.
``swap``
    As ``image``, and with the probability of the jitter a caption is that of another image with the same label.

The level l is 0 to 1: of six styles, statistics or other things, max(1, round(6 l)) are used, none at l = 0. What is
written into a caption stands before its own words, with `SEP` between; the published code puts it at its beginning, at
random places or at its end, by mode and jitter.
"""

from dataclasses import dataclass

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_choice, check_number

MODES = ("none", "image", "style", "text", "scene", "swap")
PARTS = 6  # of which a level uses some
JITTERED = ("style", "swap")  # modes that a jitter means something in


@checked
@dataclass(frozen=True)
class CaptionNuisance:
    """What is done to images and captions; the modes are in the text of the module.

    Args:
        mode: "none", "image", "style", "text", "scene" or "swap".
        level: l, 0 to 1.
        jitter: 0 to 1, how often image and caption disagree; of the modes style and swap alone.
        jitter_to: what a jittered caption names in the mode style. "another": with probability `jitter`, each style by
            itself, another style of the same group with the same strength, as the published code has it. In a group of
            g styles names and styles are independent at a jitter of 1 - 1/g, and at 1 a group of two is named as
            reliably as at 0. "anew": with probability `jitter` all groups, styles and strengths of an independent draw,
            so that 1 - jitter is the alignment of the nuisance.

    Raises:
        ValueError: a level or jitter out of range, a jitter in a mode that has none.

    >>> CaptionNuisance("style", level=0.5, jitter=0.2).groups
    3
    """

    mode: str = "none"
    level: float = 0.0
    jitter: float = 0.0
    jitter_to: str = "another"

    def __post_init__(self):
        check_choice("mode", self.mode, MODES)
        check_choice("jitter_to", self.jitter_to, ("another", "anew"))
        check_number("level", self.level, least=0, most=1)
        check_number("jitter", self.jitter, least=0, most=1)
        if self.jitter and self.mode not in JITTERED:
            raise ValueError(f"jitter: expected 0 in the mode {self.mode}, got {self.jitter:g}")

    @property
    def groups(self) -> int:
        """max(1, round(6 l)), or 0 at l = 0: how many groups of styles are active."""
        return 0 if self.level == 0 else max(1, round(PARTS * self.level))
