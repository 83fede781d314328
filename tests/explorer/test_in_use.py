"""The explorer in the hands of somebody: keys, a file that is chosen, another one that is dropped, a telephone, the
dark."""

import json
import shutil

import pytest

from phasejax.explorer import write_explorer
from tests.explorer.test_page import BROWSER, saved_diagnosis

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
DRIVER = shutil.which("chromedriver")
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="expected a browser and chromedriver")]


@pytest.fixture
def browser(tmp_path):
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    with webdriver.Chrome(options=options, service=Service(DRIVER)) as opened:
        yield opened


def one(browser, selector):
    return browser.find_element("css selector", selector)


def test_it_can_be_used(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    def until(holds):
        WebDriverWait(browser, 20).until(lambda _: holds())

    page = tmp_path / "explorer.html"
    write_explorer(page)
    browser.get(page.as_uri())
    # Keys alone: the slider of nu is reached by Tab and moved by arrows, and all that depends on it follows.
    slider = one(browser, "#nu-slider")
    for _ in range(40):
        if browser.switch_to.active_element == slider:
            break
        browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == slider
    before = one(browser, "#ratios tr[data-objective=ca] td").get_attribute("data-value")
    slider.send_keys(Keys.END)
    until(lambda: "\u03bd = 1:" in one(browser, "#answer").text)
    assert one(browser, "#ratios tr[data-objective=ca] td").get_attribute("data-value") != before
    assert "nu=1" in browser.current_url
    # The address brings the state back in another window.
    address = browser.current_url
    browser.switch_to.new_window("window")
    browser.get(address)
    until(lambda: "\u03bd = 1:" in one(browser, "#answer").text)
    # A file that is chosen is shown; one of another kind, chosen or dropped, says so, and what was there stays.
    result, odd = tmp_path / "mine.json", tmp_path / "odd.json"
    result.write_text(json.dumps(saved_diagnosis()))
    odd.write_text("{")
    one(browser, "#file").send_keys(str(result))
    until(lambda: "mine.json: " in one(browser, "#data").text)
    boxes = len(browser.find_elements("css selector", "#over rect.outer"))
    one(browser, "#file").send_keys(str(odd))
    until(lambda: "odd.json: expected" in one(browser, "#data").text)
    browser.execute_script("""
        const carried = new DataTransfer();
        carried.items.add(new File(['{"answer": 42}'], "dropped.json"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, cancelable: true }));""")
    until(lambda: "dropped.json: expected" in one(browser, "#data").text)
    assert len(browser.find_elements("css selector", "#over rect.outer")) == boxes == 1
    # On a telephone nothing is wider than the screen.
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    # In the dark the page is dark and its text is light.
    colours = []
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        colours.append([sum(map(int, browser.execute_script(
            f"return getComputedStyle(document.body).{part}").strip("rgba()").split(",")[:3]))
            for part in ("backgroundColor", "color")])
    (light_page, light_text), (dark_page, dark_text) = colours
    assert light_page > 600 > 200 > light_text
    assert dark_page < 200 < 450 < dark_text
    assert browser.get_log("browser") == []


