"""What a run takes from others that made it alike, on one finished run."""

import fcntl
import json
import shutil
from pathlib import Path

import h5py
import pytest
import yaml
from reruns_table import nested
from workflow_runs import PROJECT, TINY, merged, snakemake

from cotrain.files.hashes import sha256
from cotrain.files.sidecars import entries, kept, made_files, sidecar
from cotrain.procedure.plan import Plan
from cotrain.reruns.lineage import explanation, made_by
from cotrain.reruns.sharing import hold, take

ALWAYS = {"run": "variant", "share_with": "ti*"}
DATA = {"data/source.csv", "data/target.csv", "data/target_labelled.csv", "data/validation.csv"}

SELFTRAINED = {"source", "source_only", "upper_bound", "selftrain/01", "selftrain/02"}


@pytest.fixture
def folder(run, tmp_path, monkeypatch) -> Path:
    """A finished run, the current folder."""
    for name in ("tiny", "shared"):
        shutil.copytree(run / "results" / name, tmp_path / "results" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan_of(edit: dict) -> Plan:
    texts = [(PROJECT / "config.yaml").read_text(), TINY.read_text(), yaml.safe_dump(nested(ALWAYS | edit))]
    config: dict = {}
    for text in texts:
        config = merged(config, yaml.safe_load(text))
    return Plan(config, PROJECT / "workflow")


def taken(edit: dict) -> set[str]:
    """Files below the run's folder that it has then."""
    take(plan_of(edit))
    return {path.relative_to("results/variant").as_posix() for path in made_files(Path("results/variant"))}


def rounds(files: set[str]) -> set[str]:
    return {file.rpartition("/")[0] for file in files if file.endswith("model.pt")}


def test_another_exchange_shares_all_before_it_and_makes_all_after_it(folder, dry_run):
    files = taken({"cotrain.lambda": 0.25})
    assert files > DATA and rounds(files) == SELFTRAINED
    assert {f"evaluation/{round}.json" for round in SELFTRAINED} < files and "figures/prior.png" in files
    assert {"cotrain/01/1/pseudolabels.h5", "cotrain/02/candidates.csv"} < files
    assert not {"cotrain/01/1/selected.csv", "cotrain/02/1/predictions.h5", "final/pseudolabels.h5"} & files
    plan = dry_run(folder, nested(ALWAYS | {"cotrain.lambda": 0.25}))
    assert plan.first == ["exchange"] and plan.words == []
    made = {path for job in plan.jobs for path in job.outputs}
    assert not made & {f"results/variant/{file}" for file in files}
    read = {path for job in plan.jobs for path in job.inputs}
    assert not {path for path in read if path.startswith("results/tiny/")}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"seed": 2}, set()),
        ({"training.source.steps": 5}, set()),
        (
            {"training.threads": 2},
            SELFTRAINED | {f"cotrain/0{cycle}/{m}" for cycle in (1, 2) for m in (1, 2)} | {"final"},
        ),
        ({"selftrain.cycles": 1}, {"source", "source_only", "selftrain/01", "upper_bound"}),
        ({"align_colors": False}, {"source_only"}),
        ({"mix.collage_share": None}, {"source", "source_only", "upper_bound"}),
        ({"cotrain.cycles": 1}, {*SELFTRAINED, "cotrain/01/1", "cotrain/01/2"}),
        ({"final": None}, SELFTRAINED | {f"cotrain/0{cycle}/{m}" for cycle in (1, 2) for m in (1, 2)}),
    ],
)
def test_models_that_are_made_alike_are_shared(folder, dry_run, edit, expected):
    files = taken(edit)
    assert rounds(files) == expected and {"data/source.csv", "data/target.csv"} <= files
    plan = dry_run(folder, nested(ALWAYS | edit))
    assert plan.words == []  # nothing was taken that has to be made again
    made = {path for job in plan.jobs for path in job.outputs}
    assert not made & {f"results/variant/{file}" for file in files}


def test_what_is_taken_has_the_bytes_and_is_the_runs_own(folder):
    files = taken({"cotrain.lambda": 0.25})
    for file in files:
        own, other = Path("results/variant", file), Path("results/tiny", file)
        assert own.read_bytes() == other.read_bytes() and kept(own)["sha256"] == sha256(own)
        assert own.samefile(other) == (own.suffix in (".h5", ".pt"))  # people edit the others
        assert kept(own)["taken_from"] == str(other)
        read = [entry["path"] for _, entry in entries(made_by(own))]
        assert not [path for path in read if path.startswith("results/tiny/")]
        assert all(kept(Path(path))["sha256"] for path in read if path.startswith("results/variant/"))
    assert "taken from results/tiny/source/model.pt" in list(explanation(Path("results/variant/source/model.pt")))
    logs = {path.relative_to("results/variant/logs").as_posix() for path in Path("results/variant/logs").rglob("*.log")}
    assert {"source/train.log", "data/index_source.log", "selftrain/02/evaluate.log", "cotrain/01/1/infer.log"} < logs
    assert "final/train.log" not in logs and "report.log" not in logs


def test_a_run_made_with_what_was_taken_is_the_one_made_alone(folder):
    """Pixels and what is told of them; the inputs' paths in `provenance` are those of the run that read them."""
    edit = {"selftrain": {"selected": 2}}
    overlay = folder / "edit.yaml"
    for run in ({"run": "variant", "share_with": "tiny"}, {"run": "alone"}):
        overlay.write_text(yaml.safe_dump(edit | run))
        result = snakemake(folder, f"results/{run['run']}/selftrain/01/labels.h5", overlays=(TINY, overlay))
        assert result.returncode == 0, result.stderr[-3000:]
    for file in ("selftrain/01/labels.h5", "selftrain/01/predictions.h5"):
        assert content(Path("results/variant", file)) == content(Path("results/alone", file))


def content(path: Path) -> dict:
    """What an HDF5 file has, but for its provenance."""
    found = {}

    def note(name, item):
        found[name] = item[()].tobytes() if isinstance(item, h5py.Dataset) else sorted(item)

    with h5py.File(path) as file:
        file.visititems(note)
        return found | {name: str(value) for name, value in file.attrs.items() if name != "provenance"}


def test_what_was_changed_since_or_made_by_other_code_is_not_taken(folder):
    table = Path("results/tiny/selftrain/01/selected.csv")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    beside = sidecar(Path("results/tiny/source_only/model.pt"))
    text = json.loads(beside.read_text())
    text["provenance"]["definitions"]["cotrain.training.train"] = "0" * 64
    beside.write_text(json.dumps(text))
    files = taken({"cotrain.lambda": 0.25})
    assert rounds(files) == {"source", "upper_bound"}


def test_a_run_at_work_is_passed_over(folder, capsys):
    with hold(Path("results/tiny")):
        assert taken({}) == set()
    assert "results/tiny is at work" in capsys.readouterr().err
    with hold(Path("results/tiny"), fcntl.LOCK_SH):
        assert taken({}) > DATA
    assert "taken from results/tiny: " in capsys.readouterr().err
    take(plan_of({}))
    assert capsys.readouterr().err == ""


def test_no_such_run(folder, capsys):
    assert taken({"share_with": "demo*"}) == set()
    assert "no other run in results is named demo*" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", ["\0", "", "{", "[]", "null", '{"wanted": 1}', '{"outputs": [1]}', '{"wanted": {"inputs": 1}}']
)
def test_damaged_ticket_of_another_run_is_passed_over(folder, damage):
    """What follows from its files is not taken either."""
    ticket = Path("results/tiny/.tickets/train/selftrain/01/ticket.json")
    whole = json.loads(ticket.read_text())
    ticket.write_text(damage)
    files = taken({"cotrain.lambda": 0.25})
    assert rounds(files) == {"source", "source_only", "upper_bound"}
    for key in whole:  # none of this may raise
        ticket.write_text(json.dumps(whole | {key: 7}))
        take(plan_of({"cotrain.lambda": 0.25}))
