"""A few trials of the fault campaign; tests/faults.py runs many."""

import faults
import pytest

TRIALS = ["SIGKILL to a stage", "SIGKILL to Snakemake", "SIGTERM to all at once", "results truncated", "full disk"]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    with faults.campaign(tmp_path_factory.mktemp("some faults"), seed=0) as ready:
        yield ready


@pytest.mark.parametrize("fault", TRIALS)
def test_plain_snakemake_after_a_fault_gives_the_same_bytes(campaign, fault):
    if fault == "full disk" and not faults.can_mount(campaign.folder):
        pytest.skip("mounting a small disk needs root")
    assert campaign.trial(TRIALS.index(fault), fault)[1] == []
