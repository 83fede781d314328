"""One fuzzed input: what it is, made from a number alone, and what became of it."""

import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.command_lines import command_line, hostile
from tests.fuzz.hostile_baselines import odd_baseline
from tests.fuzz.python_calls import odd_call

GOOD = ("done", "refused")
BAD = ("traceback", "no name", "raw control characters", "silent NaN", "left behind", "unpickled", "crash", "hang")
AREAS = ("files", "commands", "calls")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")
_CODES = {"check": (0, 1, 2), "monitor": (0, 2, 3), "sweep": (0, 2, 4)}


@dataclass(frozen=True)
class Outcome:
    """What became of one input: one of `GOOD` or `BAD`, what the input was, and what was said."""

    kind: str
    area: str
    what: str
    said: str = ""

    @property
    def good(self) -> bool:
        """Whether the input was read, or refused in one line."""
        return self.kind in GOOD


def outcome_of(rng: Random, area: str, quick: bool = False) -> Outcome:
    """Make an input from random choices, try it in a folder of its own, and judge what happens.

    Args:
        rng: source of all choices.
        area: one of `AREAS`.
        quick: whether only what is done within a second is chosen.
    """
    here = os.open(".", os.O_RDONLY)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            found = {"files": _of_file, "commands": _of_command, "calls": _of_call}[area](rng, Path("."), quick)
            if Path("owned").exists():
                return Outcome("unpickled", area, found.what)
            return found
        finally:
            os.fchdir(here)
            os.close(here)


def _of_file(rng, folder, quick):
    """Open a hostile file by one of the ways in."""
    from phasejax.diagnosis import load_baseline
    from phasejax.io import as_named, load_array, open_table

    if not quick and rng.random() < 0.08:
        path, how = odd_baseline(rng, folder), load_baseline
    else:
        path = hostile(rng, folder, quick)
        how = rng.choice(
            (open_table, lambda one: as_named(one, rng.choice(("x", "labels"))), load_array, load_baseline)
        )
        if how is load_baseline and rng.random() < 0.7:
            how = open_table

    def read():
        found = how(path)
        table = getattr(found, "values", found)
        if hasattr(table, "rows") and len(table):
            table.rows(0, min(len(table), 5))
            table.rows(max(len(table) - 5, 0), len(table))

    return _judged("files", f"{getattr(how, '__name__', 'as_named')} {path!r:.300}", read, ())


def _of_call(rng, folder, quick):
    """Call a public function with something that does not fit."""
    call, changed = odd_call(rng, quick)
    # Some texts name an output file: what is there must not be replaced.
    shown = ", ".join(f"{name}={_short(value)}" for name, value in changed.items())
    return _judged(
        "calls",
        f"{call.name}({shown})",
        lambda: call.function(**(call.arguments | changed), **call.ready),
        tuple(changed),
    )


def _judged(area: str, what: str, run: Callable[[], Any], names: tuple[str, ...]) -> Outcome:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run()
    except (ValueError, TypeError, OSError) as error:
        text = str(error)
        if _names_users_own(error, names):
            return Outcome("refused", area, what, text)
        if type(error).__name__ == "TypeCheckError":  # the run-time type check of the tests answered
            return Outcome("refused", area, what)
        if "\n" in text.strip() or not (
            ": expected " in text or any(re.search(rf"\b{name}\b", text, re.IGNORECASE) for name in names)
        ):
            return Outcome("no name", area, what, f"{type(error).__name__}: {text}")
        return Outcome("refused", area, what, text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if _names_users_own(error, names):
            return Outcome("refused", area, what)
        return Outcome("traceback", area, what, f"{type(error).__name__}: {error} at {_place(error)}")
    return Outcome("done", area, what)


def _names_users_own(error: BaseException, names: tuple[str, ...]) -> bool:
    """Whether an error of a function that was given comes through with a line that says which function it was."""
    notes = getattr(error, "__notes__", ())
    return any("\n" not in note and re.search(rf"^({'|'.join([*names, 'quantities'])}): expected ", note)
               for note in notes)


def _of_command(rng, folder, quick):
    """Run the command in this process."""
    from phasejax import cli

    args = command_line(rng, folder, quick)
    what = " ".join(f"{_short(one)}" for one in args)
    before = set(os.listdir("."))
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(args)
    except SystemExit as stopped:
        code = stopped.code
        parsed = True
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome("traceback", "commands", what, f"{type(error).__name__}: {error} at {_place(error)}")
    else:
        parsed = False
    shown, problems = out.getvalue(), err.getvalue()
    said = f"{code}: {problems[-500:]}"
    if code not in _CODES.get(args[0] if args else "", (0, 2)):
        return Outcome("traceback", "commands", what, said)
    if "Traceback" in problems:
        return Outcome("traceback", "commands", what, said)
    if found := _CONTROL.search(shown + problems):
        return Outcome("raw control characters", "commands", what, f"{found[0]!r} in {said}")
    if (
        code == 2
        and not parsed
        and (not problems.startswith("error: ") or problems.count("\n") != 1 or shown or len(problems) > 3000)
    ):
        return Outcome("no name", "commands", what, f"{said} (on standard output: {shown[:200]!r})")
    # A store may be left behind: a sweep goes on with it.
    left = {name for name in os.listdir(".") if name not in before and not name.endswith((".zarr", ".journal"))}
    if code == 2 and left:
        return Outcome("left behind", "commands", what, f"{left} {said}")
    if code == 0 and re.search(r"(?<![\w'.-])nan(?![\w'-])", shown):
        return Outcome("silent NaN", "commands", what, shown[-600:])
    return Outcome("done" if code != 2 else "refused", "commands", what, said)


def _place(error):
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if "phasejax" in code.co_filename:
            places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(places[::-1][:3]) or "?"


def _short(value):
    text = repr(value).replace("\n", " ")
    if hasattr(value, "shape"):
        text = f"{type(value).__name__}{value.shape}:{value.dtype} {text}"
    return text if len(text) < 90 else f"{text[:87]}..."


def main_of_worker() -> None:
    """Try the inputs whose numbers and areas come in on standard input, a line each; answer a line of JSON each."""
    import json

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    for line in sys.stdin:
        area, number = line.split()
        found = outcome_of(Random(f"{area} {number}"), area)
        answers.write(json.dumps([found.kind, found.what, found.said[:2000]]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main_of_worker()
