"""Output files: whole or not at all, with usual permissions, in a folder that exists."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phasejax._core.atomic_files import check_outputs, check_writable_path, written_together, written_whole
from tests.support import as_users_run


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(str(path)) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert (unfinished.parent, unfinished.suffix) == (tmp_path, ".txt")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with written_whole(path) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_new_files(tmp_path, mask):
    before = os.umask(mask)
    try:
        with written_whole(tmp_path / "a.txt") as unfinished:
            unfinished.write_text("")
        (tmp_path / "b.txt").write_text("")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_links_stay_and_replaced_files_keep_their_permissions(tmp_path):
    (tmp_path / "results").mkdir()
    target, link = tmp_path / "results" / "a.json", tmp_path / "latest.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("results/a.json")
    new = tmp_path / "new.json"
    new.symlink_to("results/b.json")  # a link to a file that does not exist yet
    for path in (link, new):
        check_writable_path(path)
        with written_whole(path) as unfinished:
            unfinished.write_text("new")
    assert (os.readlink(link), os.readlink(new)) == ("results/a.json", "results/b.json")
    assert [file.read_text() for file in sorted((tmp_path / "results").iterdir())] == ["new", "new"]
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latest.json", "new.json", "results"]


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_devices_and_pipes_are_written_to_and_stay(tmp_path):
    link = tmp_path / "nowhere"
    link.symlink_to(os.devnull)
    read, write = os.pipe()
    for path in (os.devnull, link, f"/dev/fd/{write}"):
        check_outputs([path])
        with written_whole(path) as unfinished:
            unfinished.write_text("text")
    os.close(write)
    with open(read, "rb") as stream:
        assert stream.read() == b"text"
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert link.is_symlink()
    check_outputs([os.devnull, os.devnull])
    with pytest.raises(ValueError, match=f"^/dev/fd/{write}: expected something to write to, got .*, which is closed$"):
        check_writable_path(f"/dev/fd/{write}")


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_what_is_printed_follows_what_is_written_to_standard_output(tmp_path):
    code = ("from phasejax._core.atomic_files import written_whole\nprint('before')\n"
            "with written_whole('/dev/stdout') as unfinished:\n    unfinished.write_text('written\\n')\nprint('after')")
    with open(tmp_path / "captured", "wb") as captured:
        subprocess.run([sys.executable, "-c", code], stdout=captured, check=True, env=as_users_run())
    assert (tmp_path / "captured").read_text().split() == ["before", "written", "after"]
    with pytest.raises(OSError, match=r"^/dev/full: expected something that can be written to, got No space"), \
            written_whole("/dev/full") as unfinished:
        unfinished.write_text("text")


@pytest.mark.skipif(os.name != "posix", reason="files of POSIX")
def test_what_can_be_no_output_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "lost").symlink_to("no/such.json")
    for name, message in (("pipe", "expected a file, a terminal or a pipe of the shell"),
                          ("circle", "expected a file that can be written, got .* levels of symbolic links"),
                          ("lost", "expected a file in an existing folder"),
                          ("a" * 300, "expected a file that can be written, got .*name too long")):
        with pytest.raises(ValueError, match=f"^{tmp_path}/{name}: {message}"):
            check_writable_path(tmp_path / name)
    check_writable_path(tmp_path / ("a" * 250 + ".json"))
    with written_whole(tmp_path / ("a" * 250 + ".json")) as unfinished:
        unfinished.write_text("long")


def test_either_all_files_appear_or_none(tmp_path, monkeypatch):
    old = tmp_path / "old.txt"
    old.write_text("old")

    def write(fail):
        with written_together() as place:
            place(old).write_text("new")
            place(tmp_path / "new.txt").write_text("new")
            if fail:
                raise RuntimeError("half way")

    def names():
        return sorted(file.name for file in tmp_path.iterdir())

    with pytest.raises(RuntimeError, match="half way"):
        write(fail=True)
    assert (names(), old.read_text()) == (["old.txt"], "old")
    replace, replaced = Path.replace, []

    def fail_at_the_second(self, target):
        replaced.append(target)
        if len(replaced) == 2:
            raise OSError("disk full")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        write(fail=False)
    assert len(replaced) == 3, "the first file should have been put back"
    assert (names(), old.read_text()) == (["old.txt"], "old")
    monkeypatch.undo()
    write(fail=False)
    assert [(tmp_path / name).read_text() for name in names()] == ["new", "new"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "none" / "a.txt"):
        pass


@pytest.mark.slow
def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (f"import time\nfrom phasejax._core.atomic_files import written_whole\n"
            f"with written_whole({str(path)!r}) as unfinished:\n"
            f"    unfinished.write_text('half')\n    print('writing', flush=True)\n    time.sleep(60)\n")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=as_users_run())
    with process, process.stdout:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert path.read_text() == "old"


def test_places_of_files_are_checked_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (None, "a.json", tmp_path / "a.json", "./a.json"):
        check_writable_path(path)
    with pytest.raises(ValueError, match=r"^no/a.json: expected a file in an existing folder, got no folder no$"):
        check_writable_path("no/a.json")
    with pytest.raises(ValueError, match=r"^--out: expected a file in an existing folder, got no/a.nc$"):
        check_writable_path("no/a.nc", "--out")


def test_outputs_are_no_folders_no_inputs_and_not_the_same(tmp_path):
    x = tmp_path / "x.npy"
    x.write_bytes(b"")
    check_outputs([tmp_path / "a.json", None, tmp_path / "b.html"], [str(x), None])
    for outputs, inputs, message in (
            ([tmp_path], [], "expected a file to write, got the folder"),
            ([tmp_path / "a", tmp_path / "." / "a"], [], "expected a file for each output, got the same twice"),
            ([x], [str(x)], "expected an output other than the inputs"),
            ([tmp_path / "t.csv"], [f"{tmp_path}/t.csv:label"], "expected an output other than the inputs"),
            ([tmp_path / "h.h5ad"], [f"{tmp_path}/h.h5ad[GEX]"], "expected an output other than the inputs"),
            (["/proc/x.json"], [], "expected a folder that can be written")):
        with pytest.raises(ValueError, match=message):
            check_outputs(outputs, inputs)
    assert not list(tmp_path.glob(".writable*"))
