"""The project's files agree with each other."""

import re

import yaml
from conftest import PROJECT
from reruns_table import leaves

from cotrain.settings.config import Config


def test_conda_and_pip_pin_the_same_versions():
    lines = (PROJECT / "envs/requirements.txt").read_text().splitlines()
    pins = {line for line in lines if line and not line.startswith("#")}
    conda = yaml.safe_load((PROJECT / "envs/environment.yaml").read_text())
    assert set(conda["dependencies"][-1]["pip"]) == pins


def test_pre_commit_has_the_linters_and_versions_of_make_lint():
    pins = (PROJECT / "envs/requirements.txt").read_text().splitlines()
    recipe = (PROJECT / "Makefile").read_text().partition("lint: $(READY)\n")[2].partition("\n\n")[0]
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    programs = {"ruff": "ruff", "snakefmt": "snakefmt", "lint-imports": "import-linter"}
    assert all(program in recipe for program in programs)
    installed = {package for hook in hooks for package in hook["additional_dependencies"]}
    assert installed <= set(pins)
    assert {package.partition("==")[0] for package in installed} == set(programs.values())


def test_config_yaml_has_every_key():
    def flat(data, prefix=""):
        return {
            key
            for name, value in data.items()
            for key in (
                flat(value, f"{prefix}{name}.")
                if isinstance(value, dict) and name != "options"  # whose keys are the library's
                else {f"{prefix}{name}"}
            )
        }

    config = yaml.safe_load((PROJECT / "config.yaml").read_text())
    assert flat(config) == leaves(Config, config).keys()


def test_every_line_of_config_yaml_with_a_value_is_explained_once():
    """Each key has a comment at its first occurrence."""
    seen = {}
    for line in (PROJECT / "config.yaml").read_text().splitlines():
        key = line.split("#")[0].strip().rstrip(":").split(":")[0]
        if ": " in line.split("#")[0]:
            seen.setdefault(key, "#" in line)
    assert [key for key, explained in seen.items() if not explained and key not in ("policy",)] == []


def test_slurm_profile_gives_a_gpu_to_every_rule_with_a_network():
    text = "\n".join(path.read_text() for path in (PROJECT / "workflow/rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    given = yaml.safe_load((PROJECT / "profiles/slurm/config.yaml").read_text())["set-resources"]
    assert given.keys() == {name for name, body in rules.items() if "gpu=" in body}
    assert all(resources["gpu"] == 1 for resources in given.values())
