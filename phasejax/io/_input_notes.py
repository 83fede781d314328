"""Notes that say in one line how an input was read, issued as warnings."""

import warnings
from collections.abc import Iterable


class InputNote(UserWarning):
    """Says in one line how an input was read, where there was something to decide."""


class InputWarning(InputNote):
    """Says in one line what about an input limits the answer, which says it too among its own warnings."""


def announce(notes: Iterable[str], said: Iterable[str] = ()) -> None:
    """Issue notes as warnings, which the command prints as lines.

    Args:
        notes: the lines, each of which is issued once.
        said: those of them that a result says among its own warnings; the command does not print them again.
    """
    said = set(said)
    for note in dict.fromkeys(notes):
        warnings.warn(InputWarning(note) if note in said else InputNote(note), stacklevel=3)
