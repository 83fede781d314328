"""The command `phasejax`: every subcommand is a dataclass whose fields are its flags.

The question: how does someone who works in a shell, on a cluster or in another language use the
package? A subcommand reads files, calls one public function, writes files and prints a summary.
Modules in the order to read them: `_main` chooses the subcommand and turns errors into exit codes;
`_diagnose`, `_heads`, `_monitor`, `_similarity`, `_sweep` and `_check` are the subcommands; `_files` reads
and writes for them; `_compiled_programs` keeps compiled programs from one call to the next.
Nothing that takes time to import is imported before a subcommand runs.
"""

import sys

from phasejax._core.terminal import show_passing_line

# Subcommands that show bars as soon as they run.
_LONG = ("diagnose", "inspect", "monitor", "similarity", "sweep")
_SHORT = {"-h", "--help", "--list", "--no-progress", "--distributed"}


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    A first line is there before what parses the arguments is imported, on a terminal.

    Args:
        args: the arguments after the command's name; those of the process when left out.

    Returns:
        The exit code. Arguments that cannot be parsed raise SystemExit(2) after a message.
    """
    args = sys.argv[1:] if args is None else args
    if args and args[0] in _LONG and _SHORT.isdisjoint(args):
        show_passing_line(f"{args[0]}: starting ...")
    from phasejax.cli._main import main as run

    return run(args)
