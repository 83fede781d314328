"""`python -m phasejax.cli`, the same as `phasejax`."""

import sys

from phasejax.cli._main import main

sys.exit(main())
