"""A few trials of the fault campaign; tools/faults.py runs many."""

from pathlib import Path

import faults
import pytest

TRIALS = ["SIGKILL to a stage", "SIGKILL to Snakemake", "SIGTERM to all at once", "results truncated", "full disk"]


@pytest.mark.parametrize("fault", TRIALS)
def test_plain_snakemake_after_a_fault_gives_the_same_bytes(campaign, fault):
    if fault == "full disk" and not faults.can_mount(campaign.folder):
        pytest.skip("mounting a small disk needs root")
    assert campaign.trial(TRIALS.index(fault), fault)[1] == []


def test_one_stage_at_a_time_gives_the_bytes_of_two(campaign):
    """The workstation profile with `--cores 1` and, as everywhere here, `--cores 2`."""
    found = faults.contents(campaign.undisturbed("one worker", cores=1) / "results")
    assert {".pt", ".h5", ".csv", ".png"} <= {Path(name).suffix for name in found}
    assert faults.differences(campaign.expected, found) == []
