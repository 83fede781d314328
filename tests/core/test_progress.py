"""How progress is told: callbacks, and bars that come only after a while and only on a terminal."""

from rich.progress import Progress

from phasejax._core.progress import no_progress, progress_bars, reporting


def test_bars_come_after_a_while(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    with progress_bars(patience=0.0) as advance:
        advance("cka", 10, 20)
    assert "cka" in capsys.readouterr().err
    with progress_bars(patience=10.0) as advance:
        advance("cka", 10, 20)
    assert not capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    with progress_bars(patience=0.0) as advance:
        advance("cka", 10, 20)
    assert not capsys.readouterr().err


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
    with progress_bars(patience=10.0) as advance:
        for done, task in enumerate(("cp, epochs (loss 0.3)", "cp, epochs (loss 0.2)", "ca, epochs (loss 0.2)")):
            advance(task, done, 3)
    assert added == ["cp, epochs (loss 0.3)", "ca, epochs (loss 0.2)"]
