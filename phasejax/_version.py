"""The version, from the last tag of git when the package was built or installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("phasejax")
except PackageNotFoundError:  # a source tree on the path, which nobody has installed
    __version__ = "0+unknown"
