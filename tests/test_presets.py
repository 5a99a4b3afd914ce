"""The paper's settings: every number of its Table I and of its Sect. IV-B, against the preset files."""

import pytest
import yaml
from conftest import PROJECT
from workflow_runs import merged

from cotrain.procedure.plan import Plan
from cotrain.settings.config import Config

# Gómez et al. 2022, TABLE I, with the datasets of a line written out. p_m and p_M of self-training and of co-training.
TABLE_I = """
source           target              N   n   Δp   C_m C_M N_MB p_MB p_CM p_m p_M K_m K_M p_m p_M K w λ
synthia          cityscapes          500 100 0.05 0.5 0.9 4    0.75 0.5  0.5 0.6 1   10  0.5 0.6 5 1 0.8
synscapes        cityscapes          500 100 0.05 0.5 0.9 4    0.75 0.5  0.5 0.6 1   10  0.5 0.6 5 1 0.8
gtav_synscapes   cityscapes          500 100 0.05 0.5 0.9 4    0.75 0.5  0.5 0.6 1   10  0.5 0.6 5 1 0.8
gtav_synscapes   mapillary           500 100 0.05 0.5 0.9 4    0.75 0.5  0.5 0.6 1   10  0.5 0.6 5 1 0.8
gtav             cityscapes          500 100 0.05 0.5 0.9 4    0.75 0.5  0.3 0.5 1   10  0.5 0.6 5 1 0.8
gtav_synscapes   bdd100k             500 100 0.05 0.5 0.9 2    0.5  0.5  0.3 0.5 1   10  0.5 0.6 5 1 0.8
"""
ROWS = [line.split() for line in TABLE_I.strip().splitlines()[1:]]

# Sect. IV-B: iterations of the source model and of a cycle, and crop (width × height), by target.
TRAININGS = {
    "cityscapes": (60_000, 8_000, (1024, 512)),
    "mapillary": (60_000, 8_000, (816, 608)),
    "bdd100k": (120_000, 16_000, (1280, 720)),
}
CLASSES = {"synthia": "synthia16"}  # all others: 19

# One image and its label of each dataset, where its publisher has them.
PLACES = {
    "gtav": ["gtav/images/00001.png", "gtav/labels/00001.png"],
    "synscapes": ["synscapes/img/rgb/1.png", "synscapes/img/class/1.png"],
    "synthia": ["RAND_CITYSCAPES/RGB/0000000.png", "RAND_CITYSCAPES/GT/LABELS/0000000.png"],
    "cityscapes": [
        f"cityscapes/{kind}/{split}/ulm/ulm_000000_000019_{end}.png"
        for split in ("train", "val")
        for kind, end in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds"))
    ],
    "bdd100k": ["bdd100k/train_clear.txt"]
    + [f"bdd100k/images/10k/{split}/0a0a0b1a.jpg" for split in ("train", "val")]
    + [f"bdd100k/labels/sem_seg/masks/{split}/0a0a0b1a.png" for split in ("train", "val")],
    "mapillary": [f"mapillary/{split}/images/a-b.jpg" for split in ("training", "validation")]
    + [f"mapillary/{split}/labels/a-b.png" for split in ("training", "validation")],
}

of_table = pytest.mark.parametrize("row", ROWS, ids=[f"{source}_to_{target}" for source, target, *_ in ROWS])


def preset(row: list[str]) -> dict:
    path = PROJECT / "workflow" / "presets" / f"{row[0]}_to_{row[1]}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def config_of(row: list[str]) -> Config:
    demo = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    return Plan(merged(demo, preset(row)), PROJECT / "workflow").config


@of_table
def test_preset_has_every_number_of_its_row(row):
    config = config_of(row)
    selftrain, cotrain, training, mix = config.selftrain, config.cotrain, config.training, config.mix
    for stage in (selftrain, cotrain):
        t = stage.thresholds
        shared = [stage.candidates, stage.selected, t.portion_step, t.confidence_min, t.confidence_max]
        assert shared == [float(value) for value in row[2:7]] and t.policy == "mpt"
    found = [
        training.batch, mix.target_share, mix.collage_share,
        selftrain.thresholds.portion_start, selftrain.thresholds.portion_max, selftrain.early_cycle, selftrain.cycles,
        cotrain.thresholds.portion_start, cotrain.thresholds.portion_max, cotrain.cycles,
        float(config.final.labels_from), cotrain.lambda_,
    ]  # fmt: skip
    assert found == [float(value) for value in row[7:]]


@of_table
def test_preset_has_the_data_and_the_trainings_of_the_text(row):
    source, target, *_ = row
    config, (steps, cycle, (width, height)) = config_of(row), TRAININGS[target]
    training, data = config.training, config.data
    assert config.run == f"{source}_to_{target}" and config.align_colors
    assert data.source.dataset == source and data.target.dataset.startswith(target)
    assert data.validation.dataset.startswith(target) and data.validation.split.startswith("val")
    assert data.labelset == CLASSES.get(source, "cityscapes19")
    courses = [training.source, training.cycle, training.final]
    assert [course.steps for course in courses] == [steps, cycle, steps]
    assert {course.learning_rate for course in courses} == {0.002}
    assert [course.schedule for course in courses] == ["step", "constant", "step"]
    assert (training.optimizer.name, training.optimizer.momentum) == ("sgd", 0.9)
    assert training.augmentation.crop == (height, width) and training.augmentation.flip == 0.5
    assert (config.model.architecture, config.model.weights) == ("DeepLabV3Plus", "imagenet")
    assert training.class_balance == (0.01 if source == "gtav" else None)  # "for training only using GTAV"
    assert config.final.collage_share is None  # "in this last training, the ClassMix-inspired procedure is not applied"
    assert (config.cotrain.combine_from_cycle, config.cotrain.rank_by, config.selftrain.fuse) == (1, "image", True)
    assert (config.selftrain.start_from, config.mix.rare_crops, config.inference.prior) == ("source", 0, None)
    for domain in (data.source, data.target):
        assert all(side <= length for side, length in zip(training.augmentation.crop, domain.size, strict=True))


@of_table
def test_dry_run_plans_the_whole_procedure_on_a_tree_of_placeholders(row, dry_run, tmp_path):
    source, target, *_ = row
    for name in {*source.split("_"), target}:
        for place in PLACES[name]:
            (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / place).touch()
    planned = dry_run(tmp_path, merged(preset(row), {"data": {"root": str(tmp_path / "data")}}))
    rules = [job.rule for job in planned.jobs]
    expected = {"index": 4, "color": 1, "train": 24, "draw": 15, "infer": 21, "threshold": 21, "select": 10}
    expected |= {"combine": 5, "exchange": 5, "fuse": 20}
    expected |= {"evaluate": 25, "measure": 21, "summarize": 1, "plot": 1, "report": 1}
    expected |= {"statistics": 1} if source == "gtav" else {}
    assert {rule: rules.count(rule) for rule in rules} == expected
