"""The documentation agrees with the code, the files and itself: links, commands, keys, generated pages, examples."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml
from conftest import PROJECT, save
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from reference import COMMAND, PAGES, keys, parts, settings_of

from cotrain import cli
from cotrain.procedure.plan import Plan
from cotrain.settings.config import Config

PARSER = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)  # with GitHub's names of headings
FOLDERS = ("", "docs", "tests", "tests/bad_inputs", "benchmarks", "tools", "workflow", "envs")
TEXTS = sorted(path for folder in FOLDERS for path in (PROJECT / folder).glob("*.md"))
OWN = re.compile(r"(?:workflow|tests|tools|benchmarks|docs|envs|profiles)/[\w./-]+|config\.yaml|Snakefile")

of_text = pytest.mark.parametrize("text", TEXTS, ids=[str(path.relative_to(PROJECT)) for path in TEXTS])


def tokens(path: Path) -> list[Token]:
    """Blocks of a text, and what is inside of them."""
    found = PARSER.parse(path.read_text(encoding="utf-8"))
    return [*found, *(child for token in found for child in token.children or [])]


def code(path: Path, language: str) -> list[str]:
    return [token.content for token in tokens(path) if token.type == "fence" and token.info == language]


def calls(path: Path) -> list[list[str]]:
    """The words of each command of a text, without what follows a pipe or a comment."""
    lines = "\n".join(code(path, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line.split(" | ")[0], comments=True))]


# ---- links ------------------------------------------------------------------------------------------------------


@of_text
def test_relative_links_and_their_anchors_exist(text):
    dead = []
    for token in tokens(text):
        link = token.attrs.get({"link_open": "href", "image": "src"}.get(token.type, ""))
        if link is None or urlsplit(link).scheme:
            continue
        path, anchor = unquote(urlsplit(link).path), unquote(urlsplit(link).fragment)
        there = (text.parent / path).resolve() if path else text
        names = [t.attrs.get("id") for t in tokens(there)] if there.suffix == ".md" and there.exists() else []
        if not there.exists() or not there.is_relative_to(PROJECT) or (anchor and anchor not in names):
            dead.append(link)
    assert dead == []


@of_text
def test_pictures_have_a_text_in_place_of_them(text):
    assert [token.attrs["src"] for token in tokens(text) if token.type == "image" and len(token.content) < 20] == []


def test_contents_lead_to_every_page():
    links = {token.attrs["href"] for token in tokens(PROJECT / "docs/README.md") if token.type == "link_open"}
    assert {path.name for path in (PROJECT / "docs").glob("*.md")} - {"README.md"} <= links


# ---- commands and keys ------------------------------------------------------------------------------------------


@of_text
def test_files_of_the_project_that_commands_name_exist(text):
    words = [found for call in calls(text) for word in call for found in OWN.findall(word)]
    assert [word for word in words if "NAME" not in word and not (PROJECT / word).exists()] == []


@of_text
def test_commands_of_cotrain_and_their_flags_exist(text):
    for call in calls(text):
        program, name, *words = [*(word for word in call if not re.match(r"\w+=", word)), "", ""]
        if program != "cotrain" or name == "COMMAND":
            continue
        assert name in cli.STAGES, call
        flags = cli.parsers(name)[1][name]._option_string_actions
        assert [word for word in words if word.startswith("--") and word not in flags] == [], call


@of_text
def test_targets_of_make_exist(text):
    targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert [call for call in calls(text) if call[0] == "make" and call[1] not in targets] == []


def test_keys_that_the_pages_name_exist():
    """Whatever looks like a dotted key: `training.cycle.steps`, `cotrain.lambda: 0.8`."""
    every = {key.name for key in keys(Config)}
    known = every | {name[:i] for name in every for i, letter in enumerate(name) if letter == "."}
    pages = [PROJECT / "README.md", PROJECT / "docs/troubleshooting.md", PROJECT / "docs/own_data.md"]
    pages += [PROJECT / "docs/concepts.md", PROJECT / "docs/config.md"]
    words = {t.content.split(":")[0] for page in pages for t in tokens(page) if t.type == "code_inline"}
    dotted = {word for word in words if re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)+", word)}
    mentioned = {word for word in dotted if word.split(".")[0] in Config.model_fields}
    assert len(mentioned) > 40 and sorted(mentioned - known - {"config.yaml", "report.html"}) == []


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_are_of_the_code_of_now(page):
    assert parts(page)[1] == f"\n{PAGES[page]()}\n", f"{page} is stale: {COMMAND}"


def test_every_key_and_every_setting_is_described():
    kinds = {Config} | {settings_of(cli.run_of(stage)) for stage in cli.STAGES} - {None}
    assert sorted(f"{kind.__name__}.{key.name}" for kind in kinds for key in keys(kind) if not key.meaning) == []


# ---- examples ---------------------------------------------------------------------------------------------------


def test_own_data_of_the_tutorial_is_read_and_planned(tmp_path, monkeypatch, capsys):
    blocks = code(PROJECT / "docs/own_data.md", "yaml")
    (tmp_path / "my").mkdir()
    for content in blocks:
        (tmp_path / content.split("\n")[0].removeprefix("# ")).write_text(content)
    (tmp_path / "workflow").symlink_to(PROJECT / "workflow")
    (tmp_path / "config.yaml").symlink_to(PROJECT / "config.yaml")
    for i in range(3):
        save(tmp_path / f"pictures/drive/{i}.jpg", np.full((24, 32, 3), 40 * i, np.uint8))
        save(tmp_path / f"pictures/labelled/images/{i}.jpg", np.full((24, 32, 3), 200 - 20 * i, np.uint8))
        save(tmp_path / f"pictures/labelled/labels/{i}.png", np.full((24, 32), 3 + i, np.uint8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COTRAIN_DATA", "pictures")
    assert cli.main(["check", "my/first.yaml"]) == 0
    said = capsys.readouterr().out
    assert "target drive: 3 images, no labels" in said and "validation labelled: 3 images, 3 labels" in said
    from cotrain.settings.yaml_files import joined, read_plain

    texts = {path: read_plain(path) for path in (Path("config.yaml"), Path("my/first.yaml"))}
    plan = Plan(joined(texts), Path("workflow"))
    assert "final/model.pt" in plan.files and "upper_bound/model.pt" not in plan.files
    assert yaml.safe_load((tmp_path / "my/first.yaml").read_text())["run"] == plan.config.run == "first"


def test_figures_of_the_concepts_are_drawn_from_a_run(results, run, tmp_path):
    command = [sys.executable, PROJECT / "docs/figures.py", results, tmp_path]
    done = subprocess.run(command, cwd=run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pictures = {Path(t.attrs["src"]).name for t in tokens(PROJECT / "docs/concepts.md") if t.type == "image"}
    assert {path.name for path in tmp_path.iterdir()} == pictures
