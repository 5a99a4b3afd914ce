"""Names that a shell or Snakemake could take for something else: they work, or are refused, and nothing is executed."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import PROJECT, save

from cotrain.toycity import streets

HOSTILE = """it's "a" $(touch pwned) `touch pwned`; touch pwned & > pwned | tee pwned #%*?[x] ~ \\ ä"""
NAMES = {"shell": HOSTILE, "line break": "a\nb; touch pwned", "braces": "{a} {input} {", "dash": "-rf"}


def snakemake(folder: Path, config: str | dict, *wanted: str) -> subprocess.CompletedProcess:
    """Snakemake in `folder` with an overlay of config.yaml."""
    (folder / "overlay.yaml").write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--cores", "1"]
    command += [*wanted, "--configfile", PROJECT / "config.yaml", "overlay.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)


def photographs(folder: Path, name: str) -> dict:
    """Config of a source that lies in a folder of that name below the data root of that name."""
    for kind, array in zip(("images", "labels"), streets.render(0, 0, "rendered", 32, 48), strict=True):
        save(folder / name / name / kind / "a.png", array)
    description = yaml.safe_load((PROJECT / "workflow" / "datasets" / "toycity.yaml").read_text())
    own = folder / "own.yaml"
    own.write_text(yaml.safe_dump(description | {"name": "own", "root": name, "generator": None}))
    return {"root": str(folder / name), "source": {"dataset": str(own), "split": ""}}


def executed(folder: Path) -> list[Path]:
    return list(folder.rglob("pwned"))


@pytest.mark.parametrize("kind", NAMES)
def test_data_folder_of_any_name_is_listed_and_nothing_executed(tmp_path, kind):
    config = {"data": photographs(tmp_path, NAMES[kind])}
    result = snakemake(tmp_path, config, "results/demo/data/source.csv")
    assert result.returncode == 0, result.stderr[-2000:]
    table = pd.read_csv(tmp_path / "results/demo/data/source.csv")
    assert [Path(path).is_file() for path in table["image"]] == [True] and executed(tmp_path) == []


@pytest.mark.parametrize("kind", NAMES)
def test_results_folder_of_any_name_works_or_is_refused_and_nothing_executed(tmp_path, kind):
    name = NAMES[kind]
    config = {"results": name, "toycity": {"source": 2}}
    result = snakemake(tmp_path, config, f"{name}/demo/data/source.csv" if kind == "shell" else "all")
    if kind == "shell":
        assert result.returncode == 0, result.stderr[-2000:]
        assert len(pd.read_csv(tmp_path / name / "demo/data/source.csv")) == 2
    else:
        assert result.returncode == 2 and result.stderr.count("error: config: results: the path must not") == 1
        assert [p.name for p in tmp_path.iterdir() if p.name not in ("overlay.yaml", ".snakemake")] == []
    assert executed(tmp_path) == []


LAUGHS = "model:\n  options:\n    a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"    a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("seed: 1\nseed: 2\n", 2, "overlay.yaml: not YAML (key 'seed' occurs twice); mend it"),
        (LAUGHS, 2, "error: config: more than 200,000 values"),
        ("seed: !!python/object/apply:pathlib.Path.touch [pwned]\n", 1, "not valid JSON or YAML"),
        ("seed:\n\t1\n", 1, "not valid JSON or YAML"),
        ("- seed\n", 1, "with keys at top level"),
    ],
    ids=["key twice", "billion laughs", "python tag", "tab", "list"],
)
def test_hostile_config_file_is_refused_before_any_job(tmp_path, text, code, words):
    """Snakemake reads the file first, and says in its own words, with code 1, what is no YAML."""
    result = snakemake(tmp_path, text, "results/demo/data/source.csv")
    assert result.returncode == code and words in result.stderr, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "results").exists() and executed(tmp_path) == []
