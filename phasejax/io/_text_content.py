"""The text in a file: unpacked, decoded, and refused where it is none or more than the memory holds."""

import gzip
import io
import zlib
from pathlib import Path

from phasejax._core.input_files import check_memory, check_regular_file
from phasejax.io._table import first_line

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Bytes of memory that a byte of text and a line of it take while they are read: text, lines, and what pandas makes.
_MEMORY_OF_TEXT = 4
_MEMORY_OF_LINE = 250


def read_text(file: Path, name: str) -> str:
    """The text of a file, which may be compressed by gzip: UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Args:
        file: the file.
        name: what errors call it.

    Raises:
        ValueError: it is no regular file, is damaged, does not fit into memory, or has another encoding.
    """
    check_regular_file(file, name)
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(data, name)
        elif file.suffix.lower() == ".gz":
            raise ValueError(f"{name}: expected a file compressed by gzip, got another format")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name}: expected a complete .gz file, got {first_line(error)}") from None
    except OSError as error:
        raise ValueError(f"{name}: expected a readable file, got {error.strerror or error}") from None
    check_memory(name, _MEMORY_OF_TEXT * len(data) + _MEMORY_OF_LINE * data.count(b"\n"))
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        old = " (Latin-1 or Windows-1252?)" if encoding == "utf-8" else ""
        raise ValueError(
            f"{name}: expected text in {encoding.upper()}, got the byte {data[error.start]:#04x} "
            f"in line {line}{old}; save it as UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{name}: expected text in UTF-8, or in UTF-16 with a byte order mark, got zero bytes "
            "(UTF-16 without its mark, or no text); save it as UTF-8"
        )
    return text


def _unpacked(data, name):
    """What gzip compressed, read in parts: a few kilobytes may unpack to more than the memory holds."""
    parts, size = [], 0
    with gzip.open(io.BytesIO(data)) as stream:
        while part := stream.read(2**24):
            parts.append(part)
            size += len(part)
            check_memory(name, _MEMORY_OF_TEXT * size)
    return b"".join(parts)


