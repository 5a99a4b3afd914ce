"""On one finished run: what Snakemake plans after an edit of the config, the code or the files, and what it says."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from reruns_table import PAGE, edits, furnish, nested, row, tiny_config, value_of, written_rows
from workflow_runs import PROJECT, TINY, merged, planned, snakemake

from cotrain.files.sidecars import entries, kept, made_files
from cotrain.procedure.plan import Plan

EDITS = edits()
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def edited(run, dry_run):
    """What is planned after an edit, given by dotted keys, as data or as the text of an overlay."""
    furnish(run)

    def plan(edit=None, *targets):
        return dry_run(run, nested(edit) if isinstance(edit, dict) else edit, *targets)

    return plan


@pytest.fixture(scope="module")
def copied(run, tmp_path_factory) -> Path:
    """Results beside a fresh clone: nothing of Snakemake's own, and times in no order."""
    folder = tmp_path_factory.mktemp("copied")
    shutil.copytree(run / "results", folder / "results")
    files = [*made_files(folder / "results"), *(folder / "results/shared/toycity").iterdir()]
    files += (folder / "results/shared/toycity").rglob(".snakemake_timestamp")
    for second, file in enumerate(random.Random(0).sample(sorted(files), len(files))):
        os.utime(file, (1_700_000_000 + second,) * 2)
    return folder


# ---- the config -------------------------------------------------------------------------------------------------


def test_nothing_is_planned_when_nothing_was_edited(edited):
    assert edited() == ([], [])


@pytest.mark.parametrize(("key", "edit"), EDITS, ids=[f"{key}: {edit}" for key, edit in EDITS])
def test_edit_of_a_key_reruns_what_the_table_says_and_all_that_follows(run, edited, key, edit):
    plan = edited(EDITS[key, edit])
    assert row(key, edit, plan) in written_rows(), f"{PAGE.name} says otherwise: python tools/reruns_table.py"
    check_that_all_follows(run, plan, EDITS[key, edit])
    remade = any((run / path).exists() for job in plan.jobs if job.first for path in job.outputs)
    assert not remade or any(f" first: {key}: " in words for words in plan.words), plan.words


def check_that_all_follows(run: Path, plan, edit: dict) -> None:
    """No file that stays was made from one that is made again."""
    config = merged(tiny_config(), nested(edit))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run)
        wanted = Plan(config, PROJECT / "workflow").files
    remade = {path for job in plan.jobs for path in job.outputs}
    for name in (f"{config['results']}/{config['run']}/{file}" for file in wanted):
        if name not in remade:
            read = {entry["path"] for _, entry in entries(kept(run / name)["provenance"])}
            assert not read & remade, name


def test_table_has_each_edit_once_and_nothing_else():
    rows = [re.match(r"\| `(.*?)` \| `(.*?)` \|", line).groups() for line in written_rows()]
    assert rows == list(EDITS), "python tools/reruns_table.py"


def test_swapped_values_are_two_edits(edited):
    config = tiny_config()
    keys = ("cotrain.lambda", "cotrain.min_class_fraction")  # of one stage
    values = [value_of(config, key) for key in keys]
    assert values[0] != values[1]
    plan = edited(dict(zip(keys, reversed(values), strict=True)))
    assert plan.first == ["exchange"]
    assert [words.partition(" first: ")[2] for words in plan.words] == [
        "cotrain.lambda: 0.2 → 0.0",
        "cotrain.min_class_fraction: 0.0 → 0.2",
    ]
    keys = ("training.cycle.steps", "training.final.steps")  # of two
    values = [value_of(config, key) for key in keys]
    assert "train selftrain" in edited(dict(zip(keys, reversed(values), strict=True))).first


def backwards(value):
    return {k: backwards(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value


def as_floats(value):
    if isinstance(value, dict):
        return {k: as_floats(v) for k, v in value.items()}
    return float(value) if type(value) is int else value


@pytest.mark.parametrize(
    "text",
    [
        yaml.safe_dump(backwards(tiny_config()), sort_keys=False),
        yaml.safe_dump(as_floats(tiny_config())),
        "# a comment\n\n" + yaml.safe_dump(tiny_config(), indent=7, default_flow_style=False).replace("\n", "   # x\n"),
        yaml.safe_dump(tiny_config(), default_flow_style=True, width=30),
    ],
    ids=["order of keys", "5 → 5.0", "comments and space", "braces"],
)
def test_same_values_written_otherwise_rerun_nothing(edited, text):
    assert yaml.safe_load(text) == tiny_config()
    assert edited(text) == ([], [])


def test_words_tell_from_which_value_to_which_after_each_of_several_edits(edited):
    """Dry runs in between make nothing, so the value that the files were made with stays the same."""
    for count, words in ((5, "6 → 5"), (4, "6 → 4"), (6, None), (5, "6 → 5")):
        plan = edited({"selftrain.candidates": count})
        expected = [f"out of date, draw selftrain/01 first: selftrain.candidates: {words}"] if words else []
        assert plan.words == expected and plan.first == (["draw"] if words else [])
    assert edited() == ([], [])


def test_more_cotraining_adds_cycles_and_makes_again_what_comes_after_them(edited):
    names = edited({"cotrain.cycles": 3}).names
    rounds = {log for rule, log in names if rule in ("draw", "infer", "threshold", "fuse", "train", "exchange")}
    assert {log.rpartition("/")[0] for log in rounds} == {"cotrain/03", "cotrain/03/1", "cotrain/03/2", "final"}
    assert ("train", "final/train") in names and ("train", "source/train") not in names
    assert [log for rule, log in names if rule == "evaluate"] == [
        f"{round}/evaluate" for round in ("cotrain/03/1", "cotrain/03/2", "cotrain/03/both", "final")
    ]


def test_more_selftraining_keeps_its_cycles_and_starts_model_2_anew(edited):
    plan = edited({"selftrain.cycles": 3})
    names = plan.names
    assert {log.rpartition("/")[0] for _, log in names if log.startswith("selftrain")} == {"selftrain/03"}
    assert ("infer", "cotrain/01/2/infer") in names and ("infer", "cotrain/01/1/infer") not in names
    assert {("exchange", "cotrain/01/exchange"), ("train", "cotrain/01/1/train")} <= set(names)
    assert not plan.kinds & {"render", "index", "color", "statistics", "train source", "train source_only"}


def test_several_files_of_a_new_run_are_planned_at_once(run, edited):
    """Snakemake does not look again into folders that it has listed, where tickets are written meanwhile."""
    files = [str(run / f"absent/new/{file}") for file in ("data/source.csv", "data/target.csv", "source/model.pt")]
    plan = edited({"run": "new", "results": str(run / "absent")}, *files)
    assert [rule for rule, _ in plan.names].count("index") == 2


# ---- the files --------------------------------------------------------------------------------------------------


def test_results_beside_a_fresh_clone_are_up_to_date_and_an_edit_is_noticed(copied, dry_run, edited):
    edit = {"mix.target_share": 0.25}
    assert dry_run(copied) == ([], [])
    assert dry_run(copied, nested(edit)) == edited(edit)
    assert dry_run(copied) == ([], [])


@pytest.mark.parametrize("name", ["source/model.pt", "data/source.csv", "selftrain/01/selected.csv"])
def test_touched_file_reruns_nothing(copied, dry_run, name):
    file = copied / "results/tiny" / name
    assert name != "source/model.pt" or file.stat().st_size > MEGABYTE
    file.touch()
    assert dry_run(copied) == ([], [])


@pytest.fixture
def results(run, tmp_path) -> Path:
    """A folder with a copy of the finished run's results."""
    shutil.copytree(run / "results", tmp_path / "results")
    return tmp_path


def date_all(folder: Path, seconds: float, pattern: str = "*") -> None:
    for file in (folder / "results").rglob(pattern):
        os.utime(file, (seconds, seconds))


def test_files_dated_ahead_rerun_what_was_edited_and_nothing_else(results, dry_run):
    ahead = time.time() + 7200
    date_all(results, ahead)
    assert dry_run(results) == ([], [])
    date_all(results, ahead)
    plan = dry_run(results, nested({"training.cycle.steps": 3}))
    assert "train selftrain" in plan.first and plan.words == [
        "out of date, train selftrain/01 first: training.cycle.steps: 2 → 3"
    ]


def test_a_file_is_made_from_files_dated_ahead(results):
    target = "results/tiny/selftrain/01/selected.csv"
    before = (results / target).read_bytes()
    (results / target).unlink()
    date_all(results, time.time() + 7200, "*.h5")
    made = snakemake(results, target)
    assert made.returncode == 0, made.stderr
    assert (results / target).read_bytes() == before


def test_file_edited_by_hand_is_kept_and_what_follows_is_made_again(copied, dry_run):
    file = copied / "results/tiny/selftrain/02/selected.csv"
    before = file.read_bytes()
    file.write_bytes(b"\n".join(before.split(b"\n")[:-2]) + b"\n")
    plan = dry_run(copied)
    assert plan.first == ["fuse"] and ("select", "selftrain/02/select") not in plan.names
    file.write_bytes(before)
    assert dry_run(copied) == ([], [])


def test_edits_in_sequence_each_make_what_they_change(copied, dry_run):
    """Edited, made, edited again, and put back: the first bytes again, and nothing left to do."""
    target = "results/tiny/selftrain/01/candidates.csv"
    first = (copied / target).read_bytes()
    for before, count in ((6, 5), (5, 4), (4, 6)):
        plan = dry_run(copied, nested({"selftrain.candidates": count}), target)
        assert plan.names == [("draw", "selftrain/01/draw")]
        assert plan.words == [f"out of date, draw selftrain/01 first: selftrain.candidates: {before} → {count}"]
        result = snakemake(copied, target, overlays=(TINY, copied / "edit.yaml"))
        assert result.returncode == 0, result.stderr
        assert ((copied / target).read_bytes() == first) == (count == 6)
    assert dry_run(copied) == ([], [])


def test_another_data_root_lists_the_images_again(tmp_path, run, dry_run):
    """Of a dataset on disk; a new file counts where the index would list it, and only there."""
    scenes = next((run / "results/shared/toycity").glob("source-*"))
    for root in ("here", "there"):
        shutil.copytree(scenes, tmp_path / root)
    furnish(tmp_path)
    edit = {"data": {"root": "here", "source": {"dataset": "streets.yaml"}}}
    target = "results/tiny/data/source.csv"
    dry_run(tmp_path, edit, target)
    result = snakemake(tmp_path, target, overlays=(TINY, tmp_path / "edit.yaml"))
    assert result.returncode == 0, result.stderr
    (tmp_path / "here" / "notes.txt").write_text("not an image")
    assert dry_run(tmp_path, edit, target) == ([], [])
    moved = merged(edit, {"data": {"root": "there"}})
    assert dry_run(tmp_path, moved, target).words == ['out of date, index source first: data.root: "here" → "there"']
    for folder in ("images", "labels"):
        shutil.copy(tmp_path / "here" / folder / "00000.png", tmp_path / "here" / folder / "new.png")
    assert dry_run(tmp_path, edit, target).names == [("index", "data/index_source")]


# ---- the code ---------------------------------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path):
    """A copy of the package to edit: `code(file, old, new)`; `code.plan(folder)` and `code.cotrain(…)` run with it."""
    shutil.copytree(PROJECT / "src" / "cotrain", tmp_path / "cotrain", ignore=shutil.ignore_patterns("__pycache__"))
    env = os.environ | {"PYTHONPATH": str(tmp_path)}

    def edit(file: str, old: str, new: str) -> None:
        text = (tmp_path / "cotrain" / file).read_text()
        assert old in text
        (tmp_path / "cotrain" / file).write_text(text.replace(old, new, 1))

    def plan(folder: Path):
        result = snakemake(folder, "-n", env=env)
        assert result.returncode == 0, result.stderr
        output = result.stdout + result.stderr
        return planned(output), re.findall("cotrain accept (.*)", output)

    def cotrain(*arguments: str, cwd: Path) -> str:
        command = [sys.executable, "-m", "cotrain", *arguments]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout

    edit.plan, edit.cotrain = plan, cotrain
    return edit


def test_comment_and_docstring_rerun_nothing(run, code):
    code("stages/select.py", '"""', '"""Another text. ')
    code("method/selection.py", "\ndef select(", "\n# a comment\n\n\ndef select(")
    assert code.plan(run) == (([], []), [])


def test_changed_function_reruns_the_stages_that_use_it_until_that_is_accepted(copied, code):
    code("method/sampling.py", "def balanced(", "def balanced_with_another_name(")
    code("stages/train.py", "sampling.balanced", "sampling.balanced_with_another_name")
    plan, hints = code.plan(copied)
    assert plan.first == ["train source", "train source_only"] and {"train cotrain", "train final"} <= plan.kinds
    assert plan.words == [
        "out of date, train source_only first: code: method.sampling.balanced, "
        "method.sampling.balanced_with_another_name, stages.train._pick_source"
    ]
    assert hints == ["results/tiny"]
    before = code.cotrain("explain", "--json", "results/tiny/source/model.pt", cwd=copied)
    assert code.cotrain("accept", hints[0], cwd=copied) == "accepted: 10 files made by other code\n"
    assert code.plan(copied) == (([], []), [])
    assert code.cotrain("explain", "--json", "results/tiny/source/model.pt", cwd=copied) == before
