"""The report: complete, offline, honest about what is missing, and safe against any string that a model may write."""

from __future__ import annotations

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import zipthought as zt
from zipthought.surfaces import count_pieces

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from zipthought.report import palette, tables
from zipthought.report.data import (
    CellRow,
    ExplorerCompletion,
    ExplorerProblem,
    Finding,
    ReportData,
    Section,
    ThresholdRow,
)
from zipthought.report.figures import FigureGroup, Panel, figure_groups
from zipthought.report.page import build_report, environment, json_for_script, script_text
from zipthought.study.experiments.decomposition import report as decomposition_report
from zipthought.study.experiments.decomposition.report import ProfilePoint
from zipthought.study.experiments.orders import report as orders_report
from zipthought.study.experiments.repetition import report as repetition_report
from zipthought.study.experiments.repetition.report import RepetitionPoint
from zipthought.study.experiments.scaling import charts as scaling_charts
from zipthought.study.experiments.scaling import report as scaling_report
from zipthought.study.experiments.scaling.rows import CurvePoint, LossPoint, PathPoint, ScalingRows

HOSTILE = (
    "</script><script>document.title='owned'</script><!--<img src=x onerror=\"window.owned=1\">"
    "<svg onload=window.owned=1><a href=javascript:window.owned=1>a</a></style>"
    "<style>*{background:url(//example.invalid/x)}</style>"
    "</title></svg>]]>&\u2028\"'{{ data }}{% if %}${window.owned=1}`"
)
FORMATS = ("explicit", "composed:2", "composed:4", "implicit:2", "implicit:4", "answer-only", "random-steps:0.6")
SIZES = (100, 300, 1000, 3000, 10000)


def study(seeds: int = 3, problems: int = 4) -> ReportData:
    """A synthetic study: logistic curves in log N, wobbling by seed; traces by the library itself."""
    middle = dict(zip(FORMATS, (250, 700, 1500, 2500, 7000, 40000, 1200), strict=True))
    tokens = dict(zip(FORMATS, (118, 84, 66, 44, 31, 5, 72), strict=True))

    def curve(name: str, n: float) -> float:
        return 0.04 + 0.94 / (1 + (middle[name] / n) ** 1.6)

    cells, order_cells, losses = [], [], []
    for place, name in enumerate(FORMATS):
        for n in SIZES:
            for seed in range(seeds):
                wobble = 0.05 * math.sin(7.1 * place + 3.3 * seed + math.log(n))
                test = min(0.995, max(0.02, curve(name, n) + wobble))
                shared = {
                    "format": name, "examples": n, "seed": seed, "n": 400,
                    "response_tokens": tokens[name] * (1 + wobble / 3),
                    "truncated": 0.01, "ops_per_step": 1.0 + place / 3, "training_tokens": n * 12.0 * tokens[name],
                    "flops": 6 * 6e5 * n * 12.0 * tokens[name], "seconds": n / 90, "faithful": test * 0.97,
                    "baseline": name in ("explicit", "answer-only", "random-steps:0.6"),
                }  # fmt: skip
                low, high = max(0, test - 0.045), min(1, test + 0.045)
                cells.append(CellRow(**shared, accuracy=test, low=low, high=high))
                train = min(1, test + (0.35 if name.startswith("implicit") else 0.06) * (1 - test))
                cells.append(CellRow(**shared, split="train", accuracy=train, low=None, high=None))
                losses += [
                    LossPoint(
                        format=name, examples=n, seed=seed, step=s, loss=2.6 * math.exp(-s / 40) + 0.03 + place / 90
                    )
                    for s in range(1, 200, 3)
                ]
    for order, drop in (("forward", 0.03), ("backward", 0.06), ("hierarchical", 0.09)):
        for k in range(2, 13):
            value = max(0.02, 0.98 - drop * max(0, k - 5))
            cells.append(
                CellRow(format="explicit", order=order, examples=10000, seed=0, n_ops=str(k), n=100, accuracy=value)
            )
        for view in ("order", "order, familiar"):
            for seed in range(seeds):
                for k in (3, 4, 5, 6):
                    shared = {"format": "explicit", "order": order, "stage": view, "examples": 3000, "seed": seed}
                    value = max(0.02, 0.9 - drop * 4 * max(0, k - 4) - seed / 50)
                    order_cells.append(CellRow(**shared, n_ops=str(k), n=100, accuracy=value, faithful=value))
                    if k < 5:
                        order_cells.append(CellRow(**shared, n_ops=str(k), n=50, accuracy=1.0, split="train"))
    paths = [
        PathPoint(
            format=name, examples=10000, seed=seed, step=step, flops=6e8 * step * tokens[name], n=400,
            accuracy=curve(name, 20 * step),
        )
        for name in FORMATS
        for seed in range(seeds)
        for step in (100, 200, 400)
    ]  # fmt: skip
    repetition = [
        RepetitionPoint(
            format=name, epochs=epochs, seed=seed, test=0.1 + gain * epochs, train=min(1.0, 0.2 * epochs),
            memorized=memory * epochs,
        )
        for name, gain, memory in (("composed:2", 0.03, 0.0), ("implicit:2", 0.0, 0.05))
        for epochs in (1, 4, 16)
        for seed in range(seeds)
    ]  # fmt: skip
    profiles = [
        ProfilePoint(
            branch=branch, run="composed:2 after 15 updates", seed=seed, lengths="trained", tokens=place * 1000,
            single_op_coverage=0.3 + rise * place, accuracy=0.2 + rise * place, response_tokens=40.0 + place,
        )
        for branch, rise in (("RLVR", 0.2), ("SFT, same updates", 0.0))
        for seed in range(seeds)
        for place in range(3)
    ]  # fmt: skip
    values = [80 * 1.2**i for i in range(28)]
    curves = [
        CurvePoint(
            format=name, x=x, value=v * scale, accuracy=curve(name, v),
            low=max(0, curve(name, v) - 0.04), high=min(1, curve(name, v) + 0.04),
        )
        for name in FORMATS
        for x, scale in (("examples", 1), ("tokens", 12 * tokens[name]), ("flops", 6 * 6e5 * 12 * tokens[name]))
        for v in values
    ]  # fmt: skip
    thresholds = []
    for name in FORMATS:
        for x, scale in (("examples", 1), ("tokens", 12 * tokens[name])):
            for level in (0.5, 0.9):
                star = middle[name] * (0.96 if level == 0.5 else 4.7) * scale
                if star / scale > 12000:
                    row = ThresholdRow(format=name, x=x, threshold=level, estimate=10000 * scale, censored="above")
                else:
                    row = ThresholdRow(
                        format=name, x=x, threshold=level, estimate=star, low=star * 0.86, high=star * 1.17
                    )
                thresholds.append(row)
    findings = [
        Finding(
            id="F1", claim="Coarser chains of thought need more SFT data.", verdict="supported",
            rule="Supported when the 95% interval of the ratio N*(composed:2) / N*(explicit) lies above 1.",
            summary="N* at accuracy 0.5 is 240 examples for explicit and 672 for composed:2; ratio 2.8 [2.2, 3.5].",
            rows=[
                {"format": "explicit", "N*": 240, "low": 206.4, "high": 281},
                {"format": "composed:2", "N*": 672, "low": None, "high": 786, "ratio": 2.8},
            ],
        ),
        Finding(
            id="F2b", claim="Composed gains from repetition; implicit memorizes.", verdict="contradicted",
            rule="Supported when eight epochs gain more test accuracy for composed than for implicit, interval > 0.",
            summary="Eight epochs gained 0.11 [0.06, 0.16] for composed:2 and 0.19 [0.13, 0.24] for implicit:2.",
        ),
        Finding(
            id="F4", claim="The unidirectional order generalizes best to longer problems.", verdict="inconclusive",
            rule="Supported when forward leads both others beyond the training lengths, both intervals above 0.",
            summary="Forward leads backward by 0.04 [-0.02, 0.10] beyond 8 operations; the interval allows both.",
        ),
    ]  # fmt: skip
    return ReportData(
        title="Compressed reasoning in post-training: quick study",
        command="zipthought study quick --seed 0 --out runs/quick",
        created="2026-11-22 23:00 UTC",
        spec={"seed": 0, "n_ops": [2, 8], "optimizer": {"name": "adamw", "learning_rate": 1e-3},
              "formats": list(FORMATS)},
        environment={"python": "3.11.7", "torch": "2.9.1", "threads": 2, "machine": "x86_64", "gpu": None},
        findings=findings,
        sections=[
            scaling_report.section(
                ScalingRows(cells=cells, curves=curves, thresholds=thresholds, training=losses, paths=paths),
                [traces(i) for i in range(problems)],
            ),
            repetition_report.section(repetition),
            decomposition_report.section(profiles),
            orders_report.section(order_cells),
        ],
    )  # fmt: skip


def traces(index: int) -> ExplorerProblem:
    """A real problem; generated traces are gold ones with, now and then, a number changed."""
    problem = zt.sample(n_ops=4 + index, seed=index)
    gold, made = [], []
    for place, name in enumerate(FORMATS[:6]):
        text = zt.render(zt.compress(problem, name), surface="english")
        gold.append((name, text, count_pieces(text)))
        for examples in (1000, 10000):
            wrong = (
                text
                if examples > 1000 or place % 2
                else re.sub(r"= (\d+)\. (?=Define|\w+ =|Answer)", "= 99. ", text, count=2)
            )
            verdict = zt.verify(wrong, problem)
            parts = wrong.split(". ")
            made.append(
                ExplorerCompletion(
                    format=name, examples=examples, text=wrong, answer_verdict=verdict.answer,
                    faithful=verdict.faithful,
                    steps=[(parts[i] + ".", s.verdict, s.granularity, s.form) for i, s in enumerate(verdict.steps)],
                    label="after RLVR" if place == 1 else "",
                )
            )  # fmt: skip
    return ExplorerProblem(
        id=f"{index:016x}", n_ops=problem.n_ops, prompt=zt.render_problem(problem), gold=gold, generated=made
    )


class Page(HTMLParser):
    """Tags, ids and the scripts of a page, as a browser's tokenizer would cut them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.visible = ""
        self._script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values[key] or "" for key in ("src", "href", "action") if key in values]

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data
        else:
            self.visible += data

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def whole() -> str:
    return build_report(study())


def test_sections_stand_in_order_and_ids_are_unique(whole):
    page = Page(whole)
    wanted = ["verdicts", "figures", "tables", "traces", "reading", "reproduce"]
    assert [name for name in page.ids if name in wanted] == wanted
    assert len(page.ids) == len(set(page.ids))
    assert len(page.scripts) == 4
    assert page.visible.index("1 supported · 1 contradicted · 1 inconclusive") < page.visible.index("Figure 1")


def test_the_file_is_small_and_asks_for_nothing(whole):
    assert len(whole.encode()) < 3_000_000
    assert all(link.startswith(("#", "data:")) for link in Page(whole).links)
    assert "default-src 'none'" in whole
    assert whole.count("vegaEmbed=") <= 1


def test_every_figure_is_drawn_once_with_its_data(whole):
    page = Page(whole)
    names = ["examples", "tokens", "flops", "repetition", "repetition-train", "repetition-memory"]
    names += ["profile", "profile-accuracy", "profile-tokens", "orders", "orders-plain"]
    names += ["response", "memorization", "lengths", "losses", "orders-faithful", "orders-faithful-plain"]
    assert list(page.data["figures"]) == [f"fig-{name}" for name in names]
    for key, spec in page.data["figures"].items():
        assert page.ids.count(key) == 1
        assert spec["description"]
        assert {"name": "hidden", "value": []} in spec["params"]


def test_verdicts_say_so_in_words_with_their_numbers(whole):
    page = Page(whole)
    for row in study(1, 0).findings:
        assert row.summary in page.visible
        assert row.verdict in page.visible
        assert row.rule in page.visible


def test_censored_thresholds_are_bounds_not_numbers():
    rows = [
        ThresholdRow(format="explicit", x="examples", threshold=0.5, estimate=100, censored="below"),
        ThresholdRow(format="implicit:2", x="examples", threshold=0.5, estimate=3000, censored="above"),
        ThresholdRow(format="composed:2", x="examples", threshold=0.5, censored="above"),
    ]
    data = ReportData(title="t", command="c", sections=[scaling_report.section(ScalingRows(thresholds=rows))])
    page = Page(build_report(data))
    assert "< 100already reached in the data" in page.visible
    assert "> 3,000not reached in the data" in page.visible
    colors = palette.Palette(["explicit", "implicit:2", "composed:2"])
    assert scaling_charts.accuracy(ScalingRows(thresholds=rows), "examples", colors) is None


def test_a_report_of_nothing_still_opens():
    page = Page(build_report(ReportData(title="Nothing yet", command="zipthought study quick")))
    assert "tested no claim" in page.visible
    assert page.data["figures"] == {}
    assert page.scripts[1] == ""  # no figure, no Vega


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds(seeds):
    assert "fig-examples" in Page(build_report(study(seeds, 0))).data["figures"]


def test_what_was_not_measured_is_a_dash_and_never_a_zero():
    row = CellRow(format="explicit", examples=100, seed=0, n=10, flops=math.nan)
    data = ReportData(title="t", command="c", sections=[scaling_report.section(ScalingRows(cells=[row]))])
    page = Page(build_report(data))
    assert page.data["figures"] == {}
    assert page.visible.count("–") == 8
    assert "nan" not in page.visible.lower()
    assert tables.number(math.inf) == tables.number(None)


def hostile() -> ReportData:
    """A report with hostile text wherever text can stand."""
    made = ExplorerCompletion(
        format=HOSTILE, examples=1, text=HOSTILE + "\ud800", answer_verdict=HOSTILE, faithful=False,
        steps=[(HOSTILE, HOSTILE, 0, HOSTILE)], label=HOSTILE,
    )  # fmt: skip
    problem = ExplorerProblem(
        id=HOSTILE, n_ops=1, prompt=HOSTILE, gold=[(HOSTILE, HOSTILE, 3)],
        generated=[made],
    )  # fmt: skip
    finding = Finding(
        id=HOSTILE, claim=HOSTILE, verdict="supported", rule=HOSTILE, summary=HOSTILE, rows=[{HOSTILE: HOSTILE}]
    )
    cell = CellRow(format=HOSTILE, order=HOSTILE, examples=10, seed=0, n_ops=HOSTILE, n=1, accuracy=0.5, stage=HOSTILE)
    return ReportData(
        title=HOSTILE, command=HOSTILE, created=HOSTILE, spec={HOSTILE: HOSTILE}, environment={HOSTILE: [HOSTILE]},
        findings=[finding],
        sections=[
            scaling_report.section(
                ScalingRows(cells=[cell, CellRow(format=HOSTILE, examples=10, seed=0, n=1, accuracy=0.5)]), [problem]
            ),
            Section(experiment=HOSTILE, tables={HOSTILE: [cell]}, shown={HOSTILE: HOSTILE}),
        ],
    )  # fmt: skip


def test_hostile_strings_stay_text():
    text = build_report(hostile())
    text.encode()
    page = Page(text)
    assert len(page.scripts) == 4
    assert "img" not in page.tags
    assert page.data["problems"][0]["prompt"] == HOSTILE
    assert page.visible.count(HOSTILE) >= 10


def test_templates_escape_everything():
    """Only `build_report` marks text as markup, and only what the report itself wrote or made safe."""
    for path in (Path(palette.__file__).parent / "templates").glob("*.html"):
        text = path.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), path
        assert "{% raw" not in text, path


def test_a_value_without_a_name_in_the_templates_is_an_error():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


@pytest.mark.parametrize("value", [HOSTILE, math.nan, [math.inf, {"a": (1, "\u2029")}]])
def test_json_in_a_script_element(value):
    written = json_for_script(value)
    assert not re.search("[<>&\u2028\u2029]", written)
    json.loads(written)


def test_script_text_breaks_up_what_html_looks_for():
    assert script_text("a = '</SCRIPT>' + '<!-- x'") == "a = '\\x3c/SCRIPT>' + '\\x3c!-- x'"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Finding(id="F1", claim="", verdict="Supported", rule="", summary=""),
        lambda: CurvePoint(format="explicit", x="steps", value=1, accuracy=0),
        lambda: ThresholdRow(format="explicit", x="tokens", threshold=0.5, censored="yes"),
        lambda: CellRow(format="explicit", examples=1, seed=0, n=1, split="validation"),
    ],
)
def test_words_outside_the_contract_are_refused(make):
    with pytest.raises(ValueError, match="must be one of"):
        make()


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_reach_wcag_contrast_in_both_themes(theme):
    names = [*FORMATS, "composed:8", "composed:16", "implicit:8", "implicit:16", "a", "b", "c"]
    for look in palette.looks(names).values():
        assert _contrast((look.light, look.dark)[theme], palette.INK["card"][theme]) >= 3, look
    words = ("ink", "muted", "link", "good", "bad", "unsure", "premise", "undefined", "again")
    for ground in ("page", "card", "sunk"):
        for name in words:
            assert _contrast(palette.INK[name][theme], palette.INK[ground][theme]) >= 4.5, (name, ground)


def test_formats_differ_in_colour_and_neighbours_in_shape():
    looks = list(palette.looks(FORMATS).values())
    assert [look.format for look in looks] == list(FORMATS)
    assert len({look.light for look in looks}) == len({look.dark for look in looks}) == len(looks)
    assert len({look.shape for look in looks[:6]}) == 6


@pytest.mark.long
def test_in_a_browser(whole, tmp_path: Path):
    """No console message, no request; themes reach the charts, the explorer obeys keys, hostile text stays text."""
    from selenium import webdriver

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no chromium and chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1280,1000", "--force-prefers-reduced-motion",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    path = tmp_path / "report.html"
    path.write_text(whole, encoding="utf-8")
    page = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        _walk(page, path.as_uri(), webdriver.Keys)
        path.write_text(build_report(hostile()), encoding="utf-8")
        page.get(path.as_uri())
        _touch_everything(page)
        assert page.title != "owned"
        assert page.execute_script("return [window.owned, document.images.length, document.scripts.length]") == [
            *(None, 0, 4)
        ]
        assert HOSTILE in page.find_element("css selector", "h1").get_attribute("textContent")
        assert (
            page.execute_script("return document.querySelector('#x-generated .trace').textContent.slice(0, -1)")
            == HOSTILE
        )
        assert page.get_log("browser") == []
        _nothing_was_requested(page, path.as_uri())
        for element in ("<img src=https://example.invalid/a>", "<iframe src=https://example.invalid></iframe>"):
            page.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", element)
        page.execute_script(
            "document.head.append(Object.assign(document.createElement('script'), {src: 'https://example.invalid/x.js'}))"
        )
        refused = [entry["message"] for entry in page.get_log("browser")]
        assert len(refused) == 3
        assert all("Content Security Policy" in message for message in refused)
    finally:
        page.quit()


def _touch_everything(page) -> None:
    """Draw every figure, and point at marks, where tooltips show names."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.wait import WebDriverWait

    ready = "return document.documentElement.dataset.ready"
    WebDriverWait(page, 30).until(lambda _: page.execute_script(ready) == "yes")
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.execute_script("document.querySelectorAll('select').forEach((s) => s.dispatchEvent(new Event('change')))")
    mark = page.find_element("css selector", ".chart svg .mark-symbol path")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(page).move_to_element(mark).perform()
    shown = WebDriverWait(page, 10).until(lambda _: page.find_elements("css selector", "#vg-tooltip-element.visible"))
    assert HOSTILE[:30] in shown[0].get_attribute("textContent")
    page.execute_script("document.querySelectorAll('button').forEach((b) => b.click())")


def _walk(page, address: str, keys) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    def one(selector: str):
        return page.find_element("css selector", selector)

    def many(selector: str):
        return page.find_elements("css selector", selector)

    page.get(address)
    WebDriverWait(page, 30).until(lambda _: one("html").get_attribute("data-ready") == "yes")
    assert len(many(".chart svg")) == 10  # one of each group; the others wait behind their switches
    for key in ("flops", "repetition-memory", "profile-accuracy", "orders-plain"):
        page.execute_script(f"document.querySelector('.switch input[value=fig-{key}]').click()")
        WebDriverWait(page, 10).until(lambda _, key=key: many(f"#fig-{key} svg .mark-line path"))

    fill = "return getComputedStyle(document.querySelector('#fig-response svg .mark-symbol path')).fill"
    light = page.execute_script(fill)
    one("#theme").click()
    assert light.startswith("rgb(")
    assert page.execute_script(fill) not in (light, "none")

    points = "return document.querySelectorAll('#fig-response svg .mark-symbol path').length"
    before = page.execute_script(points)
    page.execute_script("document.querySelector('.legend button[data-format=explicit]').click()")
    WebDriverWait(page, 10).until(lambda _: page.execute_script(points) < before)

    first = one("#x-prompt").text
    one("#x-next").click()
    assert one("#x-position").text == "2 of 4"
    one("#explorer").send_keys(keys.ARROW_LEFT)
    assert one("#x-prompt").text == first
    assert len(many("#x-gold .card")) == 6
    assert "✓ valid" in one("#x-generated").text

    cells = "[...document.querySelectorAll('#cells tbody tr')].map(r => r.cells[7].dataset.v)"
    page.execute_script("document.querySelectorAll('#cells thead button')[7].click()")
    values = page.execute_script(f"return {cells}.filter(v => v).map(Number)")
    assert values == sorted(values)

    page.set_window_size(500, 900)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")

    assert page.get_log("browser") == []
    _nothing_was_requested(page, address)


def _nothing_was_requested(page, address: str) -> None:
    """The report asked for itself alone."""
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    # The browser's own first tab asks for chrome:// addresses; the report is known by its document.
    asked = {r["request"]["url"] for r in requests if r["documentURL"].startswith("file://")}
    assert asked
    assert all(url == address or url.startswith("data:") for url in asked), asked
    assert not any(r["request"]["url"].startswith(("http:", "https:")) for r in requests)


@pytest.mark.parametrize("name", ["findings", "cells", "title", "twice"])
def test_tables_that_would_hide_others_are_refused(name):
    sections = [Section(experiment="one", tables={name: []}), Section(experiment="two", tables={"twice": []})]
    with pytest.raises(ValueError, match=f"another table '{name}'"):
        ReportData(title="", command="", sections=sections)


def test_headings_and_panels_that_occur_twice_are_refused():
    shown = [Section(experiment=name, tables={name: []}, shown={"Heading": name}) for name in ("one", "two")]
    with pytest.raises(ValueError, match="the heading 'Heading'"):
        ReportData(title="", command="", sections=shown)

    def drawn(palette):
        return [FigureGroup(title="", caption="", panels=[Panel("fig-../x", "", object())], names=set())]

    data = ReportData(title="", command="", sections=[Section(experiment="one", figures=drawn)])
    with pytest.raises(ValueError, match=r"the key 'fig-\.\./x' of a panel"):
        figure_groups(data, palette.Palette(set()))
