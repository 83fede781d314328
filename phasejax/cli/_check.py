"""The command `phasejax check`: does theory agree with simulation on this machine?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """Compare theory with simulation on a small grid: one verdict a line, exit code 1 if any fails."""

    seed: int = 0
    """Seed of all random draws."""

    def run(self) -> int:
        """Run the checks one after another and print each verdict at once."""
        from phasejax.simulation import run_checks

        failed = 0
        for verdict in run_checks(self.seed):
            print(verdict, flush=True)
            failed += not verdict.passed
        print("all checks passed" if not failed else f"{failed} checks failed")
        return 1 if failed else 0
