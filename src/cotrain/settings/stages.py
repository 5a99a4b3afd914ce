"""The settings of each stage, by the stage's name."""

from cotrain.settings.datasets import Index
from cotrain.settings.inference import Evaluate, Infer
from cotrain.settings.pseudolabels import Combine, Draw, Exchange, Fuse, Measure, Select, Threshold
from cotrain.settings.report import Plot, Report, Summarize
from cotrain.settings.source import Color, Render, Statistics
from cotrain.settings.strict import Strict, parse
from cotrain.settings.tools import Check, Export, Predict, Show
from cotrain.settings.training import Train

STAGES: dict[str, type[Strict]] = {
    "render": Render,
    "index": Index,
    "color": Color,
    "statistics": Statistics,
    "draw": Draw,
    "infer": Infer,
    "threshold": Threshold,
    "select": Select,
    "combine": Combine,
    "exchange": Exchange,
    "fuse": Fuse,
    "train": Train,
    "evaluate": Evaluate,
    "measure": Measure,
    "summarize": Summarize,
    "plot": Plot,
    "report": Report,
    "check": Check,
    "predict": Predict,
    "export": Export,
    "show": Show,
}


def completed(stage: str, settings: dict) -> dict:
    """Checked settings of a stage as JSON, defaults included. Raises BadInput, and KeyError for no such stage."""
    return parse(STAGES[stage], settings, stage).model_dump(mode="json", by_alias=True)
