"""The entry point of the command: from arguments to an exit code.

Exit codes: 0 done, 1 a check failed, 2 bad input, 3 a monitored problem has moved, 4 workers were
lost (the same command goes on where it was), 130 interrupted.
"""

import contextlib
import io
import sys
from collections.abc import Iterator

import tyro

from phasejax._core.terminal import clear_passing_line, one_line, printable
from phasejax._version import __version__
from phasejax.cli._captions import Captions
from phasejax.cli._check import Check
from phasejax.cli._compiled_programs import keep_compiled_programs
from phasejax.cli._diagnose import Diagnose
from phasejax.cli._explore import Explore
from phasejax.cli._files import notes_on_standard_error
from phasejax.cli._heads import Heads
from phasejax.cli._inspect import Inspect
from phasejax.cli._instruments import Instruments
from phasejax.cli._label_quality import LabelQuality
from phasejax.cli._monitor import Monitor
from phasejax.cli._plan import Plan
from phasejax.cli._similarity import Similarity
from phasejax.cli._sweep import Sweep

COMMANDS = {"inspect": Inspect, "diagnose": Diagnose, "heads": Heads, "captions": Captions,
            "label-quality": LabelQuality, "monitor": Monitor, "similarity": Similarity, "sweep": Sweep, "plan": Plan,
            "instruments": Instruments, "explore": Explore, "check": Check}
_DESCRIPTION = (f"phasejax {__version__}: when to align, when to predict (arXiv 2606.11190). --version prints the "
                "version; --help after a subcommand says more.")


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the arguments after the command's name; those of the process when left out.

    Returns:
        The exit code. Arguments that cannot be parsed raise SystemExit(2) after a message.
    """
    args = sys.argv[1:] if args is None else args
    if args == ["--version"]:
        print(f"phasejax {__version__}")
        return 0
    clear_passing_line()
    with _shown_printable(args):
        command = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="phasejax", args=args, description=_DESCRIPTION)
    try:
        keep_compiled_programs()
        with notes_on_standard_error():
            return command.run()
    except (ValueError, OSError) as error:
        print("error: " + one_line(str(error)), file=sys.stderr)
        return 4 if isinstance(error, ConnectionError) and not isinstance(error, BrokenPipeError) else 2
    except KeyboardInterrupt:
        kept = command.kept() if isinstance(command, Sweep) else "nothing was written"
        print("interrupted: " + one_line(kept), file=sys.stderr)
        return 130


@contextlib.contextmanager
def _shown_printable(args: list[str]) -> Iterator[None]:
    """Messages about arguments repeat them: where these hold control characters, none of them reaches the terminal."""
    if all(arg.isprintable() for arg in args):
        yield  # in colour
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    finally:
        sys.stderr.write(printable(said.getvalue()))
