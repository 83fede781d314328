"""How progress is told: callbacks, and bars that are there at once, and only on a terminal."""

import re
import subprocess
import sys

import nbclient
import nbformat
import pytest
from rich.progress import Progress

from phasejax._core.notebook_bars import NotebookBars, notebook_display
from phasejax._core.progress import TimeLeft, no_progress, progress_bars, reporting
from phasejax._core.terminal import clear_passing_line, show_passing_line


def _be_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_bars_are_shown_at_once_and_only_on_a_terminal(capsys, monkeypatch):
    _be_a_terminal(monkeypatch)
    with progress_bars() as advance:
        advance("cka", 10, 20)
    assert re.search("cka.*10/20", capsys.readouterr().err)
    with progress_bars("similarity"):  # nothing has begun yet
        pass
    assert "similarity" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels of notebooks do, whatever standard error is
    with progress_bars("similarity") as advance:
        advance("cka", 10, 20)
    assert not capsys.readouterr().err


def test_bars_need_no_jax():
    """They are there while JAX is imported."""
    code = "import sys, phasejax._core.progress, phasejax.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_an_argument_progress_is_a_switch_or_a_callback(capsys):
    calls = []

    def collect(task, done, total):
        calls.append((task, done, total))

    with reporting(collect) as advance:
        advance("cka", 1, 2)
    assert calls == [("cka", 1, 2)]
    with reporting(False) as advance:
        assert advance is no_progress
    with reporting(True) as advance:
        advance("cka", 1, 2)
    assert not capsys.readouterr().err  # no terminal


def test_a_task_keeps_its_bar_while_its_details_change(monkeypatch):
    _be_a_terminal(monkeypatch)
    added, add_task = [], Progress.add_task
    monkeypatch.setattr(Progress, "add_task", lambda self, text, **options: (
        added.append(text), add_task(self, text, **options))[1])
    with progress_bars() as advance:
        for done, task in enumerate(("cp, epochs (loss 0.3)", "cp, epochs (loss 0.2)", "ca, epochs (loss 0.2)")):
            advance(task, done, 3)
    assert added == ["cp, epochs (loss 0.3)", "ca, epochs (loss 0.2)"]


def test_one_bar_tells_the_whole_with_its_share_and_the_time_left(capsys, monkeypatch):
    _be_a_terminal(monkeypatch)
    with progress_bars("diagnosis (reading)", units_per_second=10) as advance:
        advance("diagnosis (label content)", 0, 600)
        advance("diagnosis (scores)", 300, 600)
    shown = capsys.readouterr().err
    assert "(reading)" in shown
    assert re.search(r"diagnosis \(scores\).*50%", shown)
    assert "left:" in shown
    assert shown.count("600") == 0  # seconds that are expected are no parts to be counted


def test_the_time_left_follows_what_was_expected_at_first_and_what_is_seen_later():
    clock = [0.0]
    left = TimeLeft(units_per_second=10, now=lambda: clock[0])
    assert str(left) == "?"
    clock[0] = 7.0  # reading, whose time says nothing about the rest
    left.report(0, 600)
    assert left.seconds() == 60  # as expected
    clock[0] = 9.0
    assert str(left) == "0:00:58"  # it runs down
    clock[0] = 27.0
    left.report(100, 600)  # 20 seconds for what should take 10
    assert left.seconds() == 500 * (20 + 5) / (100 + 50)
    clock[0] = 10_000.0
    assert left.seconds() == 0
    plain = TimeLeft(now=lambda: clock[0])
    clock[0] += 30.0
    plain.report(1, 4)
    assert plain.seconds() == 90
    plain.report(0, 4)
    assert plain.seconds() is None


def test_a_passing_line_is_on_terminals_only_and_goes_away(capsys, monkeypatch):
    show_passing_line("diagnose: starting ...")
    clear_passing_line()
    assert not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show_passing_line("starting")
    assert capsys.readouterr().err == "starting\r"
    clear_passing_line()
    clear_passing_line()
    assert capsys.readouterr().err == "\r" + 8 * " " + "\r"


class _Display:
    """What IPython's `display` gives for `display_id=True`, remembering what was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, first, *, display_id):
        assert display_id
        self.update(first)
        return self

    def update(self, shown):
        self.shown.append((shown._repr_html_(), repr(shown)))


def test_bars_of_a_notebook_are_drawn_five_times_a_second_and_leave_nothing():
    seconds, display = [0.0], _Display()
    bars = NotebookBars(display, "diagnosis (<reading>)", 10, now=lambda: seconds[0])
    assert "diagnosis (&lt;reading&gt;)" in display.shown[0][0]
    assert "<progress" in display.shown[0][0]
    assert 'max="' not in display.shown[0][0]  # of unknown length
    for done in range(1000):
        seconds[0] = done / 1000
        bars("diagnosis (scores)", done, 1000)
        bars("cp\n, epochs (loss 0.3)", done, 1000)
    assert 5 <= len(display.shown) <= 7
    page, text = display.shown[-1]
    assert page.count("<progress") == 2
    assert re.search(r'value="8\d\d" max="1000".*>8\d%<.*>0:00, left: \d:\d\d:\d\d<', page)
    assert re.search(r"^cp\\n, epochs \(loss 0\.3\) 8\d\d/1000 0:00, left: ", text, re.MULTILINE)
    bars.close()
    assert display.shown[-1] == ("", "")
    NotebookBars(display).close()  # nothing was begun


def test_a_process_without_a_kernel_is_no_notebook(monkeypatch):
    import IPython

    assert notebook_display() is None
    monkeypatch.setattr(IPython, "get_ipython", lambda: type("Terminal", (), {})())
    assert notebook_display() is None


@pytest.mark.slow
def test_a_kernel_shows_one_bar_and_overviews_of_results():
    """In a real kernel: ten thousand reports make one output, empty once they are over, and a model is a table."""
    code = ["from phasejax._core.progress import reporting\nwith reporting(True) as tell:\n"
            "    for done in range(10_000):\n        tell('rows (<b>)', done, 10_000)\n"
            "    tell.close = lambda: None  # as if it were interrupted here: the last bar stays",
            "import phasejax as pj\nwith reporting(True) as tell:\n    tell('rows', 1, 2)",
            "pj.SpikedModel.create([2.0], nu=0.3, d=4)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in code])
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    first, second, model = (cell.outputs for cell in notebook.cells)
    assert [one.output_type for one in (*first, *second)] == ["display_data"] * 2
    assert "rows (&lt;b&gt;)" in first[0].data["text/html"]
    assert not second[0].data["text/html"]
    assert "Both" in model[0].data["text/html"]
    assert "nuisance correlation" in model[0].data["text/html"]
