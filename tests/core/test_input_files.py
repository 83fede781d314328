"""What is no regular file, claims more than there is, or makes a library fail, is refused in one line."""

import os
import resource
import socket

import pytest

from phasejax._core import input_files
from phasejax._core.input_files import available_memory, check_memory, check_regular_file, reading


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    os.symlink("/dev/zero", "device")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    for name, got in (("pipe", "a named pipe"), ("folder", "a folder"), ("dangling", "No such file"),
                      ("loop", "Too many levels"), ("device", "a device"), ("socket", "a socket"),
                      ("n" * 300, "File name too long"), ("a\0b", "embedded null"), ("", "No such file")):
        with pytest.raises(ValueError, match=f"expected .*, got .*{got}") as caught:
            check_regular_file(name)
        assert "\n" not in str(caught.value)
    check_regular_file("folder", folder=True)


def test_no_more_memory_is_asked_for_than_there_is(monkeypatch):
    assert 0 < available_memory() < 2**50
    check_memory("x", 1000)
    with pytest.raises(ValueError, match=r"x: expected what fits into memory \(.* GB available\), got 1e\+06 GB"):
        check_memory("x", 1e15)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2**30, 2**30))
    assert available_memory() < 2**30
    monkeypatch.setattr(input_files, "_of_machine", lambda: 5)
    assert available_memory() <= 5


@pytest.mark.parametrize(("error", "said"), [
    (KeyError("storage"), "KeyError: 'storage'"), (RuntimeError("first\nsecond"), "first"),
    (MemoryError(), "MemoryError"), (OSError(5, "Input/output error"), "Input/output error"),
    (UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), "'utf-8'"),
])
def test_errors_of_libraries_name_the_file(error, said):
    with pytest.raises(ValueError, match=r"^x.h5: expected HDF5, got ") as caught, reading("x.h5", "HDF5"):
        raise error
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_own_errors_and_interruptions_pass():
    with pytest.raises(ValueError, match=r"^labels: expected text, got none$"), reading("x.h5", "HDF5"):
        raise ValueError("labels: expected text, got none")
    with pytest.raises(KeyboardInterrupt), reading("x.h5", "HDF5"):
        raise KeyboardInterrupt


def test_line_breaks_in_names_do_not_break_the_line():
    with pytest.raises(ValueError, match=r"^x: expected numbers, got text in column a\\nb$"), reading("x", "Parquet"):
        raise ValueError("x: expected numbers, got text in column a\nb")
