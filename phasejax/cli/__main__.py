"""`python -m phasejax.cli`, the same as `phasejax`."""

import sys

from phasejax.cli import main

if __name__ == "__main__":  # workers of MPI import this module too
    sys.exit(main())
