"""The report: what its tables say, and what it does in a real browser, opened from disk, at two widths.

Expected numbers are counted here from the files that the report is made of.
"""

import base64
import io
import json
import os
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import MADE_BY, PROJECT, VOID, write_index, write_thresholds
from PIL import Image
from workflow_runs import snakemake

from cotrain.files import hdf5, labelfiles, tables
from cotrain.files.scores import write_json
from cotrain.method.labelmaps import SCALE, image_statistics
from cotrain.report.charts import histogram, packed
from cotrain.report.pictures import spread

CLASSES = ("road", "<b>car</b>", "sky & 'sea'")
COLORS = ((128, 64, 128), (0, 0, 142), (70, 130, 180))
IDS = ["a", "city/<i>b</i>", "city/c", "d", "e"]
ROUNDS = {
    "source_only": "source only",
    "selftrain/01": "self-training 1",
    "cotrain/01/1": "co-training 1, model 1",
    "cotrain/01/2": "co-training 1, model 2",
    "final": "last training",
    "upper_bound": "upper bound",
}
TRAINED = [r for r in ROUNDS if r not in ("source_only", "upper_bound")]
SETTINGS = {
    "title": "a <u>run</u>",
    "colors": list(zip(CLASSES, COLORS, strict=True)),
    "rounds": list(ROUNDS.items()),
    "series": [["self-training", ["selftrain/01"]], ["last", ["final"]]],
    "before": "source_only",
    "after": "final",
    "labels": {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2, "255": 255}},
}
SIZE = (24, 40)


def blobs(seed: int, count: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Smooth labels (N, H, W) and confidences (N, H, W) uint16, like those of streets and not like noise."""
    rng = np.random.default_rng(seed)
    fields = [
        [np.asarray(Image.fromarray(rng.random((4, 6)).astype(np.float32)).resize(size[::-1])) for _ in CLASSES]
        for _ in range(count)
    ]
    scores = np.exp(6 * np.array(fields))
    confidence = scores.max(axis=1) / scores.sum(axis=1)
    return scores.argmax(axis=1).astype(np.uint8), np.rint(confidence * SCALE).astype(np.uint16)


class Run:
    """A folder with the files that a report is made of, and the page."""

    def __init__(self, folder: Path, ids: list[str] = IDS, size: tuple[int, int] = SIZE, distinct: int = 5):
        self.folder, self.ids, self.pages = folder, ids, folder / "report.html"
        copies = np.arange(len(ids)) % distinct
        truth, _ = blobs(0, distinct, size)
        photographs = np.stack([truth * 80, 255 - truth * 60, truth * 20], axis=-1)
        named = lambda maps: dict(zip(ids, maps[copies], strict=True))  # noqa: E731
        self.target = write_index(folder / "target" / "target.csv", named(photographs), named(truth))
        self.maps = {}
        for n, r in enumerate(TRAINED, start=1):
            label, confidence = (maps[copies] for maps in blobs(n, distinct, size))
            kept = np.where(confidence > np.median(confidence), label, VOID).astype(np.uint8)
            self.maps[r] = label, confidence, kept
            self.write_round(folder / r, label, confidence, kept)
        for n, r in enumerate(ROUNDS):
            self.write_scores(r, n, truth[copies])
        rows = [{"round": r, "name": name, "miou": 0.1 * n, "gap_closed": 0.2 * n, "coverage": None, "accuracy": None}
                for n, (r, name) in enumerate(ROUNDS.items())]  # fmt: skip
        pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)
        (folder / "logs" / "final").mkdir(parents=True)
        (folder / "logs" / "final" / "train.log").write_text("…\ntrain: 12.5 s, at most 300 MiB of memory\n")
        (folder / "logs" / "final" / "killed.log").write_text("train: 3/10 steps\n")
        (folder / "logs" / "index.log").write_text("index: 0.5 s, at most 90 MiB of memory\n" * 2)

    def write_round(self, folder: Path, label: np.ndarray, confidence: np.ndarray, kept: np.ndarray) -> None:
        histogram = np.zeros((len(CLASSES), SCALE + 1), np.int64)
        shape = (1, *label.shape[1:])
        path = folder / "predictions.h5"
        with labelfiles.create_predictions(path, CLASSES, self.ids, shape, 1.0, histogram, MADE_BY) as write:
            for i in range(len(self.ids)):
                write(i, label[i][None], confidence[i][None])
        rounds = [folder.name] * len(self.ids)
        path = folder / "pseudolabels.h5"
        with labelfiles.create_pseudolabels(path, CLASSES, self.ids, rounds, label.shape[1:], MADE_BY) as write:
            for i in range(len(self.ids)):
                write(i, kept[i], image_statistics(kept[i], confidence[i], len(CLASSES)))
        write_thresholds(folder / "thresholds.csv", [0.5, 0.25, 0.125], CLASSES)
        reasons = [CLASSES[n % 2] for n in range(len(self.ids))]
        rows = [{"image_id": i, "confidence": 0.5, "reason": c} for i, c in zip(self.ids, reasons, strict=True)]
        tables.write_table(folder / "selected.csv", "selected", rows, MADE_BY)

    def write_scores(self, round: str, n: int, truth: np.ndarray) -> None:
        confusion = [[7 + n, 1, 0], [2, 5, 3], [0, 0, 0]]
        scores = {"classes": CLASSES, "images": 2, "miou": 0.1 * n, "iou": [0.1 * n, 0.5, None], "confusion": confusion}
        write_json(self.folder / "evaluation" / f"{round}.json", "metrics", scores, MADE_BY)
        measure = {"classes": CLASSES, "images": 4, "coverage": 0.5, "accuracy": 0.9, "precision": [1.0, 0.8, None]}
        write_json(self.folder / "evaluation" / "pseudolabels" / f"{round}.json", "measure", measure, MADE_BY)
        with hdf5.create_hdf5(self.folder / "evaluation" / f"{round}.h5", "pictures", CLASSES, MADE_BY) as file:
            for i, label in list(zip(self.ids, truth, strict=True))[:2]:
                file[f"prediction/{i}"], file[f"truth/{i}"] = np.roll(label, n, axis=0), label
            hdf5.write_strings(file, "image_id", self.ids[:2])

    def flags(self) -> dict:
        def of(rounds, name):
            return [self.folder / name.format(r) for r in rounds]

        return {
            "summary": self.folder / "summary.csv",
            "metrics": of(ROUNDS, "evaluation/{}.json"),
            "evaluated": of(ROUNDS, "evaluation/{}.h5"),
            "measures": of(TRAINED, "evaluation/pseudolabels/{}.json"),
            "images": self.target,
            "thresholds": of(TRAINED, "{}/thresholds.csv"),
            "pseudolabels": of(TRAINED, "{}/pseudolabels.h5"),
            "predictions": of(TRAINED, "{}/predictions.h5"),
            "selected": of(TRAINED[:-1], "{}/selected.csv"),
            "target": self.target,
            "logs": self.folder / "logs",
            "out": self.pages,
        }


class Page(HTMLParser):
    """Tables by caption as lists of rows, scripts by id, and the names of all tags."""

    def __init__(self, path: Path):
        super().__init__()
        self.tables, self.scripts, self.tags = {}, {}, Counter()
        self.inside, self.text, self.rows, self.row, self.id = "", "", [], [], None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.id = dict(attributes).get("id")
        if tag in ("th", "td", "caption", "script", "h1"):
            self.inside, self.text = tag, ""
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.row = []

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.row.append(self.text.strip())
        elif tag == "caption":
            self.tables[self.text] = self.rows
        elif tag == "tr":
            self.rows.append(self.row)
        elif tag == "script" and self.id:
            self.scripts[self.id] = self.text
        elif tag == "h1":
            self.title = self.text


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Run:
    from cotrain.cli import main

    run = Run(tmp_path_factory.mktemp("a report"))
    assert main(arguments(run)) == 0
    return run


def arguments(run: Run, settings: dict | None = None) -> list[str]:
    found = ["report", "--settings", json.dumps(SETTINGS | (settings or {}))]
    for flag, value in run.flags().items():
        found += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    return found


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page(made.pages)


# ---- what it says -----------------------------------------------------------------------------------------------


def test_result_table_is_the_summary_in_percent(page):
    rows = page.tables["Scores of each model, %"][1:]
    assert rows == [[name, f"{10 * n:.1f}", f"{20 * n:.1f}", "–", "–"] for n, name in enumerate(ROUNDS.values())]


def test_iou_of_a_class_that_is_nowhere_is_a_dash(page):
    rows = page.tables["IoU of each class and model, %"]
    assert rows[0][1:] == list(ROUNDS.values())
    assert [row[0] for row in rows[1:]] == list(CLASSES)
    assert rows[1][1:] == [f"{10 * n:.1f}" for n in range(len(ROUNDS))] and set(rows[3][1:]) == {"–"}


def test_thresholds_of_every_round(page):
    rows = page.tables["Threshold of each class and round, %"]
    assert rows[0][1:] == [ROUNDS[r] for r in TRAINED]
    assert [row[1:] for row in rows[1:]] == [[value] * len(TRAINED) for value in ("50.0", "25.0", "12.5")]


def test_pseudolabels_are_counted_from_their_maps(made, page):
    rows = {row[0]: row[1:] for row in page.tables["Pseudo-labels of each round; pixels and labels in %"][1:]}
    shares = page.tables["Share of each class among the pseudo-labels, %"]
    for n, r in enumerate(TRAINED, start=1):
        kept = made.maps[r][2]
        labelled = kept[kept != VOID]
        received = "–" if r == "final" else "5"
        assert rows[ROUNDS[r]] == ["5", f"{100 * labelled.size / kept.size:.1f}", received, "4", "50.0", "90.0"]
        assert [row[n] for row in shares[1:]] == [f"{100 * (labelled == c).mean():.1f}" for c in range(len(CLASSES))]


def test_histogram_counts_every_image_once(made, page):
    chart, means = page.scripts["json-confidence"], {}
    for r in TRAINED:
        _, confidence, kept = made.maps[r]
        means[r] = [confidence[i][kept[i] != VOID].mean() / SCALE for i in range(len(IDS))]
    start = min(min(of_round) for of_round in means.values()) // 0.05 * 0.05
    for of_round in means.values():
        places = [int((m - start) / (1 - start) * 20) for m in of_round]
        counts = [places.count(n) for n in range(20)]
        assert sum(counts) == len(IDS) and json.dumps(counts, separators=(",", ":")) in chart


def test_exchange_goes_from_the_other_model(page):
    counts = Counter(CLASSES[n % 2] for n in range(len(IDS)))
    rows = page.tables["Images sent for each class"]
    assert rows[0][1:] == ["cycle 1, model 2 to 1", "cycle 1, model 1 to 2"]  # in the order of who receives
    assert {row[0]: row[1:] for row in rows[1:]} == {c: [str(counts[c])] * 2 for c in CLASSES}
    assert page.tables["Who sent what; confidence in %"][1] == ["cycle 1, model 2 to 1", "5", "50.0", "50.0"]


def test_times_are_those_of_finished_jobs(page):
    assert page.tables["Seconds and memory of each stage"][1:] == [
        ["train", "1", "12.5", "12.5", "300"],
        ["index", "1", "0.5", "0.5", "90"],
    ]
    assert [row[0] for row in page.tables["Of each job"][1:]] == ["final/train", "index"]


def test_names_are_text_and_never_tags(page):
    assert page.title == "a <u>run</u>"
    assert not page.tags.keys() & {"b", "i", "u"}
    assert json.loads(page.scripts["ids"])[0] == sorted(IDS)


def test_nothing_is_loaded_from_elsewhere(made):
    text = re.sub(r"<script.*?</script>", "", made.pages.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"""(src|href|action)\s*=\s*["'](?!#|data:)""", text)
    assert "url(" not in text and "@import" not in text and "default-src 'none'" in text


def layer(page: Page, album: int, image: int, name: str) -> Image.Image:
    uri = json.loads(page.scripts[f"picture-{album}-{image}"])["layers"][name]
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_layers_are_the_maps_in_the_colours_of_their_classes(made, page):
    place = sorted(IDS).index("city/c")
    label, confidence, kept = (maps[IDS.index("city/c")] for maps in made.maps["cotrain/01/2"])
    name = ROUNDS["cotrain/01/2"]
    assert (np.asarray(layer(page, 0, place, f"prediction for {name}").convert("RGB")) == np.array(COLORS)[label]).all()
    pixels = np.asarray(layer(page, 0, place, f"pseudo-label for {name}").convert("RGB"))
    assert (pixels[kept != VOID] == np.array(COLORS)[kept[kept != VOID]]).all()
    assert {tuple(p) for p in pixels[kept == VOID]} == {(0, 0, 0), (235, 235, 235)}
    found = np.asarray(layer(page, 0, place, f"confidence for {name}").convert("RGB")).astype(int)
    order = np.argsort(confidence, axis=None)
    bright = found.sum(axis=-1).ravel()  # viridis grows lighter
    assert bright[order[-200:]].mean() > bright[order[:200]].mean() + 50


def test_truth_of_target_images_is_left_out_without_their_labels(tmp_path, cotrain):
    run = Run(tmp_path)
    table = tables.read_table(run.target, "index").assign(label="")
    table.to_csv(run.target, index=False)
    flags = {k: v for k, v in run.flags().items() if k not in ("evaluated", "images")}
    assert cotrain("report", SETTINGS | {"labels": None}, **flags).code == 0
    found = Page(run.pages)
    assert all("truth" not in json.loads(text)["layers"] for name, text in found.scripts.items() if "picture" in name)


def test_without_validation_and_cotraining_there_are_fewer_sections(tmp_path, cotrain):
    run = Run(tmp_path)
    flags = {k: run.flags()[k] for k in ("target", "out")}
    for name in ("thresholds.csv", "pseudolabels.h5", "predictions.h5"):
        flags[name.partition(".")[0]] = [run.folder / r / name for r in ("selftrain/01", "final")]
    assert cotrain("report", SETTINGS | {"images": 0}, **flags).code == 0
    found = Page(run.pages)
    assert "Threshold of each class and round, %" in found.tables and "Scores of each model, %" not in found.tables
    assert not [name for name in found.scripts if name.startswith("picture")]


@pytest.mark.parametrize("kept", [[], ["final"]])
def test_without_predictions_only_their_layers_are_missing_and_the_page_says_whose(page, tmp_path, cotrain, kept):
    run = Run(tmp_path)
    flags = run.flags() | {"predictions": [run.folder / r / "predictions.h5" for r in kept]}
    assert cotrain("report", SETTINGS, **flags).code == 0
    found = Page(run.pages)
    names = ", ".join(name for r, name in ROUNDS.items() if r in TRAINED and r not in kept)
    assert f"<p>Predictions and confidences for {names} are not shown" in run.pages.read_text(encoding="utf-8")
    assert found.tables.keys() == page.tables.keys() and found.scripts.keys() == page.scripts.keys()
    for name in (name for name in page.scripts if name.startswith("picture-")):
        with_all, layers = (json.loads(one.scripts[name])["layers"] for one in (page, found))
        gone = {f"{kind} for {ROUNDS[r]}" for kind in ("prediction", "confidence") for r in TRAINED if r not in kept}
        assert layers == {layer: uri for layer, uri in with_all.items() if layer not in gone}


def test_with_all_predictions_nothing_is_said_to_be_missing(made):
    assert "are not shown" not in made.pages.read_text(encoding="utf-8")


def test_predictions_of_a_round_without_pseudolabels_are_refused(tmp_path, refused):
    run = Run(tmp_path)
    flags = run.flags() | {
        "pseudolabels": [run.folder / "final/pseudolabels.h5"],
        "thresholds": [run.folder / "final/thresholds.csv"],
    }
    assert "--predictions: of other rounds than --pseudolabels" in refused("report", SETTINGS, **flags)


def test_same_files_make_the_same_bytes(made, tmp_path):
    import subprocess
    import sys

    pages = []
    for name in ("first.html", "second.html"):
        words = [str(tmp_path / name) if w == str(made.pages) else w for w in arguments(made)]
        subprocess.run([sys.executable, "-m", "cotrain", *words], check=True, capture_output=True)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_pictures_are_of_the_images_that_are_in_most_rounds():
    rounds = {"a": ["1", "2", "3"], "b": ["2", "3", "4"], "c": ["5"]}
    assert spread(rounds, 2) == ["2", "3"]
    assert spread(rounds, 3) == ["1", "2", "3"]
    assert spread(rounds, 99) == ["1", "2", "3", "4", "5"]
    assert spread({"a": [f"{n:03}" for n in range(101)]}, 3) == ["000", "050", "100"]


def test_charts_cannot_end_their_script():
    assert "</script" not in packed(histogram({"</script><script>x": [1, 2]}, [0, 0.5, 1], "x", "y"))


@pytest.mark.parametrize("ending", ["html", "css", "js"])
def test_edit_of_the_template_changes_what_the_report_is_made_by(ending, tmp_path):
    """In a copy of the code, which a process of its own reads: hashes are kept for as long as a process lives."""
    import subprocess
    import sys

    shutil.copytree(PROJECT / "src", tmp_path / "src")
    code = "import json; from cotrain.files.code import manifest; print(json.dumps(manifest('report')))"

    def manifest() -> dict[str, str]:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
        return json.loads(
            subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout
        )

    before = manifest()
    with (tmp_path / "src/cotrain/report" / f"page.{ending}").open("a") as file:
        file.write("\n")
    after = manifest()
    assert before.keys() == after.keys()
    assert len([name for name in before if before[name] != after[name]]) == 1


# ---- who reads it, and what it reads ----------------------------------------------------------------------------


def test_no_job_reads_the_report_and_none_of_the_adaptation_reads_what_knows_target_labels(run, dry_run):
    """Walks the DAG: from all that reads the labelled table to all that follows from it."""
    jobs = dry_run(run, None, "--forceall").jobs
    assert any(job.rule == "report" for job in jobs)
    assert not [job for job in jobs for path in job.inputs if path.endswith("report.html")]
    reached, rules = {path for job in jobs for path in job.outputs if path.endswith("target_labelled.csv")}, set()
    assert reached
    while new := [job for job in jobs if reached & {*job.inputs} and not {*job.outputs} <= reached]:
        reached |= {path for job in new for path in job.outputs}
        rules |= {job.kind for job in new}
    assert rules == {"measure", "train upper_bound", "evaluate", "summarize", "plot", "report"}
    models = [path for path in reached if path.endswith(".pt")]
    assert [path.split("/")[-2] for path in models] == ["upper_bound"]


def test_report_of_a_run_has_a_picture_of_every_image_and_a_time_of_every_job(results):
    found = Page(results / "report.html")
    assert len(json.loads(found.scripts["ids"])[0]) == 10  # the target images of the tiny run
    jobs = [row[0] for row in found.tables["Of each job"][1:]]
    assert {"final/train", "cotrain/02/exchange", "selftrain/01/infer", "summarize"} <= {*jobs}
    assert "upper bound" in found.tables["IoU of each class and model, %"][0]
    trained = {row[0]: row[1] for row in found.tables["Settings of train"][1:]}
    assert trained["model"].count('"architecture"') == 1 and '"FPN"' in trained["model"]  # the one that was built


def test_report_of_snakemake_has_captions_and_is_sorted_by_round_and_model(run, tmp_path):
    page = tmp_path / "snakemake.html"
    result = snakemake(run, "--report", str(page))
    assert result.returncode == 0, result.stderr[-3000:]
    text = page.read_text(encoding="utf-8")
    for words in ("Self-training", "Co-training", "Cycle 2", "receives with the other model"):
        assert words in text


# ---- in a browser -----------------------------------------------------------------------------------------------

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver (Debian packages)")
WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}


class Browser:
    """A page opened from disk in headless Chromium."""

    def __init__(self, path: Path, device: str):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(word)
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service(DRIVER))
        width, height = WIDTHS[device]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": device == "phone"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Performance.enable", {})
        self.driver.get(path.as_uri())

    def js(self, code: str, *values):
        return self.driver.execute_script(code, *values)

    def find(self, name: str):
        return self.driver.find_element("id", name)

    def until(self, code: str):
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, 120).until(lambda _: self.js(f"return {code}"))

    def choose(self, name: str, text: str) -> None:
        from selenium.webdriver.support.select import Select

        Select(self.find(name)).select_by_visible_text(text)

    def slide(self, name: str, key: str) -> None:
        """Moves a slider by the keyboard."""
        from selenium.webdriver.common.keys import Keys

        self.find(name).send_keys(getattr(Keys, key))

    def shown(self, side: str) -> dict:
        """What is to be seen on one side: alternative text, opacity, size, and the bytes that are drawn."""
        code = """
            const [under, over] = document.getElementById("pane-" + arguments[0]).children;
            const box = over.getBoundingClientRect();
            return {alt: over.alt, opacity: getComputedStyle(over).opacity, width: box.width, left: box.left,
                    src: over.src, under: under.src, decoded: over.naturalWidth};"""
        self.until(f"document.querySelector('#pane-{side} .over').complete")
        return self.js(code, side)


@pytest.fixture(scope="module", params=WIDTHS)
def browser(request, made):
    opened = Browser(made.pages, request.param)
    yield opened
    opened.driver.quit()


@needs_browser
def test_page_fits_asks_for_nothing_and_has_no_errors(browser):
    count = browser.js("return document.querySelectorAll('.chart').length")
    for n in range(count):
        browser.js(f"document.querySelectorAll('.chart')[{n}].scrollIntoView()")
        browser.until(f"document.querySelectorAll('.chart')[{n}].querySelector('.bk-Figure')")
    browser.js("for (const one of document.querySelectorAll('details')) one.open = true")
    assert count == 7
    assert browser.js("return document.documentElement.scrollWidth <= innerWidth")
    assert [m for m in browser.driver.get_log("browser") if m["level"] not in ("INFO", "DEBUG")] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1


@needs_browser
def test_sides_show_what_is_chosen(browser, page):
    browser.choose("album", "Target images")
    browser.choose("image", "city/c")
    layers = json.loads(page.scripts[f"picture-0-{sorted(IDS).index('city/c')}"])["layers"]
    pairs = [("prediction for self-training 1", "prediction for last training"), ("photograph", "truth")]
    for left, right in [*pairs, ("pseudo-label for co-training 1, model 1", "confidence for co-training 1, model 1")]:
        browser.choose("left", left)
        browser.choose("right", right)
        for side, name in (("left", left), ("right", right)):
            shown = browser.shown(side)
            assert shown["src"] == layers[name] and shown["alt"] == f"{name}, image city/c" and shown["decoded"]
        assert browser.find("caption").text == f"Image city/c. Left: {left}. Right: {right}."


@needs_browser
def test_next_image_keeps_what_is_chosen_and_the_album_changes_it(browser):
    browser.choose("album", "Target images")
    browser.choose("left", "prediction for last training")
    first = browser.shown("left")
    browser.find("next").click()
    assert browser.shown("left")["src"] != first["src"]
    assert browser.shown("left")["alt"].startswith("prediction for last training")
    browser.find("previous").click()
    assert browser.shown("left")["src"] == first["src"]
    browser.choose("album", "Validation images")
    assert browser.js("return document.getElementById('image').length") == 2
    assert browser.shown("right")["alt"] == f"prediction of last training, image {IDS[0]}"


@needs_browser
def test_sliders_move_by_the_keyboard(browser):
    browser.slide("border", "HOME")
    assert (
        browser.js("return getComputedStyle(document.getElementById('pane-left')).clipPath")
        == "inset(0px 100% 0px 0px)"
    )
    browser.slide("border", "END")
    assert (
        browser.js("return getComputedStyle(document.getElementById('pane-left')).clipPath") == "inset(0px 0% 0px 0px)"
    )
    browser.slide("opacity", "HOME")
    shown = browser.shown("left")
    assert shown["opacity"] == "0" and shown["under"].startswith("data:image/webp")
    browser.slide("opacity", "END")
    assert browser.shown("left")["opacity"] == "1"


@needs_browser
def test_side_by_side_shows_both_whole(browser):
    wide = browser.js("return innerWidth > 640")
    browser.find("beside").click()
    left, right = browser.shown("left"), browser.shown("right")
    assert left["width"] == right["width"] > 150
    assert (right["left"] > left["left"]) == wide  # on a telephone one above the other
    assert browser.js("return getComputedStyle(document.getElementById('pane-left')).clipPath") == "none"
    browser.find("beside").click()
    assert browser.shown("left")["left"] == browser.shown("right")["left"]


@needs_browser
def test_confusion_is_that_of_the_chosen_model(browser):
    cells = "return [...document.querySelectorAll('#matrix td')].map((cell) => cell.textContent)"
    for n, name in enumerate(ROUNDS.values()):
        browser.choose("model", name)
        share = 100 * (7 + n) / (8 + n)
        assert browser.js(cells) == [
            *(f"{share:.1f}", f"{100 - share:.1f}", "0.0", "20.0", "50.0", "30.0", "–", "–", "–")
        ]  # fmt: skip


@needs_browser
def test_everything_can_be_reached_and_has_a_name(browser):
    """Each control is reached by Tab and has a label; each picture and chart has an alternative text."""
    from selenium.webdriver.common.keys import Keys

    browser.js("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = {"album", "image", "previous", "next", "left", "right", "beside", "border", "opacity", "model"}
    reached = set()
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.js("return document.activeElement.id"))
    assert wanted <= reached
    for name in wanted:
        assert browser.find(name).accessible_name
    assert browser.js("return [...document.querySelectorAll('.over')].every((image) => image.alt)")
    assert browser.js("return [...document.querySelectorAll('.chart')].every((chart) => chart.ariaLabel)")


@needs_browser
def test_colours_of_text_have_contrast(browser):
    """At least 4.5 to 1 (WCAG 2 AA) between each text of the page and what is behind it."""
    code = """
        const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const blend = (text) => { const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
            return `${[r, g, b].map((v) => (a === undefined ? v : a * v + (1 - a) * 255))}`; };
        const ground = (one) => getComputedStyle(one).backgroundColor;
        const texts = "p, a, th, td, label, figcaption, caption, button, select, li";
        return [...document.querySelectorAll(texts)].map((one) => {
            let behind = one;
            while (behind && ground(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            const back = light(blend(behind ? ground(behind) : "rgb(255, 255, 255)"));
            const front = light(getComputedStyle(one).color);
            return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05); })"""
    ratios = browser.js(code)
    assert len(ratios) > 100 and min(ratios) >= 4.5


# ---- 500 images -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Run:
    """500 target images of the demo's size, in every round."""
    from cotrain.cli import main

    run = Run(tmp_path_factory.mktemp("large"), [f"{n:03}" for n in range(500)], (96, 192), distinct=10)
    assert main(arguments(run, {"images": 500})) == 0
    return run


def test_report_of_500_images_is_small_and_fewer_can_be_asked_for(large):
    page = Page(large.pages)
    assert len(json.loads(page.scripts["ids"])[0]) == 500 and "picture-0-499" in page.scripts
    layers = json.loads(page.scripts["picture-0-499"])["layers"]
    assert len(layers) == 2 + 3 * len(TRAINED)
    assert large.pages.stat().st_size < 60e6


@needs_browser
def test_first_view_of_500_images_takes_little(large):
    """Processor time of the page's process until it is read whole, with the first picture shown; others stay text."""
    opened = Browser(large.pages, "desktop")
    try:
        assert opened.shown("left")["decoded"]
        values = {m["name"]: m["value"] for m in opened.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
        assert 0 < values["ProcessTime"] < 2
        assert opened.js("return document.images.length") == 4
    finally:
        opened.driver.quit()
