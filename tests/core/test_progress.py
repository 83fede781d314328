"""How progress is told: callbacks, and bars that are there at once, and only on a terminal."""

import re
import subprocess
import sys

from rich.progress import Progress

from phasejax._core.progress import no_progress, progress_bars, reporting


def test_bars_are_shown_at_once_and_only_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    with progress_bars() as advance:
        advance("cka", 10, 20)
    assert re.search("cka.*10/20", capsys.readouterr().err)
    with progress_bars("similarity"):  # nothing has begun yet
        pass
    assert "similarity" in capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
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
    monkeypatch.setenv("FORCE_COLOR", "1")
    added, add_task = [], Progress.add_task
    monkeypatch.setattr(Progress, "add_task", lambda self, text, **options: (
        added.append(text), add_task(self, text, **options))[1])
    with progress_bars() as advance:
        for done, task in enumerate(("cp, epochs (loss 0.3)", "cp, epochs (loss 0.2)", "ca, epochs (loss 0.2)")):
            advance(task, done, 3)
    assert added == ["cp, epochs (loss 0.3)", "ca, epochs (loss 0.2)"]
