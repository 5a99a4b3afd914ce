"""The command `cotrain`: each stage is a subcommand whose arguments are read off the stage's `run`."""

import argparse
import importlib
import inspect
import os
import sys
import typing
from pathlib import Path

from cotrain import __version__
from cotrain.errors import BadInput
from cotrain.settings import Strict, parse_json

STAGES = {
    "render": "render a folder of toycity scenes",
    "index": "list the images of a dataset",
    "color": "draw target images and store CIELAB statistics for the alignment",
    "statistics": "count the classes of the source images, and where they are",
    "draw": "draw the candidates of a cycle",
    "infer": "store the most probable classes of each pixel",
    "threshold": "turn predictions into pseudo-labels",
    "select": "keep the most confident images",
    "combine": "fill void pseudo-labels with the other model's",
    "exchange": "select what each model receives from the other",
    "fuse": "join pseudo-labels with those of earlier cycles",
    "train": "train a model on source, and target if given",
    "evaluate": "score a model on labelled images",
    "measure": "measure coverage and accuracy of pseudo-labels",
    "summarize": "join all scores into one table",
    "plot": "draw the figures",
    "predict": "label your own images with a model",
    "explain": "print what made a file",
    "verify": "check the hashes of a run",
    "accept": "let a run count as made by the code of now",
}
OUTPUTS = {"out", "table", "text", "picture", "pictures"}
POSITIONAL = {("predict", "images"), ("explain", "file"), ("verify", "folder"), ("accept", "folder")}


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> typing.NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on standard error for each fault of the input."""
    # Waiting OpenMP threads that spin make two jobs on two cores over 20 times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] if arguments is None else arguments
    name = next((a for a in arguments if not a.startswith("-")), None)
    parser = _Parser("cotrain", description="Stages of co-training for domain adaptation.")
    parser.add_argument("--version", action="version", version=f"cotrain {__version__}")
    commands = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage, text in STAGES.items():
        command = commands.add_parser(stage, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if stage == name:  # the other stages' modules are not imported
            run = importlib.import_module(f"cotrain.stages.{stage}").run
            _add_arguments(command, stage, run)
    try:
        given = vars(parser.parse_args(arguments))
        run(**_values(given.pop("stage"), run, given))
    except BadInput as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def _add_arguments(command: argparse.ArgumentParser, stage: str, run: typing.Callable) -> None:
    command.description = inspect.cleandoc(f"{inspect.getmodule(run).__doc__}\n{run.__doc__ or ''}")
    for name, parameter in inspect.signature(run).parameters.items():
        kind = parameter.annotation
        if name == "made_by":
            continue
        if isinstance(kind, type) and issubclass(kind, Strict):
            needed = any(field.is_required() for field in kind.model_fields.values())
            command.add_argument("--settings", default="{}", required=needed, help="JSON text, or a JSON file")
            command.epilog = _describe(kind)
            continue
        if kind is bool:
            command.add_argument(f"--{name}", action="store_true")
            continue
        several = "list[" in str(kind) or _is_pair(parameter)
        required = parameter.default is inspect.Parameter.empty
        if (stage, name) in POSITIONAL:
            command.add_argument(name, type=Path, nargs="+" if several else None if required else "?")
            continue
        options: dict = {}
        if "tuple[" in str(kind) and not required:
            options = {"nargs": 2}
        elif several and any(s == stage for s, _ in POSITIONAL):  # a greedy flag would swallow what follows it
            options = {"action": "append"}
        elif several:
            options = {"nargs": "+" if required else "*", "action": "extend"}
        elif not required:
            options = {"nargs": "?"}  # a flag without a path is as good as no flag: rules pass what a job has
        flag = "--" + name.removesuffix("_files")
        text = "written" if name in OUTPUTS else "read"
        type_ = str if kind is str else Path
        command.add_argument(flag, dest=name, type=type_, required=required, metavar="PATH", help=text, **options)


def _describe(kind: type[Strict]) -> str:
    """The settings as help text: name, default, meaning."""
    lines = ["settings:"]
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        lines.append(f"  {field.alias or name}: {field.description or ''} [{default}]")
    return "\n".join(lines)


def _is_pair(parameter: inspect.Parameter) -> bool:
    return typing.get_origin(parameter.annotation) is tuple


def _values(stage: str, run: typing.Callable, given: dict) -> dict:
    """Keyword arguments for `run` from the parsed command line, provenance included."""
    parameters = inspect.signature(run).parameters
    values = {name: value for name, value in given.items() if value not in (None, [])}
    settings = {}
    if "settings" in values:
        values["settings"] = parse_json(parameters["settings"].annotation, values["settings"])
        settings = values["settings"].model_dump(mode="json", by_alias=True)
    if "made_by" in parameters:
        from cotrain.provenance import provenance

        for name in (n for n, v in values.items() if _is_pair(parameters[n])):
            if len(values[name]) != 2:
                raise BadInput(f"--{name}: {len(values[name])} paths; give two, of model 1 and of model 2")
            values[name] = tuple(values[name])
        unread = OUTPUTS | {"settings"}
        files = {n: v if isinstance(v, list | tuple) else [v] for n, v in values.items() if n not in unread}
        given = (path for name, paths in files.items() if name != "root" for path in paths)
        if missing := [path for path in given if not path.exists()]:
            raise BadInput(f"{missing[0]}: no such file; run the stage that makes it")
        values["made_by"] = provenance(stage, settings, files)
    return values


if __name__ == "__main__":
    sys.exit(main())
