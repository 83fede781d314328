"""A step of a checklist: commands whose output is kept, and how a step fails."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


class StepError(Exception):
    """A step of the checklist does not hold; the text says why."""


def run_logged(folder: Path, *command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, add what it prints to `log.txt` in a folder, and return that.

    Raises:
        StepError: there is no such command, or its exit code is not 0; the text has its last lines.
    """
    with open(folder / "log.txt", "a+", encoding="utf-8") as log:
        start = log.tell()
        print("$", *command, file=log, flush=True)
        try:
            code = subprocess.run(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        except FileNotFoundError:
            raise StepError(f"{command[0]}: expected a command that is installed") from None
        log.seek(start)
        printed = log.read()
    if code:
        raise StepError(f"exit code {code} of {' '.join(map(str, command))}\n" + "\n".join(printed.splitlines()[-40:]))
    return printed
