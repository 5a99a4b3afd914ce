"""The unrolled procedure: what each round reads, starts from and is told; and what a faulty config is answered."""

import copy
import itertools
import json
import re

import pytest
import yaml
from conftest import PROJECT
from reruns_table import edits, furnish, nested, tiny_config

from cotrain.base.errors import BadInput
from cotrain.procedure import cotrain, scores, selftrain
from cotrain.procedure.plan import Plan
from cotrain.procedure.rounds import ROUND, round_of
from cotrain.settings import strict
from cotrain.settings.stages import STAGES

WORKFLOW = PROJECT / "workflow"
EDITS = edits()
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


# ---- what the jobs of a plan say of its rounds -------------------------------------------------------------------


def evaluated(plan: Plan) -> dict[str, str]:
    """Round → name in tables."""
    return {r.path: r.title for r in scores.evaluated(plan.config)}


def ablation(plan: Plan) -> dict[str, str]:
    return {r.path: title for r, title in scores.ablation(plan.config).items()}


def measured(plan: Plan) -> list[str]:
    return [r.path for r in scores.measured(plan.config)]


def pictured(plan: Plan) -> list[str]:
    return [r.path for r in scores.pictured(plan.config)]


def selftrain_rounds(plan: Plan) -> list[str]:
    return [r.path for r in selftrain.rounds(plan.config)]


def mixbatch_rounds(plan: Plan) -> list[str]:
    return [r.path for r in selftrain.mixbatch_rounds(plan.config)]


def predictors(plan: Plan, round: str) -> list[str]:
    """Models that label a round's candidates."""
    return list(plan.maker(f"{round}/predictions.h5").inputs["models"])


def candidates(plan: Plan, round: str) -> str:
    (table,) = plan.maker(f"{round}/predictions.h5").inputs["images"]
    return table


def initial(plan: Plan, round: str) -> list[str]:
    """Model that a round's training starts from."""
    return list(plan.maker(f"{round}/model.pt").inputs["initial"])


def labels(plan: Plan, round: str) -> str:
    """Pseudo-labels that a round trains on."""
    (file,) = plan.maker(f"{round}/model.pt").inputs["labels"]
    return file


def thresholds(plan: Plan, round: str) -> list[str]:
    return list(plan.maker(f"{round}/model.pt").inputs["thresholds"])


def aligned(plan: Plan, round: str) -> bool:
    return plan.maker(f"{round}/model.pt").inputs["color"] == ("data/color.csv",)


def fused(plan: Plan, round: str) -> dict[str, str]:
    """Inputs of a fusion of one model's labels, by role."""
    inputs = plan.maker(f"{round}/labels.h5").inputs
    return {role: file for role, files in inputs.items() for file in files}


def exchanged(plan: Plan, cycle: str) -> dict[str, list[str]]:
    inputs = plan.maker(f"{cycle}/1/selected.csv").inputs
    return {role: list(files) for role, files in inputs.items()}


@pytest.fixture(scope="module")
def paper() -> Plan:
    return plan_of(PAPER)


# ---- rounds -----------------------------------------------------------------------------------------------------


def test_paper_has_ten_cycles_of_selftraining_and_five_of_cotraining(paper):
    assert selftrain_rounds(paper) == SELFTRAIN and mixbatch_rounds(paper) == MIXBATCH
    assert [r.path for members in cotrain.cycles(paper.config) for r in members] == COTRAIN
    pair = "cotrain/05/both"
    assert list(evaluated(paper)) == ["source_only", "source", *SELFTRAIN, *COTRAIN, pair, "final", "upper_bound"]
    assert measured(paper) == [*SELFTRAIN, *COTRAIN, "final"]
    assert list(ablation(paper)) == ["source_only", "source", "mixbatch/10", "selftrain/10", "final", "upper_bound"]


def test_every_round_fits_the_rules_pattern(paper):
    rounds = ["source", "source_only", "upper_bound", "final", *SELFTRAIN, *MIXBATCH, *COTRAIN]
    assert all(re.fullmatch(ROUND, round) for round in rounds)
    for other in ("selftrain/1", "cotrain/01", "cotrain/01/x", "final/model", "evaluation", "source_only/x"):
        assert not re.fullmatch(ROUND, other)


def test_names_in_tables_are_distinct(paper):
    assert len(set(evaluated(paper).values())) == len(evaluated(paper))


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
    assert plan_of({"training": training}).training_cores("source", cores) == expected


def test_the_last_training_may_have_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("COTRAIN_GPUS", "0")
    for final, expected in (({"threads": 3}, 3), ({"threads": 1}, 2), (None, 2)):
        plan = plan_of({"training": {"threads": 2}, "final": final})
        assert plan.training_cores("source", 8) == 2
        assert json.loads(plan.settings("train", "selftrain/01"))["threads"] == 2
        if final:
            assert plan.training_cores("final", 8) == json.loads(plan.settings("train", "final"))["threads"] == expected
        else:
            assert "final" not in plan.rounds


def test_without_colour_alignment_or_truth_their_rounds_are_not_scored():
    plan = plan_of({"align_colors": False, "data": {"target": {"truth": False}}})
    assert "source" not in evaluated(plan) and "upper_bound" not in evaluated(plan)
    assert "upper_bound" not in ablation(plan)


# ---- models -----------------------------------------------------------------------------------------------------


def test_each_cycle_predicts_with_the_model_of_the_cycle_before(paper):
    expected = {"selftrain/01": "source"}
    expected |= {"cotrain/01/1": "selftrain/01", "cotrain/01/2": "selftrain/10"}  # W_{K_m}, W_{K_M}
    for rounds in (SELFTRAIN, MIXBATCH, COTRAIN[::2], COTRAIN[1::2]):
        expected |= {round: before for before, round in itertools.pairwise(rounds)}
    for round, before in expected.items():
        assert predictors(paper, round) == [f"{before}/model.pt"], round


def test_each_cycle_trains_from_w0_and_never_from_the_cycle_before(paper):
    for round in (*SELFTRAIN, *MIXBATCH, "final", "upper_bound"):
        assert initial(paper, round) == ["source/model.pt"], round
    for round in COTRAIN:
        start = "selftrain/01" if round.endswith("1") else "selftrain/10"
        assert initial(paper, round) == [f"{start}/model.pt"], round
    assert initial(paper, "source") == initial(paper, "source_only") == []


def test_selftraining_can_go_on_from_the_model_of_the_cycle_before():
    plan = plan_of(PAPER, {"selftrain": {"start_from": "previous"}})
    for rounds in (SELFTRAIN, MIXBATCH):
        assert initial(plan, rounds[0]) == ["source/model.pt"]
        for before, round in itertools.pairwise(rounds):
            assert initial(plan, round) == [f"{before}/model.pt"] == predictors(plan, round)
    assert initial(plan, "cotrain/03/1") == ["selftrain/01/model.pt"]
    assert initial(plan, "final") == initial(plan, "upper_bound") == ["source/model.pt"]


def test_cotraining_starts_from_the_early_and_the_last_cycle_of_selftraining():
    plan = plan_of(PAPER, {"selftrain": {"cycles": 7, "early_cycle": 3}})
    for cycle in range(1, 6):
        assert initial(plan, f"cotrain/{cycle:02d}/1") == ["selftrain/03/model.pt"]
        assert initial(plan, f"cotrain/{cycle:02d}/2") == ["selftrain/07/model.pt"]


@pytest.mark.parametrize(("who", "models"), [("1", ["1"]), ("2", ["2"]), ("ensemble", ["1", "2"])])
def test_final_labels_come_from_w(who, models):
    plan = plan_of(PAPER, {"final": {"labels_from": who}})
    assert predictors(plan, "final") == [f"cotrain/05/{m}/model.pt" for m in models]


def test_without_the_cotraining_loop_final_labels_come_from_selftraining():
    plan = plan_of(PAPER, {"cotrain": {"cycles": 0}, "final": {"labels_from": "ensemble"}})
    assert predictors(plan, "final") == ["selftrain/01/model.pt", "selftrain/10/model.pt"]
    assert measured(plan) == [*SELFTRAIN, "final"]
    assert not any("cotrain" in round for round in (*evaluated(plan), *pictured(plan)))


def test_without_the_last_training_nothing_asks_for_it():
    plan = plan_of(PAPER, {"final": None})
    assert list(evaluated(plan)) == ["source_only", "source", *SELFTRAIN, *COTRAIN, "cotrain/05/both", "upper_bound"]
    assert not any("final" in name for name in (*plan.files, *measured(plan), *pictured(plan), *ablation(plan)))
    assert "last training" not in told(plan, "plot")["columns"]
    assert [name for name, _ in told(plan, "plot")["series"]] == [
        "self-training", "co-training, model 1", "co-training, model 2",
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"final: null, and this target needs the last training"):
        plan.maker("final/predictions.h5")


# ---- images and pseudo-labels -----------------------------------------------------------------------------------


def test_both_models_of_a_cycle_are_run_on_the_same_candidates(paper):
    for round in COTRAIN:
        assert candidates(paper, round) == f"{round[:-2]}/candidates.csv"
    for round in SELFTRAIN:
        assert candidates(paper, round) == f"{round}/candidates.csv"
    for round, same in zip(MIXBATCH[1:], SELFTRAIN[1:], strict=True):
        assert candidates(paper, round) == f"{same}/candidates.csv"
    assert candidates(paper, "final") == "data/target.csv"  # all of X^u


def test_each_model_receives_the_other_models_pseudolabels(paper):
    for cycle in range(1, 6):
        for model, other in ((1, 2), (2, 1)):
            inputs = fused(paper, f"cotrain/{cycle:02d}/{model}")
            assert inputs["pseudolabels"] == f"cotrain/{cycle:02d}/{other}/combined.h5"
            assert inputs["selected"] == f"cotrain/{cycle:02d}/{model}/selected.csv"


def test_fusion_starts_from_the_empty_set_in_the_first_cycle_of_each_phase(paper):
    for round in ("selftrain/01", "cotrain/01/1", "cotrain/01/2"):
        assert "previous" not in fused(paper, round)
    for rounds in (SELFTRAIN, COTRAIN[::2], COTRAIN[1::2]):
        for before, round in itertools.pairwise(rounds):
            assert fused(paper, round)["previous"] == f"{before}/labels.h5"
    assert fused(paper, "selftrain/04")["pseudolabels"] == "selftrain/04/pseudolabels.h5"


def test_cycles_without_fusion_train_on_their_own_labels_alone():
    plan = plan_of(PAPER, {"selftrain": {"fuse": False}})
    assert all("previous" not in fused(plan, round) for round in (*SELFTRAIN, *MIXBATCH[1:]))
    assert fused(plan, "cotrain/02/1")["previous"] == "cotrain/01/1/labels.h5"


def test_exchange_reads_model_1_then_model_2(paper):
    assert exchanged(paper, "cotrain/03") == {
        "pseudolabels": ["cotrain/03/1/combined.h5", "cotrain/03/2/combined.h5"],
        "thresholds": ["cotrain/03/1/thresholds.csv", "cotrain/03/2/thresholds.csv"],
    }


def test_before_combination_starts_plain_pseudolabels_are_exchanged():
    plan = plan_of(PAPER, {"cotrain": {"combine_from_cycle": 3}})
    for cycle, name in ((1, "pseudolabels"), (2, "pseudolabels"), (3, "combined"), (5, "combined")):
        files = [f"cotrain/{cycle:02d}/{m}/{name}.h5" for m in (1, 2)]
        assert exchanged(plan, f"cotrain/{cycle:02d}")["pseudolabels"] == files
        assert [fused(plan, f"cotrain/{cycle:02d}/{m}")["pseudolabels"] for m in (2, 1)] == files


def test_each_round_trains_on_its_own_labels_and_thresholds(paper):
    for round in (*SELFTRAIN, *COTRAIN):
        assert labels(paper, round) == f"{round}/labels.h5"
        assert thresholds(paper, round) == [f"{round}/thresholds.csv"]
    assert labels(paper, "final") == "final/pseudolabels.h5" and thresholds(paper, "final") == []


def test_mixbatch_shares_the_labels_of_the_first_cycle_and_has_no_collage(paper):
    assert labels(paper, "mixbatch/01") == "selftrain/01/labels.h5"
    assert fused(paper, "mixbatch/02")["previous"] == "selftrain/01/labels.h5"
    assert labels(paper, "mixbatch/02") == "mixbatch/02/labels.h5"
    assert fused(paper, "mixbatch/03")["previous"] == "mixbatch/02/labels.h5"
    assert all(thresholds(paper, round) == [] for round in MIXBATCH)


def test_rare_crops_need_thresholds_in_every_cycle_and_the_collage_only_where_it_is():
    rounds = (*SELFTRAIN, *COTRAIN)
    rare = {"rare_crops": 0.5, "rare_share": 0.002}
    plan = plan_of(PAPER, {"mix": rare})
    assert thresholds(plan, "mixbatch/01") == ["selftrain/01/thresholds.csv"]
    assert all(rare.items() <= told(plan, "train", round).items() for round in MIXBATCH)
    plan = plan_of(PAPER, {"mix": rare | {"collage_share": None}})
    assert thresholds(plan, "final") == thresholds(plan, "upper_bound") == []
    for round in rounds:
        assert len(thresholds(plan, round)) == 1
        found = told(plan, "train", round)
        assert rare.items() <= found.items() and "collage_share" not in found
    plain = plan_of(PAPER, {"mix": {"collage_share": None}})
    assert not any(thresholds(plain, round) or "rare_crops" in told(plain, "train", round) for round in rounds)
    assert list(ablation(plain)) == ["source_only", "source", "selftrain/10", "final", "upper_bound"]


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
        told_portions = {job.name: job.settings["portion"] for job in paper.jobs if job.stage == "threshold"}
        found = [told_portions.get(round, 0.5) for round in rounds]  # mixbatch/01 has the labels of selftrain/01
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
    assert thresholds(with_collage, "final") == ["final/thresholds.csv"]
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
    assert not aligned(plan, "source_only")
    assert all(aligned(plan, round) for round in ("source", "selftrain/01", "cotrain/01/2", "final", "upper_bound"))
    plan = plan_of({"align_colors": False})
    assert not any(aligned(plan, round) for round in ("source", "selftrain/01", "final", "upper_bound"))


def everything(plan: Plan) -> dict[tuple[str, str], str]:
    """The settings of every job of a plan: (stage, round or other name) → JSON text."""
    jobs = [job for job in plan.jobs if job.rule != "infer_shard"]
    return {(job.stage, re.sub("-.*", "-0", job.name)): job.settings_json for job in jobs}


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
        ("run", "other", {"report"}),
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
    assert before.keys() - {("combine", "cotrain/01")} <= after.keys() <= before.keys()
    found = {
        f"{stage} {name.split('/')[0]}".strip() for (stage, name) in after if before[stage, name] != after[stage, name]
    }
    assert found == changed


def test_shards_are_of_inferences_of_the_whole_target_set_alone():
    def shared(plan: Plan) -> set[str]:
        return {job.name for job in plan.jobs if job.rule == "merge"}

    assert shared(plan_of(PAPER)) == set()
    plan = plan_of(PAPER, {"inference": {"shards": 4}, "cotrain": {"candidates": None}})
    assert shared(plan) == {*COTRAIN, "final"}
    for round in (*SELFTRAIN, *MIXBATCH[1:], *COTRAIN, "final"):
        fits = [bool(re.fullmatch(plan.rounds_made_by(rule), round)) for rule in ("infer", "merge")]
        assert fits == ([False, True] if round in shared(plan) else [True, False])
        (predictions,) = plan.job("infer", round).outputs
        parts = [job.outputs[0] for job in plan.jobs if job.rule == "infer_shard" and job.round.path == round]
        assert list(plan.maker(predictions).shards) == parts and len(parts) == 4 * fits[1]


def test_settings_of_a_shard_are_those_of_its_round_and_which_it_is():
    plan = plan_of(PAPER, {"inference": {"shards": 12, "patches": {"count": 2}}, "final": {"ensemble": "max"}})
    assert told(plan, "infer", "final/11-of-12") == told(plan, "infer", "final") | {
        "shard": {"number": 11, "count": 12}
    }
    assert round_of("cotrain/05/1/11-of-12") == "cotrain/05/1" and round_of("cotrain/05/1") == "cotrain/05/1"


def test_more_cycles_of_selftraining_leave_the_settings_of_the_others_as_they_are(paper):
    after = everything(plan_of(PAPER, {"selftrain": {"cycles": 12}}))
    before = everything(paper)
    last = ("evaluate", "mixbatch/10")  # only the last cycle is a row of the ablation
    assert {job for job, text in before.items() if job != last and after[job] != text} == {
        ("summarize", "evaluated"),
        ("summarize", "ablation"),
        ("plot", ""),
        ("report", ""),
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
    assert plan_of(camvid, {"data": {"root": str(tmp_path)}}).domains.data_root("target") == str(tmp_path / "camvid")
    monkeypatch.setenv("COTRAIN_DATA", str(tmp_path))
    assert plan_of(camvid).domains.data_root("target") == str(tmp_path / "camvid")
    monkeypatch.delenv("COTRAIN_DATA")
    with pytest.raises(BadInput, match=r"data\.root: not set.*COTRAIN_DATA"):
        plan_of(camvid).domains.data_root("target")


def test_runs_with_the_same_scenes_share_their_folder():
    one, other, more = plan_of(), plan_of({"run": "other"}), plan_of({"toycity": {"source": 7}})
    assert one.domains.data_root("source") == other.domains.data_root("source") != more.domains.data_root("source")
    assert one.domains.data_root("target") == more.domains.data_root("target") != one.domains.data_root("source")


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


def taught_by(*models: dict | None) -> dict:
    """A config whose main model starts early, and these (null: the main one) from the last cycle."""
    members = [{"start": "early"}, *({"start": "last", "model": model} for model in models)]
    return {"cotrain": {"members": members}}


SELFTRAIN_2 = [f"selftrain_2/{i:02d}" for i in range(1, 11)]


@pytest.fixture(scope="module")
def mixed() -> Plan:
    return plan_of(PAPER, taught_by(SEGFORMER))


def test_second_architecture_has_a_source_model_and_a_selftraining_of_its_own(mixed):
    assert told(mixed, "train", "source_2")["model"] == SEGFORMER | {"multiple": None, "options": {}}
    assert told(mixed, "train", "source")["model"]["architecture"] == DEMO["model"]["architecture"]
    assert initial(mixed, "source_2") == [] and aligned(mixed, "source_2")
    for round, before in zip(SELFTRAIN_2, ["source_2", *SELFTRAIN_2], strict=False):
        assert initial(mixed, round) == ["source_2/model.pt"] and predictors(mixed, round) == [f"{before}/model.pt"]
        assert candidates(mixed, round) == f"{round.replace('_2', '')}/candidates.csv"
        assert fused(mixed, round)["pseudolabels"] == f"{round}/pseudolabels.h5"
        assert told(mixed, "train", round)["collage_share"] == DEMO["mix"]["collage_share"]


def test_each_architecture_goes_its_own_way_through_cotraining_and_only_labels_are_exchanged(mixed, paper):
    for cycle in range(1, 6):
        first, second = f"cotrain/{cycle:02d}/1", f"cotrain/{cycle:02d}/2"
        assert initial(mixed, first) == ["selftrain/01/model.pt"]
        assert initial(mixed, second) == ["selftrain_2/10/model.pt"]
        assert fused(mixed, first) == fused(paper, first) and fused(mixed, second) == fused(paper, second)
    assert predictors(mixed, "cotrain/01/2") == ["selftrain_2/10/model.pt"]
    assert initial(mixed, "final") == initial(mixed, "upper_bound") == ["source/model.pt"]


def test_rounds_of_the_second_architecture_are_made_scored_and_measured_and_change_no_others(mixed, paper):
    extra = {"source_2", *SELFTRAIN_2}
    assert evaluated(mixed).keys() - evaluated(paper).keys() == extra
    assert set(measured(mixed)) - set(measured(paper)) == set(SELFTRAIN_2)
    assert {f.rsplit("/", 1)[0] for f in set(mixed.files) - set(paper.files) if f.endswith("model.pt")} == extra
    assert all(re.fullmatch(ROUND, round) for round in extra)
    assert "self-training, model 2" in [name for name, _ in told(mixed, "plot")["series"]]
    for round in ("source", "source_only", *SELFTRAIN, *COTRAIN, "final", "upper_bound"):
        assert mixed.settings("train", round) == paper.settings("train", round)
    assert set(paper.files) <= set(mixed.files)


def test_the_key_of_earlier_versions_is_answered_with_what_to_write_now():
    (line,) = faults({"model_2": SEGFORMER})
    assert line == (
        "config: model_2: now a member of co-training; write instead cotrain: {members: [{start: early}, {start: last, "
        'model: {"architecture": "Segformer", "encoder": "mit_b0", "weights": null}}]}'
    )
    assert faults({"model_2": None}) == ["config: model_2: no longer a key; delete the line"]


# ---- three members ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three() -> Plan:
    return plan_of(PAPER, taught_by(SEGFORMER, {"architecture": "Unet"}), {"final": {"labels_from": "ensemble"}})


def test_each_member_of_another_architecture_trains_itself_first(three):
    assert list(three.config.models) == [1, 2, 3]
    for number, architecture in ((2, "Segformer"), (3, "Unet")):
        assert told(three, "train", f"source_{number}")["model"]["architecture"] == architecture
        assert initial(three, f"cotrain/04/{number}") == [f"selftrain_{number}/10/model.pt"]
        assert predictors(three, f"cotrain/01/{number}") == [f"selftrain_{number}/10/model.pt"]
        assert candidates(three, f"selftrain_{number}/03") == "selftrain/03/candidates.csv"


def test_three_members_combine_exchange_and_fuse_with_all_others(three):
    combined = [f"cotrain/02/{m}/combined.h5" for m in (1, 2, 3)]
    assert (
        list(three.job("combine", "cotrain/02").outputs) == exchanged(three, "cotrain/02")["pseudolabels"] == combined
    )
    assert list(three.job("exchange", "cotrain/02").outputs) == [f"cotrain/02/{m}/selected.csv" for m in (1, 2, 3)]
    for member in (1, 2, 3):
        assert list(three.job("fuse", f"cotrain/02/{member}").inputs["pseudolabels"]) == combined
    assert predictors(three, "final") == [f"cotrain/05/{m}/model.pt" for m in (1, 2, 3)]
    assert list(three.maker("evaluation/cotrain/05/all.json").inputs["models"]) == predictors(three, "final")
    assert evaluated(three)["cotrain/05/all"] == "co-training 5, all models"


def test_members_may_share_an_architecture_and_start_from_any_cycle():
    members = [{"start": 3}, {"start": "last", "model": SEGFORMER}, {"start": 7, "model": SEGFORMER}]
    plan = plan_of(PAPER, {"cotrain": {"members": members}})
    assert list(plan.config.models) == [1, 2]
    starts = [initial(plan, f"cotrain/01/{m}") for m in (1, 2, 3)]
    assert starts == [[f"{round}/model.pt"] for round in ("selftrain/03", "selftrain_2/10", "selftrain_2/07")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cotrain": {"members": [{"start": "early"}]}}, r"config: cotrain\.members: .*at least 2"),
        (
            {"cotrain": {"members": [{}, {"start": 11}]}},
            r"config: cotrain\.members\.1\.start: 11, and self-training has 10 cycles",
        ),
        ({"final": {"labels_from": 3}}, r"config: final\.labels_from: 3, and cotrain\.members lists 2"),
        ({"final": {"labels_from": "both"}}, "config: final.labels_from: .*pattern"),
    ],
)
def test_members_that_do_not_fit_the_config_are_named(changes, expected):
    (line,) = faults(PAPER, changes)
    assert re.match(expected, line), line


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
@pytest.mark.parametrize("key", ["model", "cotrain.members.1.model"])
def test_model_that_cannot_be_built_is_named_before_anything_runs(key, model, expected):
    model = {"architecture": "FPN"} | model
    (line,) = faults({"model": model} if key == "model" else taught_by(model))
    assert re.match(f"config: {key}.{expected}", line), line


@pytest.mark.parametrize("architecture", ["DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet"])
def test_mini_batch_of_one_is_refused_where_batch_norm_sees_one_value_of_an_image(architecture):
    (line,) = faults({"model": {"architecture": architecture}, "training": {"batch": 1}})
    assert line == f"config: training.batch: 1, and BatchNorm in {architecture} needs 2 images; raise it"
    plan_of({"model": {"architecture": "Unet"}, "training": {"batch": 1}})


def test_code_of_ones_own_is_looked_for_and_trusted_by_every_stage_that_loads_models(tmp_path, monkeypatch):
    own = taught_by({"architecture": "streetnets.small:net", "encoder": None, "weights": None})
    (line,) = faults(own)
    assert line.startswith(
        "config: cotrain.members.1.model.architecture: no module streetnets.small; put it into the current folder"
    )
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
    assert (config.final.labels_from, config.cotrain.lambda_) == ("1", 0.8)  # w, λ
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
    assert selftrain_rounds(plan) == ["selftrain/01", "selftrain/02", "selftrain/03"]
    portions = [told(plan, "threshold", round)["portion"] for round in selftrain_rounds(plan)]
    assert portions == pytest.approx([0.2, 0.25, 0.3]) and plan.config.selftrain.thresholds.portion_max == 0.5
    assert {told(plan, "threshold", r)["policy"] for r in selftrain_rounds(plan)} == {"st" if name == "st" else "cbst"}
    assert initial(plan, "selftrain/02") == ["selftrain/01/model.pt"] and "previous" not in fused(plan, "selftrain/02")
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


# ---- declared keys ----------------------------------------------------------------------------------------------


def told_of(plan: Plan) -> dict[tuple[str, str], tuple]:
    """Settings and inputs of each job. How many shards make a file does not count."""
    return {(job.stage, job.name): (job.settings_json, job.inputs_of_ticket) for job in plan.jobs}


@pytest.mark.parametrize("edit", EDITS.values(), ids=[f"{key}: {edit}" for key, edit in EDITS])
def test_each_job_declares_the_keys_that_its_settings_and_files_follow_from(edit, tmp_path, monkeypatch):
    """Every key of the config is edited. Messages and sharing between runs go by the declared keys."""
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = Plan(tiny_config(), WORKFLOW)
    after = Plan(merged(tiny_config(), nested(edit)), WORKFLOW)
    then, now = told_of(before), told_of(after)
    for name in then.keys() & now.keys():
        if then[name] != now[name]:
            assert before.keys_of(before.job(*name)) != after.keys_of(after.job(*name)), (name, edit)
