"""When a job's ticket is new: on small files, without Snakemake."""

import json
import os
import time
from pathlib import Path

import pytest

from cotrain.base.errors import BadInput
from cotrain.files import atomic
from cotrain.files.provenance import listing, provenance
from cotrain.files.sidecars import sidecar
from cotrain.reruns import reasons
from cotrain.reruns.reasons import NEW
from cotrain.reruns.tickets import PAST, Reruns, reasons_to_rerun, settle, wanted
from cotrain.settings.stages import completed

DRAW = {"count": 3, "seed": 1}
KEYS = {"selftrain.candidates": 3, "seed": 1}


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A finished draw: `job(settings, keys)` writes its ticket anew and gives (whether it is new, what was said)."""
    monkeypatch.chdir(tmp_path)
    make("run/index.csv", "index", {"images": "{id}.png"}, {})
    for output in ("run/out.csv", "run/out.txt"):
        make(output, "draw", DRAW, {"index": ["run/index.csv"]})

    def ticket(settings=DRAW, keys=KEYS, inputs=("run/index.csv",)) -> bool:
        runs = Reruns(tmp_path / "run", active=True)
        outputs, text = ["run/out.csv", "run/out.txt"], json.dumps(settings)
        path = runs.ticket("draw", "x", outputs, lambda: wanted("draw", text, keys, list(inputs), None))
        assert path == str(tmp_path / "run/.tickets/draw/x/ticket.json")
        return Path(path).stat().st_mtime > time.time() - 60

    ticket()
    return ticket


def make(path: str, stage: str, settings: dict, inputs: dict[str, list[str]], text: str = "") -> None:
    """A file with its provenance beside it; its content is its name, or `text`."""
    made_by = provenance(stage, settings, {role: [Path(p) for p in paths] for role, paths in inputs.items()})
    atomic.write_bytes(Path(path), (text or path).encode())
    atomic.write_sidecar(Path(path), made_by)


def test_ticket_is_old_while_all_is_as_it_was(job):
    assert not job()
    assert Path("run/.tickets/draw/x/ticket.json").stat().st_mtime == PAST


@pytest.mark.parametrize("settings", [{"seed": 1, "count": 3}, {"count": 3.0, "seed": 1}])
def test_order_and_writing_of_settings_do_not_matter(job, settings):
    assert not job(settings)


@pytest.mark.parametrize("settings", [{"count": 4, "seed": 1}, {"count": 1, "seed": 3}, {"count": 3}])
def test_other_settings_make_a_new_ticket_until_they_are_put_back(job, settings, capsys):
    """A setting that is left out has its default, which is another value here."""
    assert job(settings)
    assert not job()


def test_a_setting_that_came_with_a_later_version_had_its_default(job):
    for output in ("run/out.csv", "run/out.txt"):
        make(output, "draw", {"seed": 1}, {"index": ["run/index.csv"]})
    assert not job({"count": None, "seed": 1})
    assert job({"count": 3, "seed": 1})


@pytest.mark.parametrize("change", [{}, {"stage": "later"}, {"stage": 3}])
def test_what_was_made_with_an_unknown_setting_is_made_again(job, tmp_path, change):
    beside = sidecar(tmp_path / "run/out.csv")
    found = json.loads(beside.read_text())
    change = change | {"settings": DRAW | {"later": 1}}
    beside.write_text(json.dumps(found | {"provenance": found["provenance"] | change}))
    assert job()


def test_words_name_the_key_and_the_value_that_the_file_was_made_with(job, capsys):
    job({"count": 4, "seed": 1}, KEYS | {"selftrain.candidates": 4})
    job({"count": 5, "seed": 1}, KEYS | {"selftrain.candidates": 5})
    assert capsys.readouterr().err.splitlines() == [
        "out of date, draw x first: selftrain.candidates: 3 → 4",
        "out of date, draw x first: selftrain.candidates: 3 → 5",
    ]
    make("run/out.csv", "draw", {"count": 5, "seed": 1}, {"index": ["run/index.csv"]})
    job(keys=KEYS)
    assert capsys.readouterr().err == "out of date, draw x first: selftrain.candidates: 5 → 3\n"


def test_words_leave_out_an_edit_without_effect_that_was_put_back(job, capsys):
    assert not job(keys=KEYS | {"seed": 2, "inference.threads": 2})
    assert job({"count": 4, "seed": 1}, KEYS | {"selftrain.candidates": 4, "inference.threads": 3})
    assert capsys.readouterr().err == "out of date, draw x first: selftrain.candidates: 3 → 4\n"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"wanted": 1}', "\0"])
def test_lost_or_damaged_ticket_leaves_the_words_of_the_stage(job, tmp_path, capsys, damage):
    ticket = tmp_path / "run/.tickets/draw/x/ticket.json"
    ticket.write_text(damage)
    assert not job()
    ticket.write_text(damage)
    assert job({"count": 4, "seed": 1}, KEYS | {"selftrain.candidates": 4})
    assert capsys.readouterr().err == "out of date, draw x first: count: 3 → 4\n"


def test_missing_output_has_an_old_ticket_and_no_words(job, tmp_path, capsys):
    """Snakemake sees by itself that it is missing."""
    (tmp_path / "run/out.csv").unlink()
    assert not job({"count": 4, "seed": 1})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("output", ["out.csv", "out.txt"])
@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"sha256": 1, "provenance": {}}', '{"provenance": null}'])
def test_file_of_which_nothing_is_known_is_made_again(job, tmp_path, capsys, damage, output):
    beside = sidecar(tmp_path / "run" / output)
    beside.unlink() if damage is None else beside.write_text(damage)
    assert job()
    assert "nothing is known of how it was made" in capsys.readouterr().err


def test_other_inputs_make_a_new_ticket(job, capsys):
    make("run/more.csv", "index", {"images": "{id}.png"}, {})
    assert job(inputs=("run/index.csv", "run/more.csv"))
    assert job(inputs=())
    said = capsys.readouterr().err
    assert "run/more.csv is newly read" in said and "run/index.csv is no longer read" in said


def test_input_that_was_made_again_otherwise_makes_a_new_ticket_whatever_the_times(job, capsys):
    make("run/index.csv", "index", {"images": "{id}.jpg"}, {}, "other rows")
    os.utime("run/index.csv", (PAST, PAST))
    assert job()
    assert "run/index.csv is not as it was read" in capsys.readouterr().err
    make("run/index.csv", "index", {"images": "{id}.png"}, {})
    assert not job()


def test_input_that_was_edited_by_hand_before_it_was_read_is_no_reason(job, tmp_path):
    """The file beside it tells of other bytes, those that were overwritten."""
    (tmp_path / "run/index.csv").write_text("by hand")
    made_by = provenance("draw", DRAW, {"index": [(tmp_path / "run/index.csv").relative_to(tmp_path)]})
    atomic.write_bytes(tmp_path / "run/out.csv", b"out")
    atomic.write_sidecar(tmp_path / "run/out.csv", made_by)
    assert not job()


def test_same_table_of_other_scenes_makes_a_new_ticket(tmp_path, monkeypatch):
    """Scenes rendered by other code have the same names, so their index has the same bytes."""
    monkeypatch.chdir(tmp_path)

    def render(content: str) -> None:
        (tmp_path / "scenes").mkdir(exist_ok=True)
        (tmp_path / "scenes/0.png").write_text(content)
        atomic.write_sidecar(tmp_path / "scenes", provenance("render", {}, {}))
        make("run/index.csv", "index", {"images": "{id}.png", "labels": None}, {"root": ["scenes"]})

    render("a")
    make("run/drawn.csv", "draw", DRAW, {"index": ["run/index.csv"]})
    make("run/color.csv", "color", {}, {"target": ["run/drawn.csv"]})
    text = json.dumps({"source_size": [64, 64], "target_size": [64, 64]})

    def reasons(stage: str, output: str, read: str, settings: str) -> list[str]:
        asked = wanted(stage, settings, {}, [read], None)
        return [r for r in reasons_to_rerun(tmp_path / output, stage, asked) if "as it was read" in r]

    assert reasons("draw", "run/drawn.csv", "run/index.csv", json.dumps(DRAW)) == []
    render("b")
    assert reasons("draw", "run/drawn.csv", "run/index.csv", json.dumps(DRAW)) == [
        "run/index.csv is not as it was read"
    ]
    make("run/drawn.csv", "draw", DRAW, {"index": ["run/index.csv"]})
    assert reasons("color", "run/color.csv", "run/drawn.csv", text) == ["run/drawn.csv is not as it was read"]


def test_file_that_a_setting_names_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mask.png").write_text("mask")
    settings = {"classes": ["a", "b"], "size": [64, 64], "ego_mask": "./mask.png"}
    make("run/predictions.h5", "infer", settings, {})

    def reasons() -> list[str]:
        asked = wanted("infer", json.dumps(settings), {}, [], None)
        return [r for r in reasons_to_rerun(tmp_path / "run/predictions.h5", "infer", asked) if "mask" in r]

    assert reasons() == []
    (tmp_path / "mask.png").write_text("another mask")
    assert reasons() == ["mask.png is not as it was read"]
    (tmp_path / "mask.png").unlink()
    assert reasons() == ["mask.png is not as it was read"]


@pytest.fixture
def inferred(tmp_path, monkeypatch):
    """run/predictions.h5 of an inference and run/labels.h5 made of it; gives the reasons to make either again."""
    monkeypatch.chdir(tmp_path)
    settings = {"classes": ["a", "b"], "size": [64, 64]}
    made = {"infer": "run/predictions.h5", "threshold": "run/labels.h5"}
    portion = {"round": "final", "portion": 0.5}
    make("run/model.pt", "train", {}, {})
    make(made["infer"], "infer", completed("infer", settings), {"model": ["run/model.pt"]})
    make(made["threshold"], "threshold", completed("threshold", portion), {"predictions": [made["infer"]]})

    def reasons(stage: str, **edit) -> list[str]:
        text = json.dumps((settings if stage == "infer" else portion) | edit)
        read = ["run/model.pt" if stage == "infer" else made["infer"]]
        return reasons_to_rerun(Path(made[stage]), stage, wanted(stage, text, {}, read, None))

    assert reasons("infer") == [] == reasons("threshold")
    return reasons


def test_dropped_predictions_are_out_of_date_when_they_would_be_if_they_were_there(inferred):
    Path("run/predictions.h5").unlink()
    assert inferred("infer") == [] == inferred("threshold")
    assert inferred("infer", flip=True) == ["flip: false → true"]
    assert inferred("threshold", portion=0.25) == ["portion: 0.5 → 0.25"]
    make("run/model.pt", "train", {}, {}, "other weights")
    assert inferred("infer") == ["run/model.pt is not as it was read"]
    assert inferred("threshold") == []  # Snakemake makes it after its input


@pytest.mark.parametrize("beside", [None, "", '{"sha256": 1}'])
def test_labels_of_predictions_of_which_nothing_is_known_are_out_of_date(inferred, beside):
    Path("run/predictions.h5").unlink()
    place = sidecar(Path("run/predictions.h5"))
    place.unlink() if beside is None else place.write_text(beside)
    assert inferred("infer", flip=True) == [NEW]
    assert inferred("threshold") == ["run/predictions.h5 is not as it was read"]


def test_labels_of_predictions_that_were_made_otherwise_and_dropped_are_out_of_date(inferred):
    make("run/predictions.h5", "infer", {}, {}, "other bytes")
    Path("run/predictions.h5").unlink()
    assert inferred("threshold") == ["run/predictions.h5 is not as it was read"]


def test_a_file_of_another_stage_is_never_dropped(inferred):
    Path("run/labels.h5").unlink()
    assert inferred("threshold", portion=0.25) == [NEW]


def test_listing_has_the_names_that_an_index_would_find(tmp_path):
    settings = {"images": "images/{id}.png", "labels": "labels/{id}.png"}
    (tmp_path / "images/city").mkdir(parents=True)
    (tmp_path / "images/city/0.png").touch()
    before = listing(tmp_path, settings)
    (tmp_path / "loop").symlink_to(tmp_path)
    for name in ("notes.txt", "images/.hidden.png", "images/0.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "images/city/0.png").write_text("other pixels")
    assert listing(tmp_path, settings) == before
    (tmp_path / "images/city/1.png").touch()
    assert listing(tmp_path, settings) != before


@pytest.mark.parametrize(("code", "expected"), [({"a": "1"}, True), (None, False)])
def test_other_code_makes_a_new_ticket_and_says_how_to_accept_it(job, monkeypatch, capsys, code, expected):
    real = reasons.manifest("draw")
    monkeypatch.setattr(reasons, "manifest", lambda stage: real | (code or {}))
    assert job() == expected
    said = capsys.readouterr().err
    assert ("out of date, draw x first: code: a\n" in said) == expected
    assert ("cotrain accept" in said) == expected


def test_inactive_process_writes_and_asks_nothing(tmp_path):
    """A job's own process, which only runs what another one planned."""

    def ask():
        raise AssertionError

    runs = Reruns(tmp_path / "run", active=False)
    assert runs.ticket("draw", "x", ["out.csv"], ask) == str(tmp_path / "run/.tickets/draw/x/ticket.json")
    assert not (tmp_path / "run").exists()


def test_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(BadInput, match=r"ticket\.json: cannot be written"):
        Reruns(tmp_path / "run", active=True).ticket(
            "draw", "x", ["out.csv"], lambda: wanted("draw", json.dumps(DRAW), {}, [], None)
        )


# ---- times ------------------------------------------------------------------------------------------------------


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """a → b → c, with times in the wrong order."""
    monkeypatch.chdir(tmp_path)
    make("run/a", "index", {}, {})
    make("run/b", "draw", {}, {"index": ["run/a"]})
    make("run/c", "infer", {}, {"images": ["run/b"], "itself": ["run/a"]})
    for name, at in (("a", 3), ("b", 1), ("c", 2)):
        os.utime(f"run/{name}", (at, at))
    return tmp_path / "run"


def times(folder) -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in folder.iterdir() if not path.name.startswith(".")}


def test_files_are_dated_after_the_inputs_that_they_were_made_from(chain):
    settle(chain)
    assert times(chain) == {"a": 3, "b": 3, "c": 3}


@pytest.mark.parametrize(("stage", "expected"), [("infer", 3), ("draw", 2)])
def test_a_dropped_file_is_dated_after_its_inputs_for_those_made_of_it(tmp_path, monkeypatch, stage, expected):
    monkeypatch.chdir(tmp_path)
    make("run/a", "index", {}, {})
    make("run/b", stage, {}, {"images": ["run/a"]})
    make("run/c", "threshold", {}, {"predictions": ["run/b"]})
    Path("run/b").unlink()
    for name, at in (("a", 3), ("c", 2)):
        os.utime(f"run/{name}", (at, at))
    settle(Path("run"))
    assert times(tmp_path / "run") == {"a": 3, "c": expected}


def test_file_keeps_its_time_when_its_input_was_edited(chain):
    (chain / "a").write_text("by hand")
    os.utime(chain / "a", (5, 5))
    settle(chain)
    assert times(chain) == {"a": 5, "b": 1, "c": 2}


def test_only_what_follows_from_an_edited_file_stays_old(chain):
    (chain / "b").write_text("by hand")
    os.utime(chain / "b", (4, 4))
    settle(chain)
    assert times(chain) == {"a": 3, "b": 4, "c": 2}


def test_files_made_from_each_other_by_hand_are_left_alone(chain):
    make("run/a", "fuse", {}, {"previous": ["run/c"]})
    os.utime(chain / "a", (3, 3))
    settle(chain)
    assert times(chain) == {"a": 3, "b": 1, "c": 2}


def test_missing_and_unknown_inputs_do_not_stop_it(chain):
    (chain / "a").unlink()
    sidecar(chain / "b").write_text("{")
    settle(chain)
    assert times(chain) == {"b": 1, "c": 2}


# ---- dates ahead of now -----------------------------------------------------------------------------------------

HOUR = 3600


def date_ahead(*paths: str) -> None:
    """Date files two hours ahead, each a second after the one before."""
    for second, path in enumerate(paths):
        os.utime(path, (time.time() + 2 * HOUR + second,) * 2)


def test_ticket_of_an_edit_is_newer_than_outputs_that_were_dated_ahead(job):
    date_ahead("run/index.csv", "run/out.csv", "run/out.txt", "run/.tickets/draw/x/ticket.json")
    assert job({"count": 4, "seed": 1})
    ticket = Path("run/.tickets/draw/x/ticket.json").stat().st_mtime
    assert ticket <= time.time()
    for output in ("run/out.csv", "run/out.txt"):
        assert Path(output).stat().st_mtime < ticket


def test_ticket_of_an_output_of_unknown_making_is_newer_too(job, tmp_path):
    sidecar(tmp_path / "run/out.csv").unlink()
    date_ahead("run/out.csv")
    assert job()
    assert Path("run/out.csv").stat().st_mtime < Path("run/.tickets/draw/x/ticket.json").stat().st_mtime


def test_files_dated_ahead_are_dated_now_and_after_their_inputs(chain):
    date_ahead("run/c", "run/a")
    os.utime(chain / "b", (time.time() - HOUR,) * 2)
    settle(chain)
    dates = times(chain)
    assert dates["a"] <= dates["b"] <= dates["c"] <= time.time()
    assert dates["a"] > time.time() - 60


def test_file_edited_by_hand_and_dated_ahead_stays_newer_than_what_was_made_from_it(chain):
    (chain / "b").write_text("by hand")
    date_ahead("run/a", "run/c", "run/b")
    settle(chain)
    dates = times(chain)
    assert dates["a"] <= dates["c"] < dates["b"] <= time.time()


def test_scenes_dated_ahead_are_dated_before_what_lists_them(tmp_path, monkeypatch):
    """They lie outside the run; Snakemake keeps the date of a folder in a file of its own."""
    monkeypatch.chdir(tmp_path)
    stamp = tmp_path / "scenes/.snakemake_timestamp"
    stamp.parent.mkdir()
    stamp.touch()
    atomic.write_sidecar(tmp_path / "scenes", provenance("render", {}, {}))
    make("run/index.csv", "index", {"images": "{id}.png", "labels": None}, {"root": ["scenes"]})
    date_ahead("scenes/.snakemake_timestamp", "run/index.csv")
    settle(Path("run"))
    assert stamp.stat().st_mtime <= Path("run/index.csv").stat().st_mtime <= time.time()
