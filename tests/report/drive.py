"""Looks at a report in a real browser: drive.py PORTCULLIS [SCREENSHOT]."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import Browser

HERE = Path(__file__).resolve().parent
NAME = "<script>alert(1)</script>"

# Of labels and values that share a line, how many meet.
MEET = """[...document.querySelectorAll('svg.chart > g')].filter(row => {
    const [label, value] = ['.label', '.value'].map(name => row.querySelector(name).getBoundingClientRect());
    return label.right > value.left;
}).length"""

# Text that is drawn outside of its chart's sides.
OUTSIDE = """[...document.querySelectorAll('svg.chart text')].filter(text => {
    const [own, chart] = [text, text.closest('section')].map(element => element.getBoundingClientRect());
    return own.left < chart.left || own.right > chart.right;
}).length"""

# Rows of the heat map that are not beside their label.
ASKEW = """[...document.querySelectorAll('.matrix .rows li')].filter((label, at) => {
    const cells = document.querySelectorAll('.matrix svg.chart rect.cell');
    const row = cells[at * document.querySelectorAll('.matrix .turned').length].getBoundingClientRect();
    const own = label.getBoundingClientRect();
    return Math.abs((own.top + own.bottom) / 2 - (row.top + row.bottom) / 2) > 2;
}).length"""

failed = 0


def check(holds, what, found):
    global failed
    if not holds:
        failed += 1
        print(f"FAILED: {what}: {found}", flush=True)


def look(browser, url, width, scheme, empty):
    here = f"{width} px, {scheme}{', empty' if empty else ''}"
    events = browser.show(url, width, 800, scheme)
    printed = [event for event in events if event["method"] in
            ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")]
    check(not printed, f"{here}: nothing on the console", printed)
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    check(asked - {"data:,"} == {url}, f"{here}: nothing is asked of any network", asked)
    is_wide = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
    check(is_wide <= 0, f"{here}: nothing is wider than the screen", is_wide)
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(int(part) for part in re.findall(r"\d+", background)[:3]) < 3 * 64
    check(is_dark == (scheme == "dark"), f"{here}: colours are the reader's", background)
    active = browser.evaluate("document.querySelectorAll('script, img, iframe, object, [onerror], [onload]').length")
    check(active == 0, f"{here}: no name is markup", active)
    charts = browser.evaluate("[...document.querySelectorAll('svg.chart')].map(chart => chart.getBoundingClientRect().width)")
    check(len(charts) == (0 if empty else 4) and all(width > 100 for width in charts), f"{here}: charts are drawn", charts)
    unnamed = browser.evaluate("[...document.querySelectorAll('svg.chart')].filter(chart => !chart.querySelector('title, desc')).length")
    check(unnamed == 0, f"{here}: charts have names", unnamed)
    if empty:
        return
    for what, script in [("labels meet values", MEET), ("text leaves its chart", OUTSIDE), ("rows are beside their labels", ASKEW)]:
        check(browser.evaluate(script) == 0, f"{here}: {what}", browser.evaluate(script))
    shown = browser.evaluate("[...document.querySelectorAll('.matrix .rows li')].map(row => row.textContent)")
    check(NAME in shown, f"{here}: a name is shown as it is", shown)
    rows = browser.evaluate("document.querySelectorAll('details table.numbers tbody tr').length")
    check(rows > 50, f"{here}: the numbers are there", rows)
    styled = browser.evaluate("getComputedStyle(document.querySelector('.bar')).fill")
    check(styled != "rgb(0, 0, 0)", f"{here}: the style is let in by the page's own policy", styled)


def main():
    portcullis, screenshot = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        subprocess.run([sys.executable, HERE / "sample.py", directory], check=True)

        def report(*args):
            subprocess.run([portcullis, "audit", "report", *args], cwd=directory, check=True)

        report("--policy", "policy.json", "--catalog", "catalog.csv", "--output", "audit.html")
        report("--policy", "empty.json", "--output", "empty.html")
        # What a policy may not smuggle in is nothing that the page lets in anyway.
        page = (directory / "audit.html").read_text()
        check("default-src 'none'" in page and NAME not in page, "the page is closed", page[:400])
        browser = Browser(directory)
        try:
            for width in [360, 1100]:
                for scheme in ["light", "dark"]:
                    look(browser, (directory / "audit.html").as_uri(), width, scheme, empty=False)
            look(browser, (directory / "empty.html").as_uri(), 360, "light", empty=True)
            if screenshot:
                browser.show((directory / "audit.html").as_uri(), 1000, 800, "light")
                browser.screenshot(Path(screenshot[0]), 1000, 3150)
        finally:
            browser.close()
    print("report: looked at on a phone and a desk, in light and dark" if not failed else f"report: {failed} failed", flush=True)
    return failed > 0


sys.exit(main())
