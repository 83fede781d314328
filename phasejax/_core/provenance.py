"""On what a result was computed: its digits may depend on it where nothing else does."""

import os

import jax

from phasejax._core.devices import cores
from phasejax._version import __version__

# Flags that say which threads and instructions numerical libraries use.
_FLAGS = ("XLA_FLAGS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def computed_on() -> dict[str, str]:
    """Versions, device, cores and flags of this process, by name; what is not set is left out.

    >>> [name for name in computed_on() if name.islower()]
    ['phasejax', 'jax', 'platform', 'device', 'cores']
    """
    device = jax.local_devices()[0]
    kind = device.platform if device.device_kind == device.platform else f"{device.platform} ({device.device_kind})"
    found = {"phasejax": __version__, "jax": jax.__version__, "platform": device.platform,
             "device": f"{len(jax.local_devices())} {kind}", "cores": str(cores())}
    return found | {name: os.environ[name] for name in _FLAGS if os.environ.get(name)}
