"""The page of a report: one HTML file for a browser, which needs no other file and no network."""

from pathlib import Path

from cotrain.report import charts, label_sections, run_sections, score_sections
from cotrain.report.elements import Section, css
from cotrain.report.pictures import Album
from cotrain.report.results import Results
from cotrain.settings.report import Report

TEMPLATES = Path(__file__).parent


def sections_of(run: Results, settings: Report, logs: str, made_by: dict) -> list[Section]:
    """All that the page tells in numbers; sections of which nothing is known are left out.

    logs: the folder of the run's logs, or "". made_by: provenance of the page.
    """
    return [
        *score_sections.results(run, settings),
        *score_sections.class_scores(run, settings),
        label_sections.thresholds(run, settings),
        label_sections.pseudolabels(run),
        *label_sections.exchange(run),
        *run_sections.time(Path(logs) if logs else None),
        run_sections.provenance(made_by),
    ]


def write(path: Path, title: str, run: Results, sections: list[Section], albums: list[Album]) -> None:
    """Fills the template and writes the page to `path`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # layers are in the order of the rounds
    confusions = {}
    for round_name, metrics in run.metrics.items():
        if metrics["confusion"]:
            confusions[run.names[round_name]] = metrics["confusion"]
    ids = []
    for album in albums:
        ids.append([image.image_id for image in album.images])
    stream = environment.get_template("page.html").stream(
        title=title,
        sections=sections,
        colors=[(name, css(color)) for name, color in run.colors.items()],
        confusions=confusions,
        albums=albums,
        without_predictions=[run.names[round_name] for round_name in run.without_predictions],
        ids=ids,
        library=charts.library(),
    )
    stream.dump(str(path), encoding="utf-8")
