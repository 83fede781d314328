"""Where the command keeps what XLA has compiled, so that only its first call pays for compiling.

JAX compiles a program for each new shape of its inputs, which takes most of the time of a first call
on small data. By default the command keeps these programs in the user's cache folder; the environment
variable `PHASEJAX_CACHE` names another folder, or is "off". A folder that JAX has been given already
(`JAX_COMPILATION_CACHE_DIR`) is left alone. Machine code is only valid on the kind of processor it was
compiled for, which matters where machines share a home folder: each kind gets a folder of its own.
"""

import hashlib
import os
import platform
import sys
from pathlib import Path

# Once the programs take more than this, those that were used longest ago go, down to half of it.
_LIMIT_BYTES = 1_000_000_000


def keep_compiled_programs(limit: int = _LIMIT_BYTES) -> Path | None:
    """Tell JAX, before it is imported, where to keep and find compiled programs.

    Where the folder cannot be written nothing is kept, and the command works as it would otherwise.

    Args:
        limit: bytes that the kept programs may take.

    Returns:
        The folder, or None where nothing is kept: by the user's wish, for want of a writable
        folder, or since JAX is already running and its settings belong to somebody else.
    """
    wanted = os.environ.get("PHASEJAX_CACHE", "")
    if wanted.lower() == "off" or "jax" in sys.modules or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return None
    if wanted:
        folder = Path(wanted).expanduser()
    else:
        import platformdirs

        folder = Path(platformdirs.user_cache_dir("phasejax")) / "compiled"
    folder = folder.absolute() / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_oldest(folder, limit)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # JAX keeps only what took a second to compile; a first call is made of many shorter ones.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    return folder


def _processor() -> str:
    """A name of the kind of processor: machine code for one may not run on another."""
    kind = f"{platform.system()} {platform.machine()} {platform.processor()}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        kind += next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    except OSError:  # not Linux
        pass
    return f"{platform.machine() or 'unknown'}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"


def _forget_oldest(folder: Path, limit: int) -> None:
    """Where the files take more than `limit` bytes, remove those that were used longest ago."""
    files = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    size = sum(status.st_size for status, _ in files)
    if size <= limit:
        return
    for status, path in sorted(files, key=lambda file: max(file[0].st_atime, file[0].st_mtime)):
        Path(path).unlink(missing_ok=True)
        size -= status.st_size
        if size <= limit // 2:
            return
