"""Finished runs side by side: the tiny run, and copies of it with other scores, seeds and settings."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cotrain.cli import main


@pytest.fixture
def runs(results, tmp_path):
    """`runs(name, miou, **keys)`: what is read of the tiny run, with another score and other config values."""

    def copy(name: str, miou: float, **keys: object):
        folder = tmp_path / name
        for part in (".tickets", "logs"):
            shutil.copytree(results / part, folder / part)
        table = pd.read_csv(results / "summary.csv").set_index("round")
        table.loc["final", "miou"] = miou
        table.loc["final", "road"] = miou / 2
        table.to_csv(folder / "summary.csv")
        for path in folder.rglob(".tickets/**/*.json"):
            ticket = json.loads(path.read_text())
            made = ticket["made"] or ticket["wanted"]["keys"]
            path.write_text(json.dumps(ticket | {"made": made | {k: v for k, v in keys.items() if k in made}}))
        return folder

    return copy


def compare(*arguments) -> None:
    assert main(["compare", *map(str, arguments)]) == 0


def test_runs_that_differ_in_the_seed_alone_are_one_row(runs, tmp_path, capsys):
    folders = [runs(f"s{seed}", miou, seed=seed) for seed, miou in ((1, 0.4), (2, 0.5), (3, 0.45))]
    other = runs("wide", 0.6, seed=1, **{"cotrain.lambda": 0.5, "training.threads": 7})
    compare(
        *folders, other, "--out", tmp_path / "t.csv", "--markdown", tmp_path / "t.md", "--html", tmp_path / "t.html"
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["runs"].tolist() == ["s1, s2, s3", "wide"] and table["n"].tolist() == [3, 1]
    assert table["seeds"].tolist() == ["1, 2, 3", "1"]
    assert table["miou"].tolist() == pytest.approx([0.45, 0.6])
    assert table["miou_sd"][0] == pytest.approx(0.05) and np.isnan(table["miou_sd"][1])
    assert table["iou road"].tolist() == pytest.approx([0.225, 0.3]) and table["iou road sd"][0] == pytest.approx(0.025)
    assert [c for c in table if c.startswith("config ")] == ["config cotrain.lambda"]
    assert table["config cotrain.lambda"].tolist() == [0.2, 0.5]
    for text in (capsys.readouterr().out, (tmp_path / "t.md").read_text(), (tmp_path / "t.html").read_text()):
        assert all(word in text for word in ("45.0 ± 5.0", "60.0", "cotrain.lambda", "s1, s2, s3")), text


def test_scores_are_those_of_the_round_asked_for(results, tmp_path):
    compare(results, "--round", "selftrain/01", "--out", tmp_path / "t.csv")
    row = pd.read_csv(results / "summary.csv").set_index("round").loc["selftrain/01"]
    found = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert found["round"] == "selftrain/01" and found["miou"] == pytest.approx(row["miou"])
    assert found["gap_closed"] == pytest.approx(row["gap_closed"], nan_ok=True)
    for name in ("sky", "road", "bicyclist"):
        assert found[f"iou {name}"] == pytest.approx(row[name], nan_ok=True)


def test_hours_are_those_the_logs_tell_and_unknown_if_one_does_not(results, runs, tmp_path):
    folder = runs("timed", 0.4)
    seconds = {"train": 0.0, "others": 0.0}
    for i, path in enumerate(sorted((folder / "logs").rglob("*.log"))):
        stage = "train" if path.name == "train.log" else "draw"
        path.write_text(f"{stage}: 99.0 s, at most 5 MiB of memory\n{stage}: {i}.5 s, at most 5 MiB of memory\n")
        seconds["train" if stage == "train" else "others"] += i + 0.5
    compare(folder, "--out", tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert found["hours"] == pytest.approx(sum(seconds.values()) / 3600, abs=1e-6)
    assert found["network_hours"] == pytest.approx(seconds["train"] / 3600, abs=1e-6)
    path.write_text("nothing of time\n")
    compare(folder, "--out", tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv")[["hours", "network_hours"]].isna().all(axis=None)


def test_real_run_tells_its_hours(results, tmp_path):
    compare(results, "--out", tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert 0 < found["network_hours"] < found["hours"] < 1
