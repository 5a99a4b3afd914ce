"""The unrolled procedure: what each round reads, starts from and is told; and what a faulty config is answered."""

import copy
import itertools
import json
import re

import pytest
import yaml
from conftest import PROJECT

from cotrain.base.errors import BadInput
from cotrain.procedure.plan import ROUND, Plan, round_of
from cotrain.settings import strict
from cotrain.settings.stages import STAGES

WORKFLOW = PROJECT / "workflow"
DEMO = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
PORTIONS = {"portion_start": 0.5, "portion_step": 0.05, "portion_max": 0.6}
PAPER = {  # Table I of the paper, Synscapes → Cityscapes
    "selftrain": {"cycles": 10, "early_cycle": 1, "candidates": 500, "selected": 100, "thresholds": PORTIONS},
    "cotrain": {"cycles": 5, "candidates": 500, "selected": 100, "thresholds": PORTIONS, "lambda": 0.8},
    "final": {"collage_share": None},
}
SELFTRAIN = [f"selftrain/{i:02d}" for i in range(1, 11)]
MIXBATCH = [f"mixbatch/{i:02d}" for i in range(1, 11)]
COTRAIN = [f"cotrain/{i:02d}/{m}" for i in range(1, 6) for m in (1, 2)]


def merged(base: dict, changes: dict) -> dict:
    """A copy of `base` with nested changes, as Snakemake merges config files."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


def dotted(path: str, value) -> dict:
    """{"a": {"b": value}} for a.b."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def plan_of(*changes: dict) -> Plan:
    """A plan of config.yaml with changes; its label set is fixed, so that the demo may have another."""
    config = merged(DEMO, dotted("data.labelset", "toycity17"))
    for change in changes:
        config = merged(config, change)
    return Plan(config, WORKFLOW)


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan_of(PAPER)


# ---- rounds -----------------------------------------------------------------------------------------------------


def test_paper_has_ten_cycles_of_selftraining_and_five_of_cotraining(paper):
    assert paper.selftrain_rounds == SELFTRAIN and paper.mixbatch_rounds == MIXBATCH
    assert [paper.cotrain_rounds(m) for m in (1, 2)] == [COTRAIN[::2], COTRAIN[1::2]]
    pair = "cotrain/05/both"
    assert list(paper.evaluated) == ["source_only", "source", *SELFTRAIN, *COTRAIN, pair, "final", "upper_bound"]
    assert paper.measured == [*SELFTRAIN, *COTRAIN, "final"]
    assert list(paper.ablation) == ["source_only", "source", "mixbatch/10", "selftrain/10", "final", "upper_bound"]


def test_every_round_fits_the_rules_pattern(paper):
    rounds = ["source", "source_only", "upper_bound", "final", *SELFTRAIN, *MIXBATCH, *COTRAIN]
    assert all(re.fullmatch(ROUND, round) for round in rounds)
    for other in ("selftrain/1", "cotrain/01", "cotrain/01/3", "final/model", "evaluation", "source_only/x"):
        assert not re.fullmatch(ROUND, other)


def test_names_in_tables_are_distinct(paper):
    assert len(set(paper.evaluated.values())) == len(paper.evaluated)


@pytest.mark.parametrize(
    ("gpus", "training", "cores", "expected"),
    [
        (0, {"threads": 1}, 8, 1),
        (0, {"threads": 2}, 8, 2),
        (0, {"threads": 2, "workers": 1}, 8, 2 + 1),
        (0, {"threads": 2, "gpus": 2, "workers": 3}, 2, 2 * (2 + 3)),
        (1, {"threads": 1}, 16, 1 + 4),
        (1, {"threads": 1}, None, 1 + 4),  # on a cluster
        (4, {"threads": 1}, 8, 2),  # so that four trainings find room
        (4, {"threads": 3, "gpus": 4}, 8, 4 * 3),
    ],
)
def test_cores_of_a_training(monkeypatch, gpus, training, cores, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("COTRAIN_GPUS", str(gpus))
    assert plan_of({"training": training}).training_cores(cores) == expected


def test_the_last_training_may_have_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("COTRAIN_GPUS", "0")
    for final, expected in (({"threads": 3}, 3), ({"threads": 1}, 2), (None, 2)):
        plan = plan_of({"training": {"threads": 2}, "final": final})
        assert plan.training_cores(8) == 2 and plan.training_cores(8, "final") == expected
        assert json.loads(plan.settings("train", "selftrain/01"))["threads"] == 2
        if final:
            assert json.loads(plan.settings("train", "final"))["threads"] == expected


def test_without_colour_alignment_or_truth_their_rounds_are_not_scored():
    plan = plan_of({"align_colors": False, "data": {"target": {"truth": False}}})
    assert "source" not in plan.evaluated and "upper_bound" not in plan.evaluated
    assert "upper_bound" not in plan.ablation


# ---- models -----------------------------------------------------------------------------------------------------


def test_each_cycle_predicts_with_the_model_of_the_cycle_before(paper):
    expected = {"selftrain/01": "source", "mixbatch/01": "source"}
    expected |= {"cotrain/01/1": "selftrain/01", "cotrain/01/2": "selftrain/10"}  # W_{K_m}, W_{K_M}
    for rounds in (SELFTRAIN, MIXBATCH, COTRAIN[::2], COTRAIN[1::2]):
        expected |= {round: before for before, round in itertools.pairwise(rounds)}
    for round, before in expected.items():
        assert paper.predictors(round) == [f"{before}/model.pt"], round


def test_each_cycle_trains_from_w0_and_never_from_the_cycle_before(paper):
    for round in (*SELFTRAIN, *MIXBATCH, "final", "upper_bound"):
        assert paper.initial(round) == ["source/model.pt"], round
    for round in COTRAIN:
        start = "selftrain/01" if round.endswith("1") else "selftrain/10"
        assert paper.initial(round) == [f"{start}/model.pt"], round
    assert paper.initial("source") == paper.initial("source_only") == []


def test_selftraining_can_go_on_from_the_model_of_the_cycle_before():
    plan = plan_of(PAPER, {"selftrain": {"start_from": "previous"}})
    for rounds in (SELFTRAIN, MIXBATCH):
        assert plan.initial(rounds[0]) == ["source/model.pt"]
        for before, round in itertools.pairwise(rounds):
            assert plan.initial(round) == [f"{before}/model.pt"] == plan.predictors(round)
    assert plan.initial("cotrain/03/1") == ["selftrain/01/model.pt"]
    assert plan.initial("final") == plan.initial("upper_bound") == ["source/model.pt"]


def test_cotraining_starts_from_the_early_and_the_last_cycle_of_selftraining():
    plan = plan_of(PAPER, {"selftrain": {"cycles": 7, "early_cycle": 3}})
    for cycle in range(1, 6):
        assert plan.initial(f"cotrain/{cycle:02d}/1") == ["selftrain/03/model.pt"]
        assert plan.initial(f"cotrain/{cycle:02d}/2") == ["selftrain/07/model.pt"]


@pytest.mark.parametrize(("who", "models"), [("1", ["1"]), ("2", ["2"]), ("ensemble", ["1", "2"])])
def test_final_labels_come_from_w(who, models):
    plan = plan_of(PAPER, {"final": {"labels_from": who}})
    assert plan.predictors("final") == [f"cotrain/05/{m}/model.pt" for m in models]


def test_without_the_cotraining_loop_final_labels_come_from_selftraining():
    plan = plan_of(PAPER, {"cotrain": {"cycles": 0}, "final": {"labels_from": "ensemble"}})
    assert plan.predictors("final") == ["selftrain/01/model.pt", "selftrain/10/model.pt"]
    assert plan.measured == [*SELFTRAIN, "final"]
    assert not any("cotrain" in round for round in (*plan.evaluated, *plan.pictured))


def test_without_the_last_training_nothing_asks_for_it():
    plan = plan_of(PAPER, {"final": None})
    assert list(plan.evaluated) == ["source_only", "source", *SELFTRAIN, *COTRAIN, "cotrain/05/both", "upper_bound"]
    assert not any("final" in name for name in (*plan.files, *plan.measured, *plan.pictured, *plan.ablation))
    assert "last training" not in told(plan, "plot")["columns"]
    assert [name for name, _ in told(plan, "plot")["series"]] == [
        "self-training", "co-training, model 1", "co-training, model 2",
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"final: null, and this target needs the last training"):
        plan.predictors("final")


# ---- images and pseudo-labels -----------------------------------------------------------------------------------


def test_both_models_of_a_cycle_are_run_on_the_same_candidates(paper):
    for round in COTRAIN:
        assert paper.candidates(round) == f"{round[:-2]}/candidates.csv"
    for round in SELFTRAIN:
        assert paper.candidates(round) == f"{round}/candidates.csv"
    for round, same in zip(MIXBATCH, SELFTRAIN, strict=True):
        assert paper.candidates(round) == f"{same}/candidates.csv"
    assert paper.candidates("final") == "data/target.csv"  # all of X^u


def test_each_model_receives_the_other_models_pseudolabels(paper):
    for cycle in range(1, 6):
        for model, other in ((1, 2), (2, 1)):
            fused = paper.fused(f"cotrain/{cycle:02d}/{model}")
            assert fused["pseudolabels"] == f"cotrain/{cycle:02d}/{other}/combined.h5"
            assert fused["selected"] == f"cotrain/{cycle:02d}/{model}/selected.csv"


def test_fusion_starts_from_the_empty_set_in_the_first_cycle_of_each_phase(paper):
    for round in ("selftrain/01", "mixbatch/01", "cotrain/01/1", "cotrain/01/2"):
        assert "previous" not in paper.fused(round)
    for rounds in (SELFTRAIN, COTRAIN[::2], COTRAIN[1::2]):
        for before, round in itertools.pairwise(rounds):
            assert paper.fused(round)["previous"] == f"{before}/labels.h5"
    assert paper.fused("selftrain/04")["pseudolabels"] == "selftrain/04/pseudolabels.h5"


def test_cycles_without_fusion_train_on_their_own_labels_alone():
    plan = plan_of(PAPER, {"selftrain": {"fuse": False}})
    assert all("previous" not in plan.fused(round) for round in (*SELFTRAIN, *MIXBATCH))
    assert plan.fused("cotrain/02/1")["previous"] == "cotrain/01/1/labels.h5"


def test_exchange_reads_model_1_then_model_2(paper):
    assert paper.exchanged("cotrain/03") == {
        "pseudolabels": ["cotrain/03/1/combined.h5", "cotrain/03/2/combined.h5"],
        "thresholds": ["cotrain/03/1/thresholds.csv", "cotrain/03/2/thresholds.csv"],
    }


def test_before_combination_starts_plain_pseudolabels_are_exchanged():
    plan = plan_of(PAPER, {"cotrain": {"combine_from_cycle": 3}})
    for cycle, name in ((1, "pseudolabels"), (2, "pseudolabels"), (3, "combined"), (5, "combined")):
        files = [f"cotrain/{cycle:02d}/{m}/{name}.h5" for m in (1, 2)]
        assert plan.exchanged(f"cotrain/{cycle:02d}")["pseudolabels"] == files
        assert [plan.fused(f"cotrain/{cycle:02d}/{m}")["pseudolabels"] for m in (2, 1)] == files


def test_each_round_trains_on_its_own_labels_and_thresholds(paper):
    for round in (*SELFTRAIN, *COTRAIN):
        assert paper.labels(round) == f"{round}/labels.h5"
        assert paper.thresholds(round) == [f"{round}/thresholds.csv"]
    assert paper.labels("final") == "final/pseudolabels.h5" and paper.thresholds("final") == []


def test_mixbatch_shares_the_labels_of_the_first_cycle_and_has_no_collage(paper):
    assert paper.labels("mixbatch/01") == "selftrain/01/labels.h5"
    assert paper.fused("mixbatch/02")["previous"] == "selftrain/01/labels.h5"
    assert paper.labels("mixbatch/02") == "mixbatch/02/labels.h5"
    assert paper.fused("mixbatch/03")["previous"] == "mixbatch/02/labels.h5"
    assert all(paper.thresholds(round) == [] for round in MIXBATCH)


def test_rare_crops_need_thresholds_in_every_cycle_and_the_collage_only_where_it_is():
    rounds = (*SELFTRAIN, *MIXBATCH, *COTRAIN)
    rare = {"rare_crops": 0.5, "rare_share": 0.002}
    plan = plan_of(PAPER, {"mix": rare | {"collage_share": None}})
    assert plan.thresholds("mixbatch/01") == ["selftrain/01/thresholds.csv"]
    assert plan.thresholds("final") == plan.thresholds("upper_bound") == []
    for round in rounds:
        assert len(plan.thresholds(round)) == 1
        found = told(plan, "train", round)
        assert rare.items() <= found.items() and "collage_share" not in found
    plain = plan_of(PAPER, {"mix": {"collage_share": None}})
    assert not any(plain.thresholds(round) or "rare_crops" in told(plain, "train", round) for round in rounds)
    assert list(plain.ablation) == ["source_only", "source", "selftrain/10", "final", "upper_bound"]


def test_prior_is_of_the_targets_size_and_asks_for_statistics_and_a_picture():
    sizes = {"data": {"source": {"size": [64, 96]}, "target": {"size": [32, 48]}}}
    plan = plan_of(sizes, {"inference": {"prior": 0.07}})
    assert told(plan, "statistics")["prior"] == {"size": [32, 48], "smoothing": 0.07}
    assert {"data/source_statistics.h5", "figures/prior.png"} <= set(plan.files)
    plan = plan_of(sizes)
    assert "prior" not in told(plan, "statistics")
    assert not {"data/source_statistics.h5", "figures/prior.png"} & set(plan.files)


def test_patches_have_a_seed_for_each_round_and_scores_have_views_of_their_own():
    views = {"scales": [0.5, 1.0], "flip": True}
    plan = plan_of(PAPER, {"inference": {"patches": {"count": 7}} | views})
    assert len({told(plan, "infer", round)["seed"] for round in (*SELFTRAIN, *COTRAIN, "final")}) == 21
    infer = told(plan, "infer", "selftrain/01")
    assert infer["patches"] == {"count": 7, "height": 0.5, "average": "probability"} and views.items() <= infer.items()
    assert told(plan, "evaluate", "final")["scales"] == [1.0]
    plan = plan_of(PAPER, {"evaluation": views})
    assert views.items() <= told(plan, "evaluate", "final").items()
    assert not {"seed", "patches"} & told(plan, "infer", "final").keys()


# ---- settings ---------------------------------------------------------------------------------------------------


def told(plan: Plan, stage: str, name: str = "") -> dict:
    return json.loads(plan.settings(stage, name))


def test_portion_grows_from_zero_in_each_phase_and_ends_with_k(paper):
    for rounds in (SELFTRAIN, MIXBATCH, COTRAIN[::2], COTRAIN[1::2]):
        found = [told(paper, "threshold", round)["portion"] for round in rounds]
        assert found == pytest.approx([0.5, 0.55, *[0.6] * (len(rounds) - 2)])
    assert told(paper, "threshold", "final")["portion"] == pytest.approx(0.6)


def test_each_phase_has_thresholds_of_its_own_and_the_last_training_goes_on_from_cotraining():
    thresholds = {"portion_start": 0.1, "portion_step": 0.02, "portion_max": 0.9, "confidence_max": 0.8}
    plan = plan_of(PAPER, {"cotrain": {"thresholds": thresholds}})
    assert told(plan, "threshold", "selftrain/02")["portion"] == pytest.approx(0.55)
    for round, portion in (("cotrain/01/2", 0.1), ("cotrain/05/1", 0.18), ("final", 0.2)):  # final: k = K = 5
        found = told(plan, "threshold", round)
        assert found["portion"] == pytest.approx(portion) and found["confidence_max"] == 0.8


def test_numbers_of_images_go_to_draw_select_and_exchange():
    plan = plan_of(
        {"selftrain": {"candidates": 11, "selected": 7}, "cotrain": {"candidates": 13, "selected": 5, "lambda": 0.25}}
    )
    assert told(plan, "draw", "selftrain/02")["count"] == 11 and told(plan, "draw", "cotrain/01")["count"] == 13
    assert told(plan, "select", "selftrain/02") == {"count": 7}
    exchange = {"count": 5, "lambda": 0.25, "rank_by": "image", "min_class_fraction": 0.0}
    assert told(plan, "exchange", "cotrain/01") == exchange


def test_courses_and_mixture_of_each_training():
    courses = {name: {"steps": n, "schedule": "step"} for name, n in (("source", 11), ("cycle", 12), ("final", 13))}
    plan = plan_of(PAPER, {"training": courses, "mix": {"target_share": 0.75, "collage_share": 0.3}})
    expected = {  # round: steps, p_MB, p_CM
        "source": (11, None, None),
        "source_only": (11, None, None),
        "selftrain/02": (12, 0.75, 0.3),
        "cotrain/02/1": (12, 0.75, 0.3),
        "mixbatch/02": (12, 0.75, None),
        "final": (13, 0.75, None),  # MixBatch, and no ClassMix
        "upper_bound": (13, 0.75, None),
    }
    with_collage = plan_of({"final": {"collage_share": 0.2}})
    assert told(with_collage, "train", "final")["collage_share"] == 0.2
    assert with_collage.thresholds("final") == ["final/thresholds.csv"]
    for round, values in expected.items():
        found = told(plan, "train", round)
        assert (found["course"]["steps"], found.get("target_share"), found.get("collage_share")) == values, round


def test_target_labels_reach_measuring_and_the_upper_bound_only():
    plan = plan_of()
    assert told(plan, "index", "target")["labels"] is None
    assert told(plan, "index", "target_labelled")["labels"] == "labels/{id}.png"
    assert told(plan, "train", "upper_bound")["target"]["values"]
    for round in ("source", "selftrain/01", "mixbatch/01", "cotrain/01/1", "final"):
        assert told(plan, "train", round).get("target") is None


def test_source_only_is_not_aligned_and_every_other_training_is():
    plan = plan_of()
    assert not plan.aligned("source_only")
    assert all(plan.aligned(round) for round in ("source", "selftrain/01", "cotrain/01/2", "final", "upper_bound"))
    plan = plan_of({"align_colors": False})
    assert not any(plan.aligned(round) for round in ("source", "selftrain/01", "final", "upper_bound"))


def everything(plan: Plan) -> dict[tuple[str, str], str]:
    """The settings of every job of a plan: (stage, round or other name) → JSON text."""
    pseudolabelled = [*plan.selftrain_rounds, *plan.mixbatch_rounds, *plan.cotrain_rounds(1), *plan.cotrain_rounds(2)]
    final = ["final"] if plan.config.final else []
    trained = ["source", "source_only", "upper_bound", *final, *pseudolabelled]
    cycles = [*plan.selftrain_rounds, *(round[:-2] for round in plan.cotrain_rounds(1))]
    jobs = {
        "render": ["source-0", "target-0", "validation-0"],
        "index": ["source", "target", "target_labelled", "validation"],
        "color": [""],
        "statistics": [""],
        "draw": cycles,
        "infer": [*pseudolabelled, *final],
        "threshold": [*pseudolabelled, *final],
        "select": [*plan.selftrain_rounds, *plan.mixbatch_rounds],
        "exchange": [cycle for cycle in cycles if cycle.startswith("cotrain")],
        "train": trained,
        "evaluate": trained,
        "measure": plan.measured,
        "summarize": ["evaluated", "ablation"],
        "plot": [""],
    }
    return {(stage, name): plan.settings(stage, name) for stage, names in jobs.items() for name in names}


def test_settings_are_what_the_stage_accepts(paper):
    for (stage, _), text in everything(paper).items():
        strict.parse_json(STAGES[stage], text)


def test_settings_are_the_same_text_for_every_plan_of_a_config(paper):
    assert everything(plan_of(PAPER)) == everything(paper)
    keys = list(told(paper, "train", "final"))
    assert keys == sorted(keys)


def test_settings_do_not_depend_on_the_order_of_the_config(paper):
    def reversed_keys(value):
        return {k: reversed_keys(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value

    config = merged(merged(DEMO, PAPER), dotted("data.labelset", "toycity17"))
    assert everything(Plan(reversed_keys(config), WORKFLOW)) == everything(paper)


ALL_TRAIN = {"train selftrain", "train mixbatch", "train cotrain", "train final", "train upper_bound"}
SOURCE_TRAIN = {"train source", "train source_only"}


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("run", "other", set()),
        ("results", "elsewhere", set()),
        ("seed", 2, {"draw selftrain", "draw cotrain", "color"} | ALL_TRAIN | SOURCE_TRAIN),
        ("cotrain.lambda", 0.7, {"exchange cotrain"}),
        ("cotrain.selected", 50, {"exchange cotrain"}),
        ("cotrain.rank_by", "class", {"exchange cotrain"}),
        ("cotrain.min_class_fraction", 0.01, {"exchange cotrain"}),
        ("cotrain.combine_from_cycle", 2, set()),
        ("cotrain.candidates", 400, {"draw cotrain"}),
        ("cotrain.thresholds.portion_start", 0.4, {"threshold cotrain"}),  # final is at the bound already
        ("cotrain.thresholds.confidence_max", 0.8, {"threshold cotrain", "threshold final"}),
        ("selftrain.early_cycle", 2, set()),
        ("selftrain.candidates", 400, {"draw selftrain"}),
        ("selftrain.selected", 50, {"select selftrain", "select mixbatch"}),
        ("selftrain.thresholds.confidence_min", 0.4, {"threshold selftrain", "threshold mixbatch"}),
        ("mix.collage_share", 0.4, {"train selftrain", "train cotrain"}),
        ("mix.target_share", 0.4, ALL_TRAIN),
        ("training.source.steps", 7, SOURCE_TRAIN),
        ("training.cycle.steps", 7, {"train selftrain", "train mixbatch", "train cotrain"}),
        ("training.final.schedule", "constant", {"train final", "train upper_bound"}),
        ("training.optimizer.momentum", 0.8, ALL_TRAIN | SOURCE_TRAIN),
        ("training.class_balance", 0.01, ALL_TRAIN | SOURCE_TRAIN),
        ("model", {"encoder": "resnet18", "weights": None}, SOURCE_TRAIN),
        ("training.optimizer.encoder_factor", 0.1, ALL_TRAIN | SOURCE_TRAIN),
        ("training.cycle.learning_rate", 0.1, {"train selftrain", "train mixbatch", "train cotrain"}),
        ("selftrain.start_from", "previous", set()),
        ("selftrain.fuse", False, set()),
        ("mix.rare_crops", 0.5, {"train selftrain", "train mixbatch", "train cotrain"}),
        ("mix.rare_share", 0.5, set()),  # without rare crops nothing reads it
        ("inference.prior", 0.07, {"statistics"}),
        ("inference.patches.height", 0.3, set()),  # nor this without patches
        ("inference.patches.count", 9, {"infer selftrain", "infer mixbatch", "infer cotrain", "infer final"}),
        ("inference.flip", True, {"infer selftrain", "infer mixbatch", "infer cotrain", "infer final"}),
        ("evaluation.flip", True, {f"evaluate {job.split()[1]}" for job in ALL_TRAIN | SOURCE_TRAIN}),
        ("inference.keep_classes", 2, {"infer selftrain", "infer mixbatch", "infer cotrain", "infer final"}),
        ("final.ensemble", "max", {"infer final"}),
        ("final.labels_from", "2", set()),
        ("inference.shards", 4, set()),  # the same file from more jobs
        ("data.source.limit", 5, {"index source"}),
        ("data.target.limit", 5, {"index target", "index target_labelled"}),
        ("toycity.target", 5, {"render target-0"}),
        ("toycity.seed", 5, {"render source-0", "render target-0", "render validation-0"}),
    ],
)
def test_a_changed_key_changes_the_settings_of_its_own_stage_only(paper, key, value, changed):
    before, after = everything(paper), everything(plan_of(PAPER, dotted(key, value)))
    assert before.keys() == after.keys()
    found = {
        f"{stage} {name.split('/')[0]}".strip() for (stage, name) in before if before[stage, name] != after[stage, name]
    }
    assert found == changed


def test_shards_are_of_inferences_of_the_whole_target_set_alone():
    assert not any(plan_of(PAPER).in_shards(round) for round in (*SELFTRAIN, *COTRAIN, "final"))
    plan = plan_of(PAPER, {"inference": {"shards": 4}, "cotrain": {"candidates": None}})
    assert plan.in_shards("final") and all(map(plan.in_shards, COTRAIN)) and not any(map(plan.in_shards, SELFTRAIN))
    for round in (*SELFTRAIN, *MIXBATCH, *COTRAIN, "final"):
        fits = [bool(re.fullmatch(plan.inferred(in_shards), round)) for in_shards in (False, True)]
        assert fits == ([False, True] if plan.in_shards(round) else [True, False])


def test_settings_of_a_shard_are_those_of_its_round_and_which_it_is():
    plan = plan_of(PAPER, {"inference": {"shards": 12, "patches": {"count": 2}}, "final": {"ensemble": "max"}})
    assert told(plan, "infer", "final/11-of-12") == told(plan, "infer", "final") | {
        "shard": {"number": 11, "count": 12}
    }
    assert round_of("cotrain/05/1/11-of-12") == "cotrain/05/1" and round_of("cotrain/05/1") == "cotrain/05/1"


def test_more_cycles_of_selftraining_leave_the_settings_of_the_others_as_they_are(paper):
    after = everything(plan_of(PAPER, {"selftrain": {"cycles": 12}}))
    before = everything(paper)
    assert {job for job, text in before.items() if after[job] != text} == {
        ("summarize", "evaluated"),
        ("summarize", "ablation"),
        ("plot", ""),
    }


def test_each_cycle_draws_other_images_and_models_1_and_2_train_with_other_seeds(paper):
    seeds = [told(paper, "draw", cycle)["seed"] for cycle in (*SELFTRAIN, *(r[:-2] for r in COTRAIN[::2]))]
    assert len(set(seeds)) == 15
    seeds = [told(paper, "train", round)["seed"] for round in ("source", *SELFTRAIN, *COTRAIN, "final")]
    assert len(set(seeds)) == len(seeds)


# ---- folders ----------------------------------------------------------------------------------------------------


def test_folder_of_photographs_comes_from_the_config_or_the_environment(monkeypatch, tmp_path):
    camvid = {"data": {"labelset": "camvid11", "target": {"dataset": "camvid", "split": "train"}}}
    (tmp_path / "camvid").mkdir()
    assert plan_of(camvid, {"data": {"root": str(tmp_path)}}).data_root("target") == str(tmp_path / "camvid")
    monkeypatch.setenv("COTRAIN_DATA", str(tmp_path))
    assert plan_of(camvid).data_root("target") == str(tmp_path / "camvid")
    monkeypatch.delenv("COTRAIN_DATA")
    with pytest.raises(BadInput, match=r"data\.root: not set.*COTRAIN_DATA"):
        plan_of(camvid).data_root("target")


def test_runs_with_the_same_scenes_share_their_folder():
    one, other, more = plan_of(), plan_of({"run": "other"}), plan_of({"toycity": {"source": 7}})
    assert one.data_root("source") == other.data_root("source") != more.data_root("source")
    assert one.data_root("target") == more.data_root("target") != one.data_root("source")


# ---- configs at fault -------------------------------------------------------------------------------------------


def faults(*changes: dict) -> list[str]:
    with pytest.raises(BadInput) as caught:
        plan_of(*changes)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rnu", "a", "config: rnu: unknown key; did you mean run?"),
        ("cotrain.lamda", 0.5, "config: cotrain.lamda: unknown key; did you mean lambda?"),
        (
            "selftrain.thresholds.portion_strat",
            0.5,
            "config: selftrain.thresholds.portion_strat: unknown key; did you mean portion_start?",
        ),
        ("training.final.step", 5, "config: training.final.step: unknown key; did you mean steps?"),
        ("data.target.spilt", "a", "config: data.target.spilt: unknown key; did you mean split?"),
        ("data.validation.spilt", "a", "config: data.validation.spilt: unknown key; did you mean split?"),
        ("mix.zzz", 1, "config: mix.zzz: unknown key; known here: target_share, collage_share, rare_crops, rare_share"),
    ],
)
def test_misspelt_key_is_named_with_its_place_and_the_key_that_was_meant(key, value, expected):
    assert faults(dotted(key, value)) == [expected]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("cotrain.lambda", 1.5, "config: cotrain.lambda: input should be less than or equal to 1, got 1.5"),
        ("selftrain.cycles", 0, "config: selftrain.cycles: input should be greater than or equal to 1, got 0"),
        ("selftrain.cycles", 100, "config: selftrain.cycles: input should be less than or equal to 99, got 100"),
        ("mix.target_share", -0.1, "config: mix.target_share: input should be greater than or equal to 0, got -0.1"),
        ("training.source.schedule", "sine", 'config: training.source.schedule: .*constant.*, got "sine"'),
        ("training.cycle.steps", "many", 'config: training.cycle.steps: .*, got "many"'),
        ("training.cycle.steps", "8", 'config: training.cycle.steps: .*, got "8"'),
        ("seed", True, "config: seed: .*, got true"),
        ("data.source.size", [8, 96], r"config: data.source.size.0: .*, got 8"),
        ("data.source.size", [96], r"config: data.source.size.1: missing"),
        ("training.augmentation.zoom", [2, 1], "config: training.augmentation.zoom: .*must not exceed.*, got"),
        ("run", "../../etc", "config: run: "),
        ("cotrain", None, "config: cotrain: .*, got null"),
        ("selftrain.thresholds.portion_start", 0.7, "config: selftrain.thresholds: .*portion_start must not exceed"),
        ("cotrain.thresholds.confidence_min", 0.95, "config: cotrain.thresholds: .*confidence_min must not exceed"),
        ("selftrain.early_cycle", 11, "config: selftrain: .*early_cycle must not exceed cycles"),
        ("selftrain.selected", 501, "config: selftrain: .*selected must not exceed candidates"),
        ("training.cycle.steps", float("nan"), "config: training.cycle.steps: "),
        ("cotrain.lambda", float("nan"), "config: cotrain.lambda: "),
        ("training.cycle.epochs", 2, "config: training.cycle: .*give either steps or epochs and set the other to null"),
        ("training.cycle.steps", None, "config: training.cycle: .*give either steps or epochs"),
        ("training.cycle.epochs", "2", 'config: training.cycle.epochs: .*number, got "2"'),
        ("selftrain.thresholds.policy", "cbts", "config: selftrain.thresholds.policy: .*'mpt', 'st', 'cbst'.*, got"),
        ("inference.scales", [], r"config: inference.scales: .*, got \[\]"),
        ("inference.patches.height", 1.5, "config: inference.patches.height: .*, got 1.5"),
        ("inference.prior", 0, "config: inference.prior: .*greater than 0, got 0"),
        ("inference.shards", 0, "config: inference.shards: .*greater than or equal to 1, got 0"),
        ("training.gpus", 0, "config: training.gpus: .*greater than or equal to 1, got 0"),
        ("training.gpus", 9, "config: training: batch must not be less than gpus, or 1 have nothing to do, got"),
    ],
)
def test_value_out_of_range_is_named_with_its_place_and_what_was_found(key, value, expected):
    (line,) = faults(PAPER, dotted(key, value))
    assert re.match(expected, line), line


def test_all_faults_are_reported_at_once():
    lines = faults({"rnu": 1, "cotrain": {"lambda": 2, "cycels": 1}, "mix": {"target_share": "a"}, "seed": None})
    places = [line.split(": ")[1] for line in lines]
    assert sorted(places) == ["cotrain.cycels", "cotrain.lambda", "mix.target_share", "rnu", "seed"]


def test_missing_keys_are_named():
    with pytest.raises(BadInput) as caught:
        Plan({"data": {"source": {}, "target": {"dataset": "toycity"}}}, WORKFLOW)
    lines = str(caught.value).splitlines()
    assert lines == [
        "config: data.labelset: missing; add this key",
        "config: data.source.dataset: missing; add this key",
    ]


def test_unknown_dataset_and_label_set_are_answered_with_those_there_are():
    assert re.search(
        r"nocity\.yaml: no such file; there are: .*camvid.*toycity",
        faults({"data": {"source": {"dataset": "nocity"}}})[0],
    )
    assert re.search(r"ade20k\.yaml: no such file; there are: .*toycity17", faults({"data": {"labelset": "ade20k"}})[0])


def own_dataset(tmp_path, **changes) -> str:
    description = {"name": "own", "images": "{id}.png", "labels": "{id}_label.png", "values": {0: "road"}} | changes
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(description))
    return str(tmp_path / "own.yaml")


def test_dataset_of_ones_own_is_a_file(tmp_path):
    plan = plan_of({"data": {"root": "/d", "source": {"dataset": own_dataset(tmp_path)}}})
    assert told(plan, "index", "source") == {
        "images": "{id}.png",
        "labels": "{id}_label.png",
        "encoding": "ids",
        "list_file": None,
        "aspect": None,
        "mismatched": "refuse",
        "limit": None,
    }
    assert told(plan, "train", "source")["source"]["values"] == {"0": 0}


def test_dataset_without_a_class_of_the_label_set_is_named(tmp_path):
    (line,) = faults({"data": {"source": {"dataset": own_dataset(tmp_path, values={0: "pancreas"})}}})
    assert line.startswith("dataset own: 'pancreas' is no class of label set toycity17; add classes.toycity17")


def test_source_and_validation_need_labels_and_the_target_does_not(tmp_path):
    unlabelled = own_dataset(tmp_path, labels=None)
    for domain in ("source", "validation"):
        (line,) = faults({"data": {domain: {"dataset": unlabelled}}})
        assert line.startswith(f"config: data.{domain}.dataset: own has no labels")
    (line,) = faults({"data": {"target": {"dataset": unlabelled, "truth": True}}})
    assert line.startswith("config: data.target.dataset: own has no labels")
    plan_of({"data": {"target": {"dataset": unlabelled, "truth": False}}})


def test_description_at_fault_is_named_by_its_file(tmp_path):
    (line,) = faults({"data": {"source": {"dataset": own_dataset(tmp_path, imgaes="x")}}})
    assert line == f"{tmp_path / 'own.yaml'}: imgaes: unknown key; did you mean images?"
    (tmp_path / "own.yaml").write_text("a: [")
    assert faults({"data": {"source": {"dataset": str(tmp_path / "own.yaml")}}})[0].startswith(
        f"{tmp_path / 'own.yaml'}: not YAML"
    )


# ---- the project's own configs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((WORKFLOW / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_makes_a_plan(path):
    plan = plan_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    for (stage, _), text in everything(plan).items():
        strict.parse_json(STAGES[stage], text)


def test_config_yaml_has_every_key_there_is():
    def keys(value, prefix=""):
        for key, inner in value.items():
            yield prefix + key
            if isinstance(inner, dict) and key != "options":
                yield from keys(inner, f"{prefix}{key}.")

    complete = plan_of().config.model_dump(by_alias=True)
    assert set(keys(DEMO)) == set(keys(complete)) - {"data.source.truth", "data.validation.truth"}


def test_another_architecture_gets_no_options_of_the_first():
    assert told(plan_of(), "train", "source")["model"]["options"] == DEMO["model"]["options"]["FPN"]
    other = plan_of({"model": {"architecture": "DeepLabV3Plus"}})
    assert told(other, "train", "source")["model"]["options"] == {}


# ---- two architectures ------------------------------------------------------------------------------------------

SEGFORMER = {"architecture": "Segformer", "encoder": "mit_b0", "weights": None}
SELFTRAIN_2 = [f"selftrain_2/{i:02d}" for i in range(1, 11)]


@pytest.fixture(scope="module")
def mixed() -> Plan:
    return plan_of(PAPER, {"model_2": SEGFORMER})


def test_second_architecture_has_a_source_model_and_a_selftraining_of_its_own(mixed):
    assert told(mixed, "train", "source_2")["model"] == SEGFORMER | {"multiple": None, "options": {}}
    assert told(mixed, "train", "source")["model"]["architecture"] == DEMO["model"]["architecture"]
    assert mixed.initial("source_2") == [] and mixed.aligned("source_2")
    for round, before in zip(SELFTRAIN_2, ["source_2", *SELFTRAIN_2], strict=False):
        assert mixed.initial(round) == ["source_2/model.pt"] and mixed.predictors(round) == [f"{before}/model.pt"]
        assert mixed.candidates(round) == f"{round.replace('_2', '')}/candidates.csv"
        assert mixed.fused(round)["pseudolabels"] == f"{round}/pseudolabels.h5"
        assert told(mixed, "train", round)["collage_share"] == DEMO["mix"]["collage_share"]


def test_each_architecture_goes_its_own_way_through_cotraining_and_only_labels_are_exchanged(mixed, paper):
    for cycle in range(1, 6):
        first, second = f"cotrain/{cycle:02d}/1", f"cotrain/{cycle:02d}/2"
        assert mixed.initial(first) == ["selftrain/01/model.pt"]
        assert mixed.initial(second) == ["selftrain_2/10/model.pt"]
        assert mixed.fused(first) == paper.fused(first) and mixed.fused(second) == paper.fused(second)
    assert mixed.predictors("cotrain/01/2") == ["selftrain_2/10/model.pt"]
    assert mixed.initial("final") == mixed.initial("upper_bound") == ["source/model.pt"]


def test_rounds_of_the_second_architecture_are_made_scored_and_measured_and_change_no_others(mixed, paper):
    extra = {"source_2", *SELFTRAIN_2}
    assert mixed.evaluated.keys() - paper.evaluated.keys() == extra
    assert set(mixed.measured) - set(paper.measured) == set(SELFTRAIN_2)
    assert {f.rsplit("/", 1)[0] for f in set(mixed.files) - set(paper.files) if f.endswith("model.pt")} == extra
    assert all(re.fullmatch(ROUND, round) for round in extra)
    assert "self-training, model 2" in [name for name, _ in told(mixed, "plot")["series"]]
    for round in ("source", "source_only", *SELFTRAIN, *COTRAIN, "final", "upper_bound"):
        assert mixed.settings("train", round) == paper.settings("train", round)
    assert set(paper.files) <= set(mixed.files)


# ---- models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"architecture": "Segformr"}, "architecture: no such architecture; did you mean Segformer, or"),
        ({"architecture": "fcn_resnet50"}, "encoder: set it to null, fcn_resnet50 has an encoder of its own"),
        ({"encoder": None}, "encoder: name one for FPN, such as resnet50"),
        ({"encoder": "resnet50"}, "weights: bundled are the weights of tu-tf_efficientnet_lite0 alone"),
        ({"architecture": "DPT", "encoder": "mit_b0", "weights": None}, "encoder: it has to be a vision transformer"),
        (
            {"architecture": "DPT", "encoder": "tu-vit_small_patch14_dinov2", "weights": None},
            "options: patches of 14 pixels do not fit DPT; give {patch_size: 16}",
        ),
        ({"encoder": "tu-resnet18", "weights": "noisy-student"}, "weights: .*named by the encoder: tu-NAME.TAG"),
        (
            {"architecture": "nets:small", "encoder": None, "weights": "imagenet"},
            "weights: a network of your own takes a file or null",
        ),
    ],
)
@pytest.mark.parametrize("key", ["model", "model_2"])
def test_model_that_cannot_be_built_is_named_before_anything_runs(key, model, expected):
    (line,) = faults({key: {"architecture": "FPN"} | model})
    assert re.match(f"config: {key}.{expected}", line), line


@pytest.mark.parametrize("architecture", ["DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet"])
def test_mini_batch_of_one_is_refused_where_batch_norm_sees_one_value_of_an_image(architecture):
    (line,) = faults({"model": {"architecture": architecture}, "training": {"batch": 1}})
    assert line == f"config: training.batch: 1, and BatchNorm in {architecture} needs 2 images; raise it"
    plan_of({"model": {"architecture": "Unet"}, "training": {"batch": 1}})


def test_code_of_ones_own_is_looked_for_and_trusted_by_every_stage_that_loads_models(tmp_path, monkeypatch):
    own = {"model_2": {"architecture": "streetnets.small:net", "encoder": None, "weights": None}}
    (line,) = faults(own)
    assert line.startswith("config: model_2.architecture: no module streetnets.small; put it into the current folder")
    (tmp_path / "streetnets").mkdir()
    (tmp_path / "streetnets" / "small.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    plan = plan_of(own)
    for stage, name in (("infer", "final"), ("evaluate", "source"), ("train", "final"), ("train", "upper_bound")):
        assert told(plan, stage, name)["trust"] == ["streetnets.small:net"]
    assert "trust" not in told(plan_of(), "infer", "final") and "trust" not in told(plan, "train", "source_2")


def test_paper_schedule_preset_is_table_1():
    plan = plan_of(yaml.safe_load((WORKFLOW / "presets" / "paper_schedule.yaml").read_text(encoding="utf-8")))
    config = plan.config
    assert (config.selftrain.cycles, config.selftrain.early_cycle, config.cotrain.cycles) == (10, 1, 5)  # K_M, K_m, K
    for stage in (config.selftrain, config.cotrain):
        t = stage.thresholds
        assert (stage.candidates, stage.selected) == (500, 100)  # N, n
        assert (t.portion_start, t.portion_step, t.portion_max) == (0.5, 0.05, 0.6)  # p_m, Δp, p_M
        assert (t.confidence_min, t.confidence_max) == (0.5, 0.9)  # C_m, C_M
    assert (config.training.batch, config.mix.target_share, config.mix.collage_share) == (4, 0.75, 0.5)
    assert (config.final.labels_from, config.cotrain.balance) == ("1", 0.8)  # w, λ
    assert [getattr(config.training, name).steps for name in ("source", "cycle", "final")] == [60000, 8000, 60000]
    courses = [getattr(config.training, name) for name in ("source", "cycle", "final")]
    assert {course.learning_rate for course in courses} == {0.002} and config.training.optimizer.name == "sgd"
    assert [course.schedule for course in courses] == ["step", "constant", "step"]


METHODS = ("st", "cbst", "cbst_sp", "cbst_sp_mst", "sisc")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("below", ["toycity_to_camvid", "paper_schedule", None])
def test_presets_of_zou_2018_are_its_schedule_on_top_of_any_other(name, below):
    """Sect. 4.3, 5 and Appendix A."""
    files = [WORKFLOW / "presets" / f"{n}.yaml" for n in (below, name) if n]
    plan = plan_of(*(yaml.safe_load(path.read_text(encoding="utf-8")) for path in files))
    assert plan.selftrain_rounds == ["selftrain/01", "selftrain/02", "selftrain/03"]
    portions = [told(plan, "threshold", round)["portion"] for round in plan.selftrain_rounds]
    assert portions == pytest.approx([0.2, 0.25, 0.3]) and plan.config.selftrain.thresholds.portion_max == 0.5
    assert {told(plan, "threshold", r)["policy"] for r in plan.selftrain_rounds} == {"st" if name == "st" else "cbst"}
    assert plan.initial("selftrain/02") == ["selftrain/01/model.pt"] and "previous" not in plan.fused("selftrain/02")
    assert told(plan, "draw", "selftrain/02")["count"] is told(plan, "select", "selftrain/02")["count"] is None
    train = told(plan, "train", "selftrain/03")
    assert (train["course"]["epochs"], train["course"]["steps"], train["rare_share"]) == (2, None, 0.001)
    assert "collage_share" not in train and not any(f.startswith(("cotrain", "final")) for f in plan.files)

    infer, evaluate = told(plan, "infer", "selftrain/01"), told(plan, "evaluate", "selftrain/03")
    assert infer.get("patches", {}).get("count") == (50 if name == "sisc" else None)
    assert ("figures/prior.png" in plan.files) == ("_sp" in name)
    assert infer["scales"] == [1.0] and evaluate["scales"] == ([0.5, 0.75, 1.0] if "mst" in name else [1.0])
    assert infer["keep_classes"] == (1 if name == "st" else 7 if "_sp" in name else 3)


def test_cotraining_can_use_any_policy_and_patches():
    plan = plan_of({"cotrain": {"thresholds": {"policy": "cbst"}}, "inference": {"patches": {"count": 5}}})
    assert told(plan_of({"inference": {"keep_classes": 40}}), "infer", "final")["keep_classes"] == 17  # all there are
    assert told(plan, "threshold", "cotrain/01/2")["policy"] == told(plan, "threshold", "final")["policy"] == "cbst"
    assert told(plan, "threshold", "selftrain/01")["policy"] == "mpt"
    assert told(plan, "infer", "cotrain/01/2")["patches"]["count"] == 5
