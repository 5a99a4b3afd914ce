"""Every case of the catalogue: refused in words, quickly, without a trace."""

import time

import commands
import files
import networks
import photographs
import pytest
import texts
from box import Box, Case, write
from conftest import PROJECT

from cotrain.base.errors import BadInput
from cotrain.procedure.plan import Plan

MODULES = (files, networks, photographs, texts, commands)
CASES = [pytest.param(case, id=f"{module.__name__}-{case.name}") for module in MODULES for case in module.CASES]
SECONDS = 10  # of computing, the first import of torch included


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Path of a small network, built once and only if a case wants it."""
    path = tmp_path_factory.mktemp("network") / "model.pt"

    def build():
        if not path.exists():
            networks.build(path)
        return path

    return build


@pytest.fixture
def box(tmp_path, network):
    made = Box(tmp_path, network)
    yield made
    commands.unlock(tmp_path)


def contents(folder) -> dict:
    """Every file below a folder; of links and what is no file, only that it is there."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_words_and_leaves_no_trace(case: Case, box, capfd):
    from cotrain.cli import main

    arguments = case.build(box)
    before = contents(box.folder)
    capfd.readouterr()
    start = time.process_time()
    code = main(arguments)
    took = time.process_time() - start
    out, err = capfd.readouterr()
    faults = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, out) == (2, ""), err
    assert len(faults) == case.lines and "Traceback" not in err, err
    assert [word for word in case.words if word not in " ".join(faults)] == [], err
    assert contents(box.folder) == before
    assert took < SECONDS


@pytest.mark.parametrize("case", texts.YAML, ids=lambda case: case.name)
def test_bad_yaml_is_refused_in_words_and_runs_nothing(case: Case, box):
    content = case.build(box)
    path = write(box / "own.yaml", content)
    start = time.process_time()
    with pytest.raises(BadInput) as refused:
        texts.plan(path)
    check(case, str(refused.value))
    assert time.process_time() - start < SECONDS and list(contents(box.folder)) == [path]


@pytest.mark.parametrize("case", texts.CONFIG, ids=lambda case: case.name)
def test_bad_config_is_refused_in_words(case: Case, box):
    with pytest.raises(BadInput) as refused:
        Plan(texts.whole(case.build(box)), PROJECT / "workflow")
    check(case, str(refused.value))


def check(case: Case, message: str) -> None:
    assert len(message.splitlines()) == case.lines, message
    assert [word for word in case.words if word not in message] == [], message


def test_catalogue_has_at_least_sixty_cases_of_different_names():
    names = [case.id for case in CASES]
    assert len(set(names)) == len(names) >= 60
