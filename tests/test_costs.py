"""What `cotrain plan` says: the jobs that Snakemake has, what they cost, and how they fit on so many GPUs."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from conftest import PROJECT
from test_plan import PAPER, SEGFORMER, merged, plan_of, taught_by
from workflow_runs import snakemake

from cotrain.procedure import costs
from cotrain.procedure.costs import Costs, Rates

RATES = {
    "small": 1, "network": 4, "scene": 0.05, "map": 0.01, "source_step": 0.25, "mixed_step": 0.3, "infer": 0.03,
    "evaluate": 0.02, "scene_bytes": 40_000, "prediction_bytes": 30_000, "label_bytes": 3000, "model_bytes": 2e7,
    "restart_bytes": 6e7,
}  # fmt: skip
CONFIG = PROJECT / "config.yaml"


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(RATES))
    return path


def costs_of(*changes: dict) -> Costs:
    return Costs(plan_of(*changes), Rates(**RATES))


def seconds(found: Costs, rule: str, name: str) -> float:
    return next(cost.seconds for job, cost in found.jobs.items() if (job.rule or job.stage, job.name) == (rule, name))


EDITS = {
    "paper": PAPER,
    "two architectures": taught_by(SEGFORMER),
    "shards": {"inference": {"shards": 3}, "selftrain": {"candidates": None}},
    "no scores": {"data": {"validation": None}},
    "no co-training, no truth": {"cotrain": {"cycles": 0}, "data": {"target": {"truth": False}}},
    "statistics": {"training": {"class_balance": 0.01}, "inference": {"prior": 0.1}, "final": None},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_jobs_are_those_of_snakemake(tmp_path, edit):
    overlay = tmp_path / "edit.yaml"
    overlay.write_text(yaml.safe_dump(edit))
    printed = snakemake(tmp_path, "-n", overlays=(overlay,))
    assert printed.returncode == 0, printed.stderr
    planned = dict(re.findall(r"^(\w+) +(\d+)$", printed.stdout, re.MULTILINE))
    expected = {rule: int(count) for rule, count in planned.items() if rule not in ("all", "total")}
    assert Counter(job.rule or job.stage for job in costs.needed_jobs(plan_of(edit))) == expected


def test_jobs_come_after_those_they_read_from():
    found = costs.needed_jobs(plan_of(PAPER))
    places = {path: n for n, job in enumerate(found) for path in job.outputs}
    assert all(places[path] < n for n, job in enumerate(found) for path in job.reads)


def test_seconds_of_a_job_are_its_start_and_its_steps_or_images():
    found = costs_of()
    assert seconds(found, "train", "source") == pytest.approx(4 + 180 * 0.25)
    assert seconds(found, "train", "cotrain/01/2") == pytest.approx(4 + 120 * 0.3)
    assert seconds(found, "infer", "selftrain/02") == pytest.approx(4 + 200 * 0.03)
    assert seconds(found, "infer", "final") == pytest.approx(4 + 2 * 300 * 0.03)  # an ensemble of two
    assert seconds(found, "evaluate", "cotrain/01/both") == pytest.approx(4 + 2 * 100 * 0.02)
    assert seconds(found, "render", "source-400-96x192-seed0") == pytest.approx(1 + 400 * 0.05)
    assert seconds(found, "combine", "cotrain/01") == pytest.approx(1 + 400 * 0.01)


def test_epochs_count_the_images_that_a_round_trains_on():
    found = costs_of({"training": {"cycle": {"steps": None, "epochs": 2}}})  # 150 selected each; 4 of 8 are target's
    assert seconds(found, "train", "selftrain/01") == pytest.approx(4 + 75 * 0.3)
    assert seconds(found, "train", "selftrain/02") == pytest.approx(4 + 150 * 0.3)  # fused: all 300


def test_disk_is_what_the_files_of_the_run_take():
    disk = costs_of().disk
    assert disk["scenes"] == 800 * 40_000
    assert disk["predictions"] == (4 * 200 + 300) * 30_000
    assert disk["models"] == 8 * 2e7
    labels = 4 * 200 + 300 + 2 * 200 + 150 + 300 + 2 * 150  # pseudolabels.h5; combined.h5; labels.h5, fused
    assert disk["pseudo-labels"] == labels * 3000


def test_shards_are_shorter_jobs_and_need_room_until_they_are_merged():
    whole, parts = costs_of(), costs_of({"inference": {"shards": 3}})
    part = seconds(parts, "infer_shard", "final/1-of-3")
    assert part - 4 == pytest.approx((seconds(whole, "infer", "final") - 4) / 3)
    assert parts.disk["predictions"] == whole.disk["predictions"]
    assert parts.disk["shards until they are merged"] == 300 * 30_000


KEEP_NONE = {"inference": {"keep_predictions": False}}


@pytest.mark.parametrize(
    ("edit", "images"),
    [
        ({}, 400),  # two models of co-training, 200 each; all 300 in the last inference, alone
        ({"toycity": {"target": 500}}, 500),
        ({"selftrain": {"early_cycle": 1, "cycles": 2, "candidates": 280}}, 480),  # co-training's model 1 may start
        ({"selftrain": {"early_cycle": 2, "cycles": 2, "candidates": 280}}, 400),
        ({"cotrain": {"cycles": 0}, "final": None}, 200),
        (merged(EDITS["two architectures"], {"cotrain": {"cycles": 0}, "final": None}), 400),
    ],
)
def test_without_predictions_the_disk_holds_those_that_may_be_there_at_the_same_time(edit, images):
    disk = costs_of(edit, KEEP_NONE).disk
    assert "predictions" not in disk and disk["predictions at the same time, at most"] == images * 30_000
    others = costs_of(edit).disk
    assert others.pop("predictions") > images * 30_000
    assert {kind: disk[kind] for kind in others} == others


def test_peak_does_not_grow_with_the_cycles():
    kind = "predictions at the same time, at most"
    assert costs_of(PAPER, KEEP_NONE).disk[kind] == costs_of(PAPER, KEEP_NONE, {"cotrain": {"cycles": 9}}).disk[kind]


# ---- on so many GPUs --------------------------------------------------------------------------------------------


def test_on_one_gpu_and_one_core_with_nothing_beside_each_other_the_wall_is_the_sum():
    """A chain of rounds: what can run beside them is taken out."""
    found = costs_of(PAPER)
    network = sum(cost.seconds for job, cost in found.jobs.items() if job.runs_network)
    assert network <= found.timeline.wall(1, 1) <= sum(cost.seconds for cost in found.jobs.values())


def test_more_gpus_never_take_longer_than_one_and_never_less_than_the_longest_chain():
    found = costs_of(PAPER)
    walls = [found.timeline.wall(gpus, 4) for gpus in (1, 2, 4, 8)]
    assert walls == sorted(walls, reverse=True)
    assert walls[0] > 1.3 * walls[1]  # the two models of co-training train beside each other
    assert found.timeline.longest_chain(8)[0] <= walls[-1] + 1e-6
    assert found.timeline.longest_chain(8)[1][-1].stage == "plot"


def test_two_trainings_of_one_length_take_half_on_two_gpus():
    """Without scores there are W_0 and, beside each other, two models of a cycle."""
    only = {"data": {"validation": None, "target": {"truth": False}}, "final": None, "selftrain": {"cycles": 1}}
    found = costs_of(only, {"training": {"cycle": {"steps": 100_000}}})
    assert found.timeline.wall(1, 2) == pytest.approx(3 * 30_000, rel=0.01)
    assert found.timeline.wall(2, 2) == pytest.approx(2 * 30_000, rel=0.01)


def test_a_training_on_two_gpus_takes_both_and_half_of_the_time_of_its_steps():
    only = {"data": {"validation": None, "target": {"truth": False}}, "final": None, "selftrain": {"cycles": 1}}
    found = costs_of(only, {"training": {"gpus": 2, "cycle": {"steps": 100_000}}})
    assert found.timeline.wall(2, 2) == pytest.approx(3 * 15_000, rel=0.01)
    assert found.timeline.wall(4, 2) == pytest.approx(2 * 15_000, rel=0.01)


# ---- the command ------------------------------------------------------------------------------------------------


def run(cotrain_main, capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    return cotrain_main([str(argument) for argument in arguments]), *capsys.readouterr()


@pytest.fixture
def plan(capsys):
    from cotrain.cli import main

    return lambda *arguments: run(main, capsys, "plan", *arguments)


def test_later_files_win_over_earlier_ones(plan, rates, tmp_path):
    overlay = tmp_path / "more.yaml"
    overlay.write_text("selftrain: {cycles: 3}\n")
    code, out, _ = plan(CONFIG, overlay, "--rates", rates)
    assert code == 0 and re.search(r"^train +9 ", out, re.MULTILINE)
    assert all(f"with {gpus} GPU" in out for gpus in (1, 2, 4, 8)) and "longest chain of jobs: " in out
    for kind in ("predictions", "pseudo-labels", "models", "restart file"):
        assert f"disk, {kind}" in out


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ("{", "not JSON"),
        ('{"small": 1}', "network: missing; add this key"),
        (json.dumps(RATES | {"infer": 0}), "infer: input should be greater than 0, got 0"),
        (json.dumps(RATES | {"speed": 2}), "speed: unknown key"),
    ],
)
def test_bad_rates_are_refused(plan, tmp_path, rates, words):
    path = tmp_path / "rates.json"
    path.write_text(rates)
    code, out, err = plan(CONFIG, "--rates", path)
    assert (code, out) == (2, "") and words in err and all(line.startswith("error: ") for line in err.splitlines())


def test_config_at_fault_is_refused(plan, rates, tmp_path):
    odd = tmp_path / "odd.yaml"
    odd.write_text("selftrain: {cycels: 3}\n")
    assert "config: selftrain.cycels: unknown key; did you mean cycles?" in plan(CONFIG, odd, "--rates", rates)[2]
    odd.write_text("just words\n")
    assert f"{odd}: not a config" in plan(CONFIG, odd, "--rates", rates)[2]
    assert plan(tmp_path / "none.yaml", "--rates", rates)[0] == 2


def test_calibration_times_real_commands_and_keeps_the_rates(tmp_path):
    """All rates are above 0, whatever else the machine does; a model of a small network is some megabytes."""
    small = {
        "data": {"source": {"size": [64, 96]}, "target": {"size": [64, 96]}, "validation": {"size": [64, 96]}},
        "training": {"batch": 2, "augmentation": {"crop": [64, 96]}},
        "model": {"encoder": "tu-mobilenetv3_small_050", "weights": None},
    }
    overlay, out = tmp_path / "small.yaml", tmp_path / "rates.json"
    overlay.write_text(yaml.safe_dump(small))
    command = [sys.executable, "-m", "cotrain", "plan", str(CONFIG), str(overlay), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rates = Rates.model_validate_json(out.read_text())
    assert all(rate > 0 for name, rate in rates if name != "machine")
    assert 1e6 < rates.model_bytes < 1e7 and rates.restart_bytes == 3 * rates.model_bytes
    assert "calibration on" in done.stdout
