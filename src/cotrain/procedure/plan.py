"""From a config to the unrolled procedure: rounds, the files each stage reads, and the settings it gets.

A round is a path below the run's folder: `source`, `selftrain/03`, `cotrain/02/1`, `final`, … Everything that Snakemake
asks about cycles is answered here; the rules hold no logic. No arithmetic on data, no heavy imports.
"""

import json
import os
import re
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import get_args

from pydantic import BaseModel

from cotrain.base.errors import BadInput
from cotrain.base.gpus import gpus
from cotrain.base.seeds import seed_of
from cotrain.data.descriptions import Part, label_values, layout, load_datasets, load_labelset, missing_classes, parts
from cotrain.method.sampling import portion
from cotrain.settings import architectures
from cotrain.settings.config import Config, Domain, NamedModel
from cotrain.settings.datasets import Dataset
from cotrain.settings.labelset import LabelSet
from cotrain.settings.strict import parse
from cotrain.settings.training import workers_of

SOURCE, SOURCE_ONLY, UPPER_BOUND, FINAL = "source", "source_only", "upper_bound", "final"
SELFTRAIN, MIXBATCH, COTRAIN = "selftrain", "mixbatch", "cotrain"
SOURCE_2, SELFTRAIN_2 = "source_2", "selftrain_2"  # of model_2, if it is another architecture
ROUND = r"(selftrain|selftrain_2|mixbatch)/\d\d|cotrain/\d\d/([12]|both)|final|source|source_2|source_only|upper_bound"
SHARD = r"(\d+)-of-(\d+)"  # of a round's inference, ROUND/2-of-4; named as Snakemake names what it scatters

# What a job of a stage reads, beside its settings, is answered by these.
STRUCTURE = {
    "index": ("data_root",),
    "infer": ("predictors", "candidates", "prior"),
    "train": ("initial", "labels", "thresholds", "aligned"),
    "fuse": ("fused",),
    "exchange": ("exchanged",),
    "measure": ("labels",),
    "evaluate": ("models",),
    "report": ("reported",),
}


class Plan:
    """All questions of the workflow about one config. Paths are as the rules write them."""

    def __init__(self, config: dict, workflow: Path):
        self.config: Config = parse(Config, config, "config")
        data = self.config.data
        self.labelsets = {data.labelset: load_labelset(workflow, data.labelset)}
        self.domains: dict[str, Domain] = {"source": data.source, "target": data.target}
        if data.validation:
            self.domains["validation"] = data.validation
        self.datasets = load_datasets(workflow, [domain.dataset for domain in self.domains.values()])
        self._check()

    def _check(self) -> None:
        for name in self.domains:
            bare = [part.dataset.name for part in self.parts(name).values() if part.dataset.labels is None]
            if bare and (name != "target" or self.config.data.target.truth):
                raise BadInput(f"config: data.{name}.dataset: {bare[0]} has no labels; choose a labelled dataset")
            if not bare:
                self._labels(name)
        self._check_model("model", self.config.model)
        if self.config.model_2:
            self._check_model("model_2", self.config.model_2)

    def _check_model(self, key: str, model: NamedModel) -> None:
        name, batch = model.architecture, self.config.training.batch
        if batch < (least := architectures.needs(name).batch):
            raise BadInput(f"config: training.batch: {batch}, and BatchNorm in {name} needs {least} images; raise it")
        if architectures.library(name) == architectures.OWN and architectures.source_file(name) is None:
            module, where = name.partition(":")[0], "the current folder or where Python finds packages (PYTHONPATH)"
            raise BadInput(f"config: {key}.architecture: no module {module}; put it into {where}")

    def dataset(self, domain: str) -> Dataset:
        """Description of the dataset of a domain: source, target or validation."""
        return self.datasets[self.domains[domain].dataset]

    def parts(self, domain: str) -> dict[str, Part]:
        """The datasets of a domain by the first folder of their image ids; {"": …} of one that is not joined."""
        return parts(self.dataset(domain), self.datasets)

    @property
    def labelset(self) -> LabelSet:
        return self.labelsets[self.config.data.labelset]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.labelset.classes)

    def gpus(self) -> int:
        """GPUs that a job with a network asks for."""
        wanted = self.config.device
        return int(wanted == "cuda" or (wanted == "auto" and gpus() != []))

    def training_cores(self, cores: int | None = None, round: str | None = None) -> int:
        """Processor cores that a training asks for, so that of a machine's `cores` each of its GPUs has its share."""
        training, threads = self.config.training, self._training_threads(round)
        wanted = threads + workers_of(training.workers, self.gpus() > 0)
        if cores and gpus():  # or GPUs would wait for cores that do little
            wanted = min(wanted, max(threads, cores // len(gpus())))
        return training.gpus * wanted

    def _training_threads(self, round: str | None) -> int:
        """CPU threads per GPU: the last training, beside which no other runs, may have more of them."""
        threads = self.config.training.threads
        if round != FINAL or not self.config.final:  # in this order: others would follow from `final` by reading it
            return threads
        return max(threads, self.config.final.threads)

    # ---- rounds -------------------------------------------------------------------------------------------------

    @cached_property
    def selftrain_rounds(self) -> list[str]:
        return [f"{SELFTRAIN}/{i:02d}" for i in range(1, self.config.selftrain.cycles + 1)]

    @cached_property
    def selftrain_2_rounds(self) -> list[str]:
        """Self-training of model 2, if it is another architecture."""
        return [r.replace(SELFTRAIN, SELFTRAIN_2) for r in self.selftrain_rounds] if self.config.model_2 else []

    @cached_property
    def mixbatch_rounds(self) -> list[str]:
        """Self-training without the collage, for the ablation."""
        return [r.replace(SELFTRAIN, MIXBATCH) for r in self.selftrain_rounds]

    def cotrain_rounds(self, model: int) -> list[str]:
        return [f"{COTRAIN}/{i:02d}/{model}" for i in range(1, self.config.cotrain.cycles + 1)]

    @property
    def evaluated(self) -> dict[str, str]:
        """Round → name in tables, in the order of the procedure."""
        names = {SOURCE_ONLY: "source only"}
        if self.config.align_colors:
            names[SOURCE] = "source + LAB"
        names |= {r: f"self-training {_cycle(r)}" for r in self.selftrain_rounds}
        names |= {SOURCE_2: "source, model 2"} if self.config.model_2 else {}
        names |= {r: f"self-training {_cycle(r)}, model 2" for r in self.selftrain_2_rounds}
        pairs = zip(self.cotrain_rounds(1), self.cotrain_rounds(2), strict=True)
        names |= {r: f"co-training {_cycle(r)}, model {r[-1]}" for pair in pairs for r in pair}
        if cycles := self.config.cotrain.cycles:
            names[self.pair] = f"co-training {cycles}, both models"
        names |= {FINAL: "last training"} if self.config.final else {}
        return names | ({UPPER_BOUND: "upper bound"} if self.config.data.target.truth else {})

    @property
    def ablation(self) -> dict[str, str]:
        """Round → name of the rows of the paper's Table IV; what the config leaves out has no row."""
        config, selftrain = self.config, self.selftrain_rounds[-1]
        names = {SOURCE_ONLY: "source only"} | ({SOURCE: "+ LAB"} if config.align_colors else {})
        if config.mix.collage_share is None:
            names |= {selftrain: "+ MixBatch"}
        else:
            names |= {self.mixbatch_rounds[-1]: "+ MixBatch", selftrain: "+ ClassMix"}
        names |= {FINAL: "+ co-training"} if config.final else {}
        return names | ({UPPER_BOUND: "upper bound"} if self.config.data.target.truth else {})

    @property
    def pair(self) -> str:
        """The two models of the last co-training cycle as one, the mean of their softmaxes; a round without a model."""
        return f"{COTRAIN}/{self.config.cotrain.cycles:02d}/both"

    def models(self, round: str) -> list[str]:
        """Model files that a round's scores are of."""
        rounds = [self.cotrain_rounds(m)[-1] for m in (1, 2)] if round.endswith("/both") else [round]
        return [f"{r}/model.pt" for r in rounds]

    @property
    def measured(self) -> list[str]:
        """Rounds that train on pseudo-labels."""
        stages = (SELFTRAIN, SELFTRAIN_2, COTRAIN, FINAL)
        return [r for r in self.evaluated if r.split("/")[0] in stages and r != self.pair]

    @staticmethod
    def heading(round: str) -> tuple[str, str, str]:
        """Phase, cycle and model of a round, as a person reads them."""
        stage, *rest = round.split("/")
        names = {SELFTRAIN: "Self-training", MIXBATCH: "Ablation", COTRAIN: "Co-training"}
        phase = names.get(stage.removesuffix("_2"), "Single trainings")
        cycle = f"Cycle {int(rest[0])}" if rest else stage.removesuffix("_2").replace("_", " ").capitalize()
        return phase, cycle, rest[1] if len(rest) > 1 else "2" if stage.endswith("_2") else "1"

    def has(self, name: str) -> bool:
        """Whether there are jobs of that name: a round, a cycle, a table, rows of scores, or of no name."""
        rounds = {SOURCE, *self.evaluated, *self.ablation, *self.mixbatch_rounds}
        cycles = {r.rpartition("/")[0] for r in rounds if r.startswith(COTRAIN)}
        return name in rounds | cycles | {*self.domains, "target_labelled", "evaluated", "ablation", ""}

    # ---- files: all of them, and what each round's stages read -----------------------------------------------

    @property
    def files(self) -> list[str]:
        """Every file of a run. All are asked for, so that a deleted one is made again with what follows from it."""
        config, labelled = self.config, ["pseudolabels.h5", "thresholds.csv"]
        labelled += ["predictions.h5"] if config.inference.keep_predictions else []
        files = [f"data/{name}.csv" for name in (*self.domains, *(["color"] if config.align_colors else []))]
        files += ["data/source_statistics.h5"] if config.training.class_balance else self.prior("")
        files += self.prior_picture
        files += [f"{round}/model.pt" for round in (SOURCE, *([SOURCE_2] if config.model_2 else []))]
        files += [f"{FINAL}/{name}" for name in (*labelled, "model.pt")] if config.final else []
        files += [f"{round}/candidates.csv" for round in self.selftrain_rounds]
        for round in self.selftrain_rounds + self.selftrain_2_rounds:
            files += [f"{round}/{name}" for name in (*labelled, "selected.csv", "labels.h5", "model.pt")]
        for round in self.cotrain_rounds(1) + self.cotrain_rounds(2):
            cycle, model = round.rsplit("/", 1)
            used = self.exchanged(cycle)["pseudolabels"][int(model) - 1]
            files += [f"{cycle}/candidates.csv", used]
            files += [f"{round}/{name}" for name in (*labelled, "selected.csv", "labels.h5", "model.pt")]
        if "validation" in self.domains:
            files += [model for round in self.evaluated for model in self.models(round)]
            files += [f"evaluation/{round}.{kind}" for round in self.evaluated for kind in ("json", "h5")]
            files += [f"evaluation/pseudolabels/{round}.json" for round in self.measured]
            files += ["summary.csv", "summary.txt", "figures/overview.png", "figures/progress.png"]
        files += ["report.html"]
        return list(dict.fromkeys(files))

    @property
    def prior_picture(self) -> list[str]:
        return ["figures/prior.png"] if self.config.inference.prior else []

    def candidates(self, round: str) -> str:
        """Index table of the images that the round's model is run on."""
        stage, *rest = round.split("/")
        return {
            SELFTRAIN: f"{round}/candidates.csv",
            SELFTRAIN_2: f"{SELFTRAIN}/{''.join(rest)}/candidates.csv",
            MIXBATCH: f"{SELFTRAIN}/{''.join(rest)}/candidates.csv",
            COTRAIN: f"{COTRAIN}/{''.join(rest[:1])}/candidates.csv",
            FINAL: "data/target.csv",
        }[stage]

    def in_shards(self, round: str) -> bool:
        """Whether several jobs share the round's inference: one of the whole target set, if the config says so."""
        stage = {COTRAIN: self.config.cotrain, FINAL: None}.get(round.split("/")[0], self.config.selftrain)
        return self.config.inference.shards > 1 and (stage is None or stage.candidates is None)

    def inferred(self, in_shards: bool) -> str:
        """A regular expression of the rounds whose inference is in shards, or is not."""
        cotrained = self.cotrain_rounds(1) + self.cotrain_rounds(2)
        rounds = [*self.selftrain_rounds, *self.selftrain_2_rounds, *self.mixbatch_rounds, *cotrained, FINAL]
        return "|".join(round for round in rounds if self.in_shards(round) == in_shards) or "none"

    def predictors(self, round: str) -> list[str]:
        """Models that make the round's predictions: those of the round before; for `final`, by w."""
        if round != FINAL:
            return [f"{self._before(round)}/model.pt"]
        if self.config.final is None:
            raise BadInput("config: final: null, and this target needs the last training; give final.labels_from")
        who = self.config.final.labels_from
        return [f"{self._last_cotrained(m)}/model.pt" for m in ((1, 2) if who == "ensemble" else (int(who),))]

    def initial(self, round: str) -> list[str]:
        """Model that the round's training starts from: W_0, or W_{0,i} in the co-training loop; none for W_0 itself.

        With `start_from: previous`, a cycle of self-training goes on from the model of the cycle before.
        """
        if round in (SOURCE, SOURCE_2, SOURCE_ONLY):
            return []
        goes_on = round.startswith((SELFTRAIN, MIXBATCH)) and self.config.selftrain.start_from == "previous"
        return [f"{self._before(round) if goes_on else self._start(round)}/model.pt"]

    def labels(self, round: str) -> str:
        """Pseudo-labels that the round trains on."""
        if round == FINAL:
            return f"{FINAL}/pseudolabels.h5"
        return f"{self._labelled_by(round)}/labels.h5"

    def thresholds(self, round: str) -> list[str]:
        """Threshold table for the collage and the rare-class crops; none where there are neither."""
        return [f"{self._labelled_by(round)}/thresholds.csv"] if self._mixed(round) else []

    def fused(self, round: str) -> dict[str, str]:
        """Inputs of `fuse`: the earlier labels, this cycle's pseudo-labels and which of them are selected."""
        inputs = {"pseudolabels": f"{round}/pseudolabels.h5", "selected": f"{round}/selected.csv"}
        if round.startswith(COTRAIN):
            inputs["pseudolabels"] = self.exchanged(round.rpartition("/")[0])["pseudolabels"][2 - int(round[-1])]
        if _cycle(round) > 1 and (round.startswith(COTRAIN) or self.config.selftrain.fuse):
            inputs["previous"] = self.labels(_earlier(round))
        return inputs

    def exchanged(self, cycle: str) -> dict[str, list[str]]:
        """Inputs of `exchange` in the cycle `cotrain/NN`: of model 1, then of model 2."""
        combined = int(cycle[-2:]) >= self.config.cotrain.combine_from_cycle
        name = "combined.h5" if combined else "pseudolabels.h5"
        return {
            "pseudolabels": [f"{cycle}/{m}/{name}" for m in (1, 2)],
            "thresholds": [f"{cycle}/{m}/thresholds.csv" for m in (1, 2)],
        }

    def aligned(self, round: str) -> bool:
        """Whether the round's source images are LAB-aligned."""
        return round != SOURCE_ONLY and self.config.align_colors

    def prior(self, _: str) -> list[str]:
        """Statistics of the source with the spatial prior, which every inference reads; none without it."""
        return ["data/source_statistics.h5"] if self.config.inference.prior else []

    def _labelled_by(self, round: str) -> str:
        """The round whose predictions this round trains on; the first cycle's do not depend on the collage."""
        return f"{SELFTRAIN}/01" if round == f"{MIXBATCH}/01" else round

    def _mixed(self, round: str) -> dict:
        """Settings of how target images are mixed and cropped by their pseudo-labels."""
        mix, mixed = self.config.mix, {}
        if (share := self._collage_share(round)) is not None:
            mixed["collage_share"] = share
        if round.startswith((SELFTRAIN, MIXBATCH, COTRAIN)) and mix.rare_crops:
            mixed |= {"rare_crops": mix.rare_crops, "rare_share": mix.rare_share}
        return mixed

    def _collage_share(self, round: str) -> float | None:
        if round == FINAL:
            return self.config.final and self.config.final.collage_share
        return self.config.mix.collage_share if round.startswith((SELFTRAIN, COTRAIN)) else None

    def _start(self, round: str) -> str:
        """W_0 of the round's architecture; in the co-training loop W_{K_m} and W_{K_M}, each of its architecture."""
        if round.startswith(COTRAIN):
            selftrain = self.config.selftrain
            if round[-1] == "1":
                return f"{SELFTRAIN}/{selftrain.early_cycle:02d}"
            return f"{SELFTRAIN_2 if self.config.model_2 else SELFTRAIN}/{selftrain.cycles:02d}"
        return SOURCE_2 if round.startswith(SELFTRAIN_2) else SOURCE

    def _before(self, round: str) -> str:
        if _cycle(round) == 1:
            return self._start(round)
        return _earlier(round)

    def _last_cotrained(self, model: int) -> str:
        return self.cotrain_rounds(model)[-1] if self.config.cotrain.cycles else self._start(f"{COTRAIN}/01/{model}")

    # ---- data ---------------------------------------------------------------------------------------------------

    def data_root(self, name: str) -> str:
        """Folder of the dataset of a domain (source, target or validation), or of its table."""
        name = name.removesuffix("_labelled")
        dataset = self.dataset(name)
        if dataset.generator:
            return self.scenes(self.domains[name].split)
        for part in self.parts(name).values():
            folder_of(part.dataset, self.config.data.root)
        return str(folder_of(dataset, self.config.data.root))

    def scenes(self, split: str) -> str:
        """Folder of the toycity scenes of a split; shared by all runs that use the same scenes."""
        toycity = self.config.toycity
        if split not in ("source", "target", "validation"):
            raise BadInput(f"config: data: toycity has no split {split!r}; use source, target or validation")
        height, width = toycity.size
        name = f"{split}-{getattr(toycity, split)}-{height}x{width}-seed{toycity.seed}"
        return str(Path(self.config.results, "shared", "toycity", name))

    def _labels(self, name: str) -> dict:
        codings = {part: labels_of(one, self.labelset) for part, one in self.parts(name).items()}
        return {"classes": self.classes} | codings.get("", {"join": codings})

    def layout(self, table: str) -> dict:
        """Where below its `data_root` the images of a domain are, and their labels but for the table `target`."""
        name = table.removesuffix("_labelled")
        layouts = {}
        for folder, part in self.parts(name).items():
            below = f"{part.dataset.root}/" if folder and part.dataset.root else ""
            layouts[folder] = layout(part, self.domains[name].split, below)
            layouts[folder] |= {"labels": None} if table == "target" else {}
        return layouts.get("", {"join": layouts})

    @property
    def missing(self) -> dict[str, list[str]]:
        """Source dataset → classes of the label set that it has no labels of; none where it has all."""
        found = {
            part.dataset.name: missing_classes(part.dataset, self.labelset) for part in self.parts("source").values()
        }
        return {name: classes for name, classes in found.items() if classes}

    # ---- settings -----------------------------------------------------------------------------------------------

    def settings(self, stage: str, name: str = "") -> str:
        """What `cotrain STAGE --settings` gets for a round, or a domain: canonical JSON of just what it reads."""
        return json.dumps(getattr(self, f"_{stage}")(name), sort_keys=True)

    def keys(self, stage: str, name: str = "") -> dict:
        """Config keys that the settings and inputs of a job follow from, with their values."""
        read: dict = {}
        traced = Plan.__new__(Plan)
        traced.labelsets, traced.datasets = self.labelsets, self.datasets
        traced.config = _Traced(self.config, "", read)
        traced.domains = {domain: getattr(traced.config.data, domain) for domain in self.domains}
        traced.settings(stage, name)
        for question in STRUCTURE.get(stage, ()):
            getattr(traced, question)(round_of(name))
        return json.loads(json.dumps(read))

    def _render(self, scenes: str) -> dict:
        split = scenes.split("-")[0]
        seed = seed_of(self.config.toycity.seed, "toycity", split)
        toycity = self.config.toycity
        look = "rendered" if split == "source" else "camera"
        return {"look": look, "count": getattr(toycity, split), "size": toycity.size, "seed": seed}

    def _index(self, table: str) -> dict:
        """`target` lists no labels, so that no stage downstream can read them; `target_labelled` does."""
        return self.layout(table) | {"limit": self.domains[table.removesuffix("_labelled")].limit}

    def _color(self, _: str) -> dict:
        data = self.config.data
        seed = seed_of(self.config.seed, "color")
        settings = {"source_size": data.source.size, "target_size": data.target.size, "seed": seed}
        joined = list(self.dataset("source").join)
        return settings | ({"join": joined} if joined else {})

    def _statistics(self, _: str) -> dict:
        settings = {"labels": self._labels("source"), "size": self.config.data.source.size}
        if smoothing := self.config.inference.prior:
            settings["prior"] = {"size": self.config.data.target.size, "smoothing": smoothing}
        return settings

    def _draw(self, cycle: str) -> dict:
        stage = self.config.selftrain if cycle.startswith(SELFTRAIN) else self.config.cotrain
        return {"count": stage.candidates, "seed": seed_of(self.config.seed, "draw", cycle)}

    def _infer(self, name: str) -> dict:
        config, inference, round = self.config, self.config.inference, round_of(name)
        settings = {
            "classes": self.classes,
            "size": config.data.target.size,
            "scales": inference.scales,
            "flip": inference.flip,
            "keep_classes": min(inference.keep_classes, len(self.classes)),
            "ensemble": config.final.ensemble if round == FINAL else "mean",
            "ego_mask": config.data.ego_mask,
            "batch": inference.batch,
            "threads": inference.threads,
            "device": config.device,
            **self._trust(),
        }
        if inference.patches.count:
            settings["patches"] = inference.patches.model_dump(mode="json")
            settings["seed"] = seed_of(config.seed, "patches", round)
        if shard := re.search(f"/{SHARD}$", name):
            settings["shard"] = {"number": int(shard[1]), "count": int(shard[2])}
        return settings

    def _threshold(self, round: str) -> dict:
        stage = self.config.selftrain if round.startswith((SELFTRAIN, MIXBATCH)) else self.config.cotrain
        settings = stage.thresholds
        k = self.config.cotrain.cycles if round == FINAL else _cycle(round) - 1
        return {
            "round": round,
            "policy": settings.policy,
            "portion": portion(settings.portion_start, settings.portion_step, settings.portion_max, k),
            "confidence_min": settings.confidence_min,
            "confidence_max": settings.confidence_max,
        }

    def _select(self, _: str) -> dict:
        return {"count": self.config.selftrain.selected}

    def _combine(self, _: str) -> dict:
        return {}

    def _fuse(self, _: str) -> dict:
        return {}

    def _exchange(self, _: str) -> dict:
        cotrain = self.config.cotrain
        return {
            "count": cotrain.selected,
            "lambda": cotrain.balance,
            "rank_by": cotrain.rank_by,
            "min_class_fraction": cotrain.min_class_fraction,
        }

    def _train(self, round: str) -> dict:
        config, training = self.config, self.config.training
        course = dict.fromkeys((SOURCE, SOURCE_2, SOURCE_ONLY), training.source) | {FINAL: training.final}
        course = course.get(round, training.final if round == UPPER_BOUND else training.cycle)
        settings = {
            "name": round,
            "source": self._labels("source"),
            "source_size": config.data.source.size,
            "augmentation": training.augmentation.model_dump(mode="json"),
            "optimizer": training.optimizer.model_dump(mode="json"),
            "course": course.model_dump(mode="json"),
            "batch": training.batch,
            "balance_temperature": training.class_balance,
            "seed": seed_of(config.seed, "train", round),
            "device": config.device,
            "gpus": training.gpus,
            "threads": self._training_threads(round),
            "workers": training.workers,
            "cache_mb": training.cache_mb,
            "restart_minutes": training.restart_minutes,
            "compile": training.compile,
        }
        if round in (SOURCE, SOURCE_2, SOURCE_ONLY):
            model = config.model_2 if round == SOURCE_2 else config.model
            seed = seed_of(config.seed, "train", SOURCE if round == SOURCE_ONLY else round)
            return settings | {"model": _one_model(model), "seed": seed}
        settings |= {"target_share": config.mix.target_share, "target_size": config.data.target.size}
        settings |= self._trust()
        if round == UPPER_BOUND:
            return settings | {"target": self._labels("target")}
        return settings | self._mixed(round)

    def _trust(self) -> dict:
        """Code of the person's own that model files of this run may name."""
        models = [model for model in (self.config.model, self.config.model_2) if model]
        own = {m.architecture for m in models if architectures.library(m.architecture) == architectures.OWN}
        return {"trust": sorted(own)} if own else {}

    def _evaluate(self, _: str) -> dict:
        inference = self.config.inference
        if "validation" not in self.domains:
            raise BadInput("config: data.validation: null, and this target needs scores; name a labelled dataset")
        return {
            "labels": self._labels("validation"),
            "size": self.config.data.validation.size,
            **self.config.evaluation.model_dump(mode="json"),
            "batch": inference.batch,
            "threads": inference.threads,
            "device": self.config.device,
            **self._trust(),
        }

    def _measure(self, _: str) -> dict:
        labels = self._labels("target") if self.config.data.target.truth else {"classes": self.classes}
        return {"labels": labels}

    def _summarize(self, rows: str) -> dict:
        names = getattr(self, rows)
        bound = UPPER_BOUND if UPPER_BOUND in names else None
        notes = [f"The source {name} has no labels of: {', '.join(classes)}" for name, classes in self.missing.items()]
        return {
            "rows": list(names.items()),
            "source_only": SOURCE_ONLY,
            "upper_bound": bound,
            "means": self.labelset.means,
            "notes": notes,
        }

    def _report(self, _: str) -> dict:
        last = [r for r in self.evaluated if r != UPPER_BOUND][-1]
        return {
            "title": self.config.run,
            "colors": list(self.labelset.classes.items()),
            "rounds": list(self.evaluated.items()),
            "series": self._series,
            "before": SOURCE_ONLY,
            "after": last,
            "labels": self._labels("target") if self.config.data.target.truth else None,
            **self.config.report.model_dump(mode="json"),
        }

    def reported(self, _: str = "") -> dict[str, list[str]]:
        """Inputs of `report`; scores and what goes with them only where there is a validation set.

        Predictions only if they are kept: asked for here, all of them would stay until the end.
        """
        cycles = [r for r in self.measured if r != FINAL]
        scored = self.evaluated if self.config.data.validation else {}
        kept = self.config.inference.keep_predictions
        return {
            "thresholds": [f"{round}/thresholds.csv" for round in self.measured],
            "pseudolabels": [f"{round}/pseudolabels.h5" for round in self.measured],
            "predictions": [f"{round}/predictions.h5" for round in self.measured if kept],
            "selected": [f"{round}/selected.csv" for round in cycles],
            "target": ["data/target_labelled.csv" if self.config.data.target.truth else "data/target.csv"],
            "summary": ["summary.csv"] if scored else [],
            "metrics": [f"evaluation/{round}.json" for round in scored],
            "evaluated": [f"evaluation/{round}.h5" for round in scored],
            "measures": [f"evaluation/pseudolabels/{round}.json" for round in self.measured if scored],
            "images": ["data/validation.csv"] if scored else [],
        }

    @property
    def _series(self) -> list[tuple[str, list[str]]]:
        """Curves over the rounds."""
        series = {"self-training": self.selftrain_rounds}
        series |= {"self-training, model 2": self.selftrain_2_rounds} if self.selftrain_2_rounds else {}
        series |= {f"co-training, model {m}": self.cotrain_rounds(m) for m in (1, 2) if self.config.cotrain.cycles}
        return list((series | ({"last training": [FINAL]} if self.config.final else {})).items())

    def _plot(self, _: str) -> dict:
        columns = [self.evaluated[r] for r in self.pictured]
        return {"colors": list(self.labelset.classes.items()), "columns": columns, "series": self._series}

    @property
    def pictured(self) -> list[str]:
        """Rounds that the overview shows side by side."""
        rounds = [SOURCE_ONLY, self.selftrain_rounds[-1]]
        rounds += [self.pair] if self.config.cotrain.cycles else []
        return rounds + ([FINAL] if self.config.final else [])


def labels_of(part: Part, labelset: LabelSet) -> dict:
    """How the labels of a dataset are coded, as classes of a label set."""
    return {"encoding": part.dataset.encoding, "values": label_values(part.dataset, labelset)}


def folder_of(dataset: Dataset, root: str | None) -> Path:
    """Folder of a dataset on disk; `root` is that of all datasets, None for the environment's."""
    root = root or os.environ.get("COTRAIN_DATA")
    if root is None:
        raise BadInput(
            f"config: data.root: not set, and {dataset.name} is on your disk; set it, or the environment variable "
            "COTRAIN_DATA, to the folder of your datasets"
        )
    folder = Path(root) / dataset.root
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; set data.root or COTRAIN_DATA to the folder that has it")
    return folder


class _Traced:
    """A config that notes each value that is read from it, under its dotted key."""

    def __init__(self, part: BaseModel, path: str, read: dict):
        self._part, self._path, self._read = part, path, read

    def __getattr__(self, name: str) -> object:
        value, field = getattr(self._part, name), type(self._part).model_fields.get(name)
        key = f"{self._path}{field.alias or name if field else name}"
        if isinstance(value, BaseModel):
            if NoneType in get_args(field.annotation):
                self._read[key] = {}  # is there: as good as a value where it could be null
            return _Traced(value, f"{key}.", self._read)
        if field:
            self._read[key] = value
        return value

    def model_dump(self, **how: object) -> dict:
        for name in type(self._part).model_fields:
            value = getattr(self, name)
            if isinstance(value, _Traced):
                value.model_dump()
        return self._part.model_dump(**how)


def _one_model(model: NamedModel) -> dict:
    """A model as its training stage is told of it: with the options of its architecture alone."""
    options = model.options_of(model.architecture, model.options)
    return model.model_dump(mode="json") | {"options": options}


def round_of(name: str) -> str:
    """The round of a job: of ROUND/2-of-4 it is ROUND, and every other name is one."""
    return re.sub(f"/{SHARD}$", "", name)


def _cycle(round: str) -> int:
    return int(round.split("/")[1])


def _earlier(round: str) -> str:
    stage, cycle, *model = round.split("/")
    return "/".join([stage, f"{int(cycle) - 1:02d}", *model])
