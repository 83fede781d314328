"""`python -m phasejax`, the same as the command `phasejax`."""

import sys

from phasejax.cli import main

if __name__ == "__main__":  # workers that are started afresh import this module too
    sys.exit(main())
