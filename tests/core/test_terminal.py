"""What a terminal would obey is never shown raw."""

import unicodedata

from phasejax._core.terminal import listed, one_line, printable


def test_no_control_character_is_left():
    every = "".join(map(chr, range(0x3000))) + "\ud800\U000e0001"
    for shown in (printable(every), one_line(every, 10**6), listed([every])):
        assert not {one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
        assert shown.encode("utf-8")
    assert "\n" not in one_line(every, 10**6)
    assert printable("déjà vu 中文") == "déjà vu 中文"


def test_long_names_are_cut():
    assert len(one_line("n" * 10**6)) <= 1010
    assert listed(["n" * 10**6, "b"]).endswith("n, b")
    assert len(listed(["n" * 10**6] * 50)) < 1000
