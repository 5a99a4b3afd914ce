"""Puts all that a run found into one page for a browser: report.html, which needs no other file and no network."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.data import indexing
from cotrain.data.images import read_image
from cotrain.data.labels import read_label
from cotrain.files import atomic, hdf5
from cotrain.files.scores import read_json
from cotrain.files.tables import read_summary, read_table
from cotrain.report import charts, thumbnails
from cotrain.report import sections as findings
from cotrain.settings.report import Report


class Pictures(NamedTuple):
    """Of one image: layers by name, as data URIs."""

    image_id: str
    size: tuple[int, int]
    layers: dict[str, str]


def run(
    settings: Report,
    thresholds: list[Path],
    pseudolabels: list[Path],
    target: Path,
    out: Path,
    made_by: dict,
    predictions: list[Path] | None = None,
    selected: list[Path] | None = None,
    summary: Path | None = None,
    metrics_files: list[Path] | None = None,
    evaluated: list[Path] | None = None,
    measures: list[Path] | None = None,
    images: Path | None = None,
    logs: str = "",
) -> None:
    """Each file belongs to the round that its path, or its folder's, ends with.

    Of rounds without `--predictions` the page shows the pseudo-labels alone, and says so.
    `--evaluated` are the pictures of the evaluations, and `--images` the images that these are of; `--target` is the
    table of target images, of which the truth is shown if `labels` is given. `--logs` is the folder of the run's logs,
    from which it is read how long each job took; they do not count as inputs.
    """
    names, classes = dict(settings.rounds), tuple(name for name, _ in settings.colors)
    labelled = {r: _labelled(path, classes) for r, path in _by_round(pseudolabels, names).items()}
    tables = {r: read_table(path, "thresholds") for r, path in _by_round(thresholds, names).items()}
    maps = _by_round(predictions, names)
    if tables.keys() != labelled.keys():
        raise BadInput("--thresholds: of other rounds than --pseudolabels; give one of each round")
    if maps.keys() - labelled.keys():
        raise BadInput("--predictions: of other rounds than --pseudolabels; give those of the same rounds")
    for r, path in _by_round(thresholds, names).items():
        _check_classes(path, tuple(tables[r]["name"]), classes)
    scores = {}
    for r, path in _by_round(metrics_files, names).items():
        scores[r] = read_json(path, "metrics")
        _check_classes(path, scores[r]["classes"], classes)
    measured = {r: read_json(path, "measure") for r, path in _by_round(measures, names).items()}
    chosen = {r: read_table(path, "selected") for r, path in _by_round(selected, names).items()}
    sections = [
        *(findings.results(read_summary(summary), settings) if summary else []),
        *(findings.per_class(scores, names, settings) if scores else []),
        findings.thresholds(tables, names, settings),
        findings.coverage(labelled, measured, chosen, names, classes),
        *findings.exchange(chosen, names, settings.colors),
        *findings.time(Path(logs) if logs else None),
        findings.provenance(made_by),
    ]
    pictures = {}
    if settings.images:
        pictures["Target images"] = _target(_by_round(pseudolabels, names), maps, labelled, target, settings)
    if evaluated and images:
        pictures["Validation images"] = _validation(_by_round(evaluated, names), images, settings)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(charts.__file__).parent)
    page = Environment(loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.policies["json.dumps_kwargs"] = {"sort_keys": False}  # layers are in the order of the rounds
    stream = page.get_template("page.html").stream(
        title=settings.title,
        sections=sections,
        colors=[(name, findings.css(color)) for name, color in settings.colors],
        confusions={names[r]: score["confusion"] for r, score in scores.items() if score["confusion"]},
        pictures={kind: some for kind, some in pictures.items() if some},
        dropped=[names[r] for r in labelled if r not in maps],
        ids=[[one.image_id for one in some] for some in pictures.values() if some],
        library=charts.library(),
    )
    with atomic.replacing(out) as temporary:
        stream.dump(str(temporary), encoding="utf-8")
    atomic.write_sidecar(out, made_by)


# ---- reading ----------------------------------------------------------------------------------------------------


def _by_round(paths: list[Path] | None, names: dict[str, str]) -> dict[str, Path]:
    """Round → path, in the order of the rounds."""
    found = {}
    for path in paths or []:
        places = [f"/{place.as_posix()}" for place in (path.parent, path.with_suffix(""))]
        fits = [r for r in names if any(place.endswith(f"/{r}") for place in places)]
        if not fits:
            raise BadInput(f"{path}: of none of the rounds of settings.rounds; its path must end with one")
        found[max(fits, key=len)] = path
    if len(found) < len(paths or []):
        raise BadInput(f"{paths[-1]}: two of the files are of one round; give one of each")
    return {r: found[r] for r in names if r in found}


def _check_classes(path: Path, found: tuple[str, ...], classes: tuple[str, ...]) -> None:
    if tuple(found) != classes:
        raise BadInput(f"{path}: other classes than settings.colors; use the label set of its run")


def _labelled(path: Path, classes: tuple[str, ...]) -> findings.Labelled:
    with hdf5.open_hdf5(path, "pseudolabels") as file:
        _check_classes(path, file.classes, classes)
        ids, pixels = hdf5.image_ids(file), file["class_pixels"][:]
        return findings.Labelled(ids, file["confidence"][:], pixels, file["label"].shape[1:])


# ---- pictures ---------------------------------------------------------------------------------------------------


def _validation(paths: dict[str, Path], images: Path, settings: Report) -> list[Pictures]:
    """Photograph, truth and the predictions of all rounds, for the images that the evaluations kept."""
    names, colors = dict(settings.rounds), [color for _, color in settings.colors]
    with hdf5.open_hdf5(next(iter(paths.values())), "pictures") as file:
        ids = hdf5.image_ids(file)
    rows = indexing.by_id(read_table(images, "index"), ids, images)
    albums_ = []
    for image_id, photograph in progress(zip(ids, rows["image"], strict=True), "report", "image", len(ids)):
        layers = {}
        for r, path in paths.items():
            with hdf5.open_hdf5(path, "pictures") as file:
                _check_classes(path, file.classes, tuple(c for c, _ in settings.colors))
                if not layers:
                    truth = file[f"truth/{image_id}"][:]
                    size = thumbnails.fitted(truth.shape, settings.width)
                    layers["photograph"] = thumbnails.photograph(read_image(photograph, size))
                    layers["truth"] = thumbnails.class_map(truth, colors, size)
                layers[f"prediction of {names[r]}"] = thumbnails.class_map(
                    file[f"prediction/{image_id}"][:], colors, size
                )
        albums_.append(Pictures(image_id, size, layers))
    return albums_


def spread(labelled: dict[str, list[str]], count: int) -> list[str]:
    """Up to `count` image ids, of those in the most rounds first, evenly spread, in the order of their lists."""
    rounds: dict[str, int] = {}
    for ids in labelled.values():
        for i in ids:
            rounds[i] = rounds.get(i, 0) + 1
    found: list[str] = []
    for times_ in sorted(set(rounds.values()), reverse=True):
        those = sorted(i for i, n in rounds.items() if n == times_)
        room = min(count - len(found), len(those))
        found += [those[n] for n in np.linspace(0, len(those) - 1, room).round().astype(int)]
    return sorted(found)


def _target(
    pseudolabels: dict[str, Path],
    predictions: dict[str, Path],
    labelled: dict[str, findings.Labelled],
    target: Path,
    settings: Report,
) -> list[Pictures]:
    """Photograph, truth if it may be read, and of each round that had it pseudo-label and, if kept, the prediction."""
    names, colors = dict(settings.rounds), [color for _, color in settings.colors]
    ids = spread({r: found.ids for r, found in labelled.items()}, settings.images)
    rows = indexing.by_id(read_table(target, "index"), ids, target)
    if settings.labels:
        indexing.check_labelled(rows, target)
    albums_ = []
    for row in progress(rows.itertuples(), "report", "image", len(ids)):
        size = thumbnails.fitted(next(iter(labelled.values())).size, settings.width)
        layers = {"photograph": thumbnails.photograph(read_image(row.image, size))}
        if settings.labels:
            truth = read_label(row.label, settings.labels.coding(row.image_id), size)
            layers["truth"] = thumbnails.class_map(truth, colors, size)
        albums_.append(Pictures(row.image_id, size, layers))
    for r, path in pseudolabels.items():
        place = {image_id: n for n, image_id in enumerate(labelled[r].ids)}
        with ExitStack() as files:
            labels, predicted = files.enter_context(hdf5.open_hdf5(path, "pseudolabels")), None
            if r in predictions:
                predicted = files.enter_context(hdf5.open_hdf5(predictions[r], "predictions"))
            if predicted is not None and hdf5.image_ids(predicted) != labelled[r].ids:
                raise BadInput(f"{predictions[r]}: other images than {path}; give files of one run")
            for album in progress(albums_, f"report {r}", "image"):
                if (n := place.get(album.image_id)) is None:
                    continue
                maps = {} if predicted is None else {"prediction": predicted["label"][n, 0]}
                for kind, label in (maps | {"pseudo-label": labels["label"][n]}).items():
                    album.layers[f"{kind} for {names[r]}"] = thumbnails.class_map(label, colors, album.size)
                if predicted is not None:
                    confidence = predicted["confidence"][n, 0]
                    album.layers[f"confidence for {names[r]}"] = thumbnails.confidence_map(confidence, album.size)
    return albums_
