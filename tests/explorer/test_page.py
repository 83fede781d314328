"""The explorer's page: its numbers in a real browser beside Python's, what it says of a diagnosis, and its file."""

import html
import json
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

from phasejax import Regime, SpikedModel, cli, sweep, theory
from phasejax.explorer import write_explorer
from phasejax.plotting import REGIME_COLOURS
from tests.support import DATA

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no browser installed: expected chromium or google-chrome")
OBJECTIVES = ("ca", "cp", "cp_reverse")
SHAPES = ((1, 12), (3, 20))  # signals and dimensions


def saved_diagnosis():
    saved = json.loads((DATA / "decision.json").read_text())
    schema = {"name": "phasejax.diagnosis", "version": 1}
    return saved | {"schema": schema, "fit": saved["fit"] | {"schema": schema}}


def in_browser(path, script, address=""):
    """What a script leaves as JSON, run after the page's own; `finish(value)` leaves it."""
    assert BROWSER is not None
    page = path.read_text("utf-8")
    tail = ("<pre id='found'></pre><script>const finish = (value) => { document.getElementById('found').textContent = "
            "JSON.stringify(value, (_, v) => typeof v === 'number' && !isFinite(v) ? String(v) : v); };" + script
            + "</script></body>")
    path.with_name("probed.html").write_text(page.replace("</body>", tail), "utf-8")
    dump = subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
                           f"file://{path.with_name('probed.html')}{address}"],
                          capture_output=True, text=True, timeout=300).stdout
    found = re.search(r"<pre id=.found.>(.*?)</pre>", dump, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def settings():
    rng = np.random.default_rng(0)
    for number in range(50):
        k, d = SHAPES[number % len(SHAPES)]
        yield {"kappa": rng.uniform(0.05, 4), "nu": rng.uniform(), "decay": rng.uniform(0.3, 1),
               **{name: 10 ** rng.uniform(-2, 2) for name in ("gamma_x", "gamma_y", "nuisance_x", "nuisance_y")},
               "k": k, "d": d, "n": int(2 * d + 10 ** rng.uniform(0.5, 5)), "limited": True, "axis": 5.0}


@jax.jit
def in_python(batch, k, n):
    def one(m, n):
        model = SpikedModel.geometric(m["kappa"], m["nu"], decay=m["decay"], k=len(k), d=SHAPES[len(k) // 2][1], **{
            name: m[name] for name in ("gamma_x", "gamma_y", "nuisance_x", "nuisance_y")})
        few = theory.finite_sample(model, n)
        return {"all": [theory.delta_ca(model), theory.delta_cp(model), theory.delta_cp_reverse(model)],
                "counts": [theory.r_ca(model), theory.r_cp(model), theory.r_cp_reverse(model)],
                "few": [few.delta_ca, few.delta_cp, few.delta_cp_reverse],
                "visible": [spectrum.visible.sum() for spectrum in (few.ca, few.cp, few.cp_reverse)]}
    return jax.vmap(one)(batch, n)


@NEEDS_BROWSER
@pytest.mark.slow
def test_numbers_shown_are_those_of_python(tmp_path):
    """50 random settings, to 1e-6: what the table on the page holds beside `theory`."""
    path, given = tmp_path / "explorer.html", list(settings())
    write_explorer(path)
    shown = in_browser(path, f"""
        finish({json.dumps(given)}.map((one) => {{
          explorer.set(one);
          explorer.draw();
          return [...document.querySelectorAll("#ratios tr")].map((row) =>
            [...row.querySelectorAll("td")].map((cell) => cell.dataset.value));
        }}));""")
    shown = np.array(shown, float)  # settings, objectives, (ratio, count, ratio at n, count at n)
    assert shown.shape == (50, 3, 4)
    for place, (k, _) in enumerate(SHAPES):
        mine = given[place::len(SHAPES)]
        batch = {name: np.array([one[name] for one in mine], float) for name in mine[0] if name not in ("k", "d")}
        with jax.enable_x64(True):
            expected = in_python(batch, np.zeros(k), batch["n"])
        for column, name in enumerate(("all", "counts", "few", "visible")):
            np.testing.assert_allclose(shown[place::len(SHAPES), :, column], np.stack(expected[name], 1), rtol=1e-6)


@NEEDS_BROWSER
@pytest.mark.slow
def test_link_boundaries_and_diagnoses(tmp_path):
    path = tmp_path / "explorer.html"
    write_explorer(path, saved_diagnosis(), name="mine.json")
    found = in_browser(path, """
        const text = (id) => document.getElementById(id).textContent;
        const boxes = () => document.querySelectorAll("#over rect.outer").length;
        explorer.draw();
        const first = { state: explorer.state, data: text("data"), boxes: boxes() };
        explorer.show({ schema: { name: "phasejax.diagnosis", version: 2 } }, "new.json");
        explorer.draw();
        const other = { data: text("data"), boxes: boxes() };
        explorer.show({ answer: 42 }, "odd.json");
        const odd = text("data");
        explorer.set({ k: 30 });
        explorer.draw();
        const wrong = text("complaint");
        explorer.set({ k: 3, d: 20, kappa: 2, decay: 1, gamma_x: 1, gamma_y: 0.05, nuisance_x: 1, nuisance_y: 5,
                       nu: 0.3, n: 300, limited: true, axis: 3 });
        explorer.draw();
        const pixels = document.getElementById("plane").getContext("2d").getImageData(0, 0, 200, 200).data;
        finish({ first, other, odd, wrong, hash: location.hash, answer: text("answer"),
                 reds: [...Array(40000).keys()].map((i) => pixels[4 * i]) });""", address="#kappa=1.25&nu=7")
    estimates = saved_diagnosis()["fit"]["estimates"]
    assert found["first"]["state"]["kappa"] == pytest.approx(estimates["kappa"]["value"], rel=1e-5)
    assert found["first"]["state"]["d"] == min(saved_diagnosis()["d_x"], saved_diagnosis()["d_y"])
    assert found["first"]["boxes"] == found["other"]["boxes"] == 1  # what was there is kept
    assert found["first"]["data"].startswith("mine.json: ")
    assert "With unlimited rows: CA only" in found["first"]["data"]
    assert "expected version 1 of phasejax.diagnosis, got 2" in found["other"]["data"]
    assert "odd.json: expected a result of phasejax diagnose --json, got something else" in found["odd"]
    assert found["wrong"] == "k: expected a whole number from 1 to 20, got 30"
    assert {"nu=0.3", "n=300"} <= set(found["hash"].split("&"))
    # Each cell of the diagram at n rows has the colour of the regime of the ratios at n rows, but for those on a
    # boundary.
    nu, kappa = (np.arange(5, 200, 13) + 0.5) / 200, 3 * (np.arange(5, 200, 13) + 0.5) / 200
    found_at = sweep(SpikedModel.homogeneous, {"nu": nu, "kappa": kappa}, n=300, key=0, fixed={
        "k": 3, "d": 20, "gamma_x": 1.0, "gamma_y": 0.05, "nuisance_y": 5.0},
        quantities=["finite_delta_ca", "finite_delta_cp"])
    ca, cp = found_at.finite_delta_ca.values, found_at.finite_delta_cp.values
    reds = np.array(found["reds"]).reshape(200, 200)[::-1][5:200:13, 5:200:13]
    expected = np.array([int(REGIME_COLOURS[one][1:3], 16) for one in Regime])[(ca > 1) + 2 * (cp > 1)]
    clear = (np.abs(ca - 1) > 0.05) & (np.abs(cp - 1) > 0.05)
    assert len(np.unique(expected)) >= 3
    np.testing.assert_array_equal(reds[clear], expected[clear])


def test_the_file_is_small_and_loads_nothing(tmp_path):
    path = tmp_path / "page.html"
    hostile = saved_diagnosis() | {"verdict": "</script><script>alert(1)</script>"}
    write_explorer(path, hostile, name="</script>.json")
    page = path.read_text("utf-8")
    assert path.stat().st_size < 300_000
    assert page.count("<script") == page.count("</script>") == 4
    assert not re.search(r"""(src|href)\s*=|url\(|@import|fetch\(|XMLHttpRequest""", page)
    assert "default-src 'none'" in page
    with pytest.raises(ValueError, match=r"diagnosis: expected a result of phasejax diagnose --json .*, got something"):
        write_explorer(path, {"a": 1})
    assert path.read_text("utf-8") == page


def test_the_command(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    result, out = tmp_path / "result.json", tmp_path / "page.html"
    result.write_text(json.dumps(saved_diagnosis()))
    assert cli.main(["explore", str(result), "--out", str(out)]) == 0
    assert opened == [out.as_uri()]
    assert '"name": "result.json"' in out.read_text("utf-8")
    result.write_text("{")
    for arguments, words in ((["explore", str(result), "--out", str(out)], "expected a complete JSON file"),
                             (["explore", "--out", str(tmp_path / "page.pdf")], "--out: expected"),
                             (["explore", "--no-browser"], "--out: expected a file to write the page to"),
                             (["explore", str(tmp_path / "none.json")], "none.json: expected")):
        assert cli.main(arguments) == 2
        assert re.match(rf"error: .*{re.escape(words)}", capsys.readouterr().err.splitlines()[-1])
    assert len(opened) == 1
