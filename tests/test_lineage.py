"""explain, verify and accept, on a few files that were made by stages from each other."""

import json

import numpy as np
import pytest
from conftest import save

from cotrain.cli import main
from cotrain.files import hashes
from cotrain.files.code import manifest
from cotrain.files.sidecars import kept, sidecar
from cotrain.reruns import acceptance


@pytest.fixture
def made(tmp_path, monkeypatch, cotrain):
    """run/index.csv of three photographs, run/a.csv and run/b.csv drawn from it, run/aa.csv from run/a.csv."""
    monkeypatch.chdir(tmp_path)
    for i in "123":
        save(tmp_path / "photographs" / f"{i}.png", np.zeros((20, 20, 3), np.uint8))
    assert cotrain("index", {"images": "{id}.png"}, root="photographs", out="run/index.csv").code == 0
    for name, index, count, seed in (("a", "index", 2, 5), ("b", "index", 2, 6), ("aa", "a", 1, 5), ("bb", "b", 1, 5)):
        settings = {"count": count, "seed": seed}
        assert cotrain("draw", settings, index=f"run/{index}.csv", out=f"run/{name}.csv").code == 0
    return tmp_path / "run"


@pytest.fixture
def call(capsys):
    """Exit code, lines of output and lines of errors of a command."""

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def digest(path) -> str:
    return hashes.sha256(path)[:16]


# ---- explain ----------------------------------------------------------------------------------------------------


def test_explain_walks_back_to_the_photographs(made, call):
    code, lines, _ = call("explain", "run/aa.csv")
    root = kept(made / "index.csv")["provenance"]["inputs"]["root"][0]["sha256"][:16]
    assert code == 0 and lines == [
        f"run/aa.csv  {digest(made / 'aa.csv')}",
        f"made by draw of cotrain {kept(made / 'aa.csv')['provenance']['code']}, {len(manifest('draw'))} definitions",
        "settings",
        "  count: 1",
        "  seed: 5",
        "inputs, what made them, and theirs",
        f"  index: run/a.csv  {digest(made / 'a.csv')}  by draw",
        f"    index: run/index.csv  {digest(made / 'index.csv')}  by index",
        f"      root: photographs  {root}  photographs, hashed by their names",
    ]


def test_explain_marks_inputs_that_changed_or_are_gone(made, call):
    (made / "a.csv").write_text("by hand")
    assert call("explain", "run/aa.csv")[1][6].endswith("by draw  CHANGED SINCE")
    (made / "a.csv").unlink()
    lines = call("explain", "run/aa.csv")[1]
    assert lines[6].endswith("by draw  GONE") and "run/index.csv" in lines[7]
    save(made.parent / "photographs" / "4.png", np.zeros((20, 20, 3), np.uint8))
    assert call("explain", "run/a.csv")[0] == 2
    assert call("explain", "run/b.csv")[1][-1].endswith("CHANGED SINCE")


def test_explain_tells_each_file_once(made, cotrain, call):
    settings = {"source_size": [16, 16], "target_size": [16, 16]}
    assert cotrain("color", settings, source="run/index.csv", target="run/a.csv", out="run/color.csv").code == 0
    lines = call("explain", "run/color.csv")[1]
    assert [line.split("  ")[-1] for line in lines if "run/index.csv" in line] == ["by index", "above"]
    assert sum("photographs" in line for line in lines) == 1


def test_explain_names_the_model_that_was_built_and_none_where_a_training_went_on_from_a_file(run, monkeypatch, call):
    monkeypatch.chdir(run)
    built, tuned = (
        [line for line in call("explain", f"results/tiny/{round}/model.pt")[1] if line.startswith("  model.")]
        for round in ("source", "selftrain/01")
    )
    assert '  model.architecture: "FPN"' in built and tuned == []
    _, lines, _ = call("explain", "--diff", *(f"results/tiny/{round}/model.pt" for round in ("source", "selftrain/01")))
    assert '  setting model.architecture: "FPN" → none' in lines


def test_explain_json_is_the_provenance_as_it_is_kept(made, call):
    assert json.loads("\n".join(call("explain", "--json", "run/a.csv")[1])) == kept(made / "a.csv")["provenance"]


@pytest.mark.parametrize("arguments", [[], ["run/a.csv", "--diff", "run/a.csv", "run/b.csv"], ["--json"]])
def test_explain_of_neither_one_nor_two_files_is_refused(made, call, arguments):
    code, _, errors = call("explain", *arguments)
    assert code == 2 and errors == ["error: explain: give one FILE, with or without --json, or two files with --diff"]


@pytest.mark.parametrize("name", ["none.csv", "photographs/1.png"])
def test_explain_of_a_file_that_cotrain_did_not_make_is_refused(made, call, name):
    code, _, errors = call("explain", name)
    assert code == 2 and len(errors) == 1 and errors[0].startswith(f"error: {name}: ")


# ---- explain --diff ---------------------------------------------------------------------------------------------


def test_diff_names_settings_inputs_and_what_made_them_differ(made, call):
    assert call("explain", "--diff", "run/a.csv", "run/b.csv")[1] == ["run/a.csv | run/b.csv", "  setting seed: 5 → 6"]
    assert call("explain", "--diff", "run/aa.csv", "run/bb.csv")[1] == [
        "run/aa.csv | run/bb.csv",
        f"  input index: run/a.csv ({digest(made / 'a.csv')}) → run/b.csv ({digest(made / 'b.csv')})",
        "run/a.csv | run/b.csv",
        "  setting seed: 5 → 6",
    ]


def test_diff_of_a_file_with_itself_is_nothing(made, call):
    said = ["made alike: same stage, settings, inputs and code"]
    assert call("explain", "--diff", "run/a.csv", "run/a.csv")[1] == said


def test_diff_names_stage_and_code(made, call, monkeypatch):
    lines = call("explain", "--diff", "run/index.csv", "run/a.csv")[1]
    assert "  stage: index → draw" in lines and '  setting images: "{id}.png" → none' in lines
    assert "  code: stages.draw.run" in lines and "  code: files.tables.write_table" not in lines


# ---- verify -----------------------------------------------------------------------------------------------------


def test_verify_of_an_untouched_run_is_ok(made, call):
    assert call("verify", "run") == (0, ["OK: 5 files"], [])


def test_verify_has_one_line_for_each_fault(made, call):
    (made / "aa.csv").write_text("by hand")
    (made / "bb.csv").unlink()
    (made / "unknown.csv").write_text("of someone")
    sidecar(made / "b.csv").write_text("{")
    (made / "index.csv").with_name("notes.txt").write_text("not ours")
    code, out, errors = call("verify", "run")
    assert (code, out) == (2, []) and [line.split(": ")[1] for line in errors] == [
        "run/aa.csv", "run/b.csv", "run/bb.csv", "run/unknown.csv",
    ]  # fmt: skip
    for line, words in zip(errors, ("was changed", "nothing is known", "is gone", "nothing is known"), strict=True):
        assert words in line


def test_verify_finds_inputs_that_were_made_again_since(made, call, cotrain):
    cotrain("draw", {"count": 2, "seed": 9}, index="run/index.csv", out="run/a.csv")
    assert call("verify", "run")[2] == [
        "error: run/aa.csv: was made from other files: run/a.csv is changed since; run snakemake"
    ]


def test_verify_follows_inputs_out_of_the_folder(made, call, cotrain):
    cotrain("draw", {"count": 1}, index="run/a.csv", out="elsewhere/c.csv")
    assert call("verify", "elsewhere")[1] == ["OK: 3 files"]
    save(made.parent / "photographs" / "4.png", np.zeros((20, 20, 3), np.uint8))
    assert call("verify", "elsewhere")[2] == [
        "error: run/index.csv: was made from other files: photographs is changed since; run snakemake"
    ]


@pytest.mark.parametrize("command", ["verify", "accept"])
@pytest.mark.parametrize(("folder", "words"), [("nowhere", "no such folder"), ("photographs", "no file of cotrain")])
def test_folder_without_a_run_is_refused(made, call, command, folder, words):
    code, _, errors = call(command, folder)
    assert code == 2 and len(errors) == 1 and errors[0].startswith(f"error: {folder}: {words}")


# ---- accept -----------------------------------------------------------------------------------------------------


def test_accept_changes_what_counts_and_not_what_is_true(made, call, monkeypatch):
    other = {"stages.draw.run": "0"}
    before = {path.name: path.read_bytes() for path in made.iterdir() if not path.name.startswith(".")}
    monkeypatch.setattr(acceptance, "manifest", lambda stage: other if stage == "draw" else manifest(stage))
    assert call("accept", "run")[1] == ["accepted: 4 files made by other code"]
    assert call("accept", "run")[1] == ["accepted: 0 files made by other code"]
    found = kept(made / "a.csv")
    assert found["accepted"] == other and found["provenance"]["definitions"] == manifest("draw")
    assert {path.name: path.read_bytes() for path in made.iterdir() if not path.name.startswith(".")} == before
    assert call("explain", "run/a.csv")[1][1].endswith("definitions; later changes of it are accepted")
    assert call("verify", "run")[0] == 0


def test_accept_leaves_files_of_stages_that_are_no_more(made, call):
    text = json.loads(sidecar(made / "a.csv").read_text())
    text["provenance"]["stage"] = "of an older version"
    sidecar(made / "a.csv").write_text(json.dumps(text))
    assert call("accept", "run")[1] == ["accepted: 0 files made by other code"]
