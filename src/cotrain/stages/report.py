"""Puts all that a run found into one page for a browser: report.html, which needs no other file and no network."""

from pathlib import Path
from typing import Annotated

import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.files import atomic, hdf5
from cotrain.files.scores import read_json
from cotrain.files.tables import read_summary, read_table
from cotrain.procedure.names import round_at
from cotrain.report import page, pictures
from cotrain.report.results import Pseudolabels, Results, check_classes
from cotrain.settings.report import Report


def run(
    settings: Report,
    thresholds: Annotated[list[Path], READ],
    pseudolabels: Annotated[list[Path], READ],
    target: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    predictions: Annotated[list[Path] | None, READ] = None,
    selected: Annotated[list[Path] | None, READ] = None,
    summary: Annotated[Path | None, READ] = None,
    metrics_files: Annotated[list[Path] | None, READ] = None,
    evaluated: Annotated[list[Path] | None, READ] = None,
    measures: Annotated[list[Path] | None, READ] = None,
    images: Annotated[Path | None, READ] = None,
    logs: str = "",
) -> None:
    """Each file belongs to the round that its path, or its folder's, ends with.

    Of rounds without `--predictions` the page shows the pseudo-labels alone, and says so.
    `--evaluated` are the pictures of the evaluations, and `--images` the images that these are of; `--target` is the
    table of target images, of which the truth is shown if `labels` is given. `--logs` is the folder of the run's logs,
    from which it is read how long each job took; they do not count as inputs.
    """
    results = _read(
        settings,
        summary,
        thresholds=thresholds,
        pseudolabels=pseudolabels,
        predictions=predictions,
        selected=selected,
        metrics=metrics_files,
        evaluated=evaluated,
        measures=measures,
    )
    sections = page.sections_of(results, settings, logs, made_by)
    albums = pictures.albums(results, settings, target, images)
    with atomic.replacing(out) as temporary:
        page.write(temporary, settings.title, results, sections, albums)
    atomic.write_sidecar(out, made_by)


def _read(settings: Report, summary: Path | None, **paths: list[Path] | None) -> Results:
    """The contents of the files of each kind; raises BadInput if they are of different rounds or label sets."""
    names = dict(settings.rounds)
    classes = tuple(name for name, _ in settings.colors)
    files = {kind: _by_round(of_kind or [], names) for kind, of_kind in paths.items()}
    if files["thresholds"].keys() != files["pseudolabels"].keys():
        raise BadInput("--thresholds: of other rounds than --pseudolabels; give one of each round")
    if files["predictions"].keys() - files["pseudolabels"].keys():
        raise BadInput("--predictions: of other rounds than --pseudolabels; give those of the same rounds")
    return Results(
        names,
        dict(settings.colors),
        summary=read_summary(summary) if summary else None,
        thresholds={name: _thresholds(path, classes) for name, path in files["thresholds"].items()},
        pseudolabels={name: _pseudolabels(path, classes) for name, path in files["pseudolabels"].items()},
        predictions=files["predictions"],
        selected={name: read_table(path, "selected") for name, path in files["selected"].items()},
        metrics={name: _metrics(path, classes) for name, path in files["metrics"].items()},
        evaluated=files["evaluated"],
        measures={name: read_json(path, "measure") for name, path in files["measures"].items()},
    )


def _by_round(paths: list[Path], names: dict[str, str]) -> dict[str, Path]:
    """Round → path, in the order of the rounds."""
    paths_by_round = {}
    for path in paths:
        fitting = [round_at(place, names) for place in (path.parent, path.with_suffix(""))]
        round_name = max(filter(None, fitting), key=len, default=None)
        if round_name is None:
            raise BadInput(f"{path}: of none of the rounds of settings.rounds; its path must end with one")
        paths_by_round[round_name] = path
    if len(paths_by_round) < len(paths):
        raise BadInput(f"{paths[-1]}: two of the files are of one round; give one of each")
    return {name: paths_by_round[name] for name in names if name in paths_by_round}


def _thresholds(path: Path, classes: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path, "thresholds")
    check_classes(path, tuple(table["name"]), classes)
    return table


def _metrics(path: Path, classes: tuple[str, ...]) -> dict:
    metrics = read_json(path, "metrics")
    check_classes(path, metrics["classes"], classes)
    return metrics


def _pseudolabels(path: Path, classes: tuple[str, ...]) -> Pseudolabels:
    with hdf5.open_hdf5(path, "pseudolabels") as file:
        check_classes(path, file.classes, classes)
        return Pseudolabels(
            path=path,
            image_ids=hdf5.image_ids(file),
            confidence=file["confidence"][:],
            class_pixels=file["class_pixels"][:],
            size=file["label"].shape[1:],
        )
