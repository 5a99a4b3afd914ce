"""The command `cotrain`: each stage is a subcommand whose arguments are read off the stage's `run`."""

import argparse
import contextlib
import importlib
import inspect
import os
import resource
import signal
import sys
import time
import typing
from pathlib import Path

from cotrain import __version__
from cotrain.base.errors import BadInput
from cotrain.base.gpus import lease
from cotrain.base.malloc import collect_again, keep_freed
from cotrain.base.progress import last_line, quietly
from cotrain.files.code import module_of
from cotrain.settings.strict import Strict, parse_json

STAGES = {
    "render": "render a folder of toycity scenes",
    "index": "list the images of a dataset",
    "color": "draw target images and store CIELAB statistics for the alignment",
    "statistics": "count the classes of the source images, and where they are",
    "draw": "draw the candidates of a cycle",
    "infer": "store the most probable classes of each pixel",
    "merge": "join the shards of an inference",
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
    "report": "put all that a run found into one page for a browser",
    "check": "read a dataset, or all of a config, and tell what is wrong with it",
    "predict": "label your own images with a model",
    "export": "turn a model into ONNX or TorchScript",
    "show": "show what is in a file",
    "plan": "print what a run will cost",
    "compare": "compare finished runs",
    "explain": "print what made a file",
    "verify": "check the hashes of a run",
    "accept": "let a run count as made by the code of now",
}
OUTPUTS = {"out", "png", "table", "text", "picture", "pictures", "markdown", "html"}
KEPT = {"restart", "sheet", "tensorboard"}  # written as well, and of use after a fault, such as a loss that diverges
FOLDERS = {("render", "out"), ("predict", "out"), ("train", "tensorboard"), ("show", "png")}  # outputs that are folders
# The stage itself says what is wrong with these.
MAYBE_FOLDERS = {"root", "file", "diff", "folder", "what", "photographs", "runs"}
POSITIONAL = {
    ("check", "what"),
    ("predict", "photographs"),
    ("plan", "config"),
    ("compare", "runs"),
    ("show", "file"),
    ("explain", "file"),
    ("verify", "folder"),
    ("accept", "folder"),
}


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments."""

    def error(self, message: str) -> typing.NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with one line on standard error for each fault of the input."""
    start = time.monotonic()
    # Waiting OpenMP threads that spin make two jobs on two cores over 20 times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminate)
    arguments = sys.argv[1:] if arguments is None else arguments
    name = next((a for a in arguments if not a.startswith("-")), None)
    parser, _ = parsers(name)
    run = run_of(name) if name in STAGES else None
    try:
        given = vars(parser.parse_args(arguments))
        silent = given.pop("quiet")
        values = _values(given.pop("stage"), run, given)
        new = [path for name, paths in _paths(values).items() if name in OUTPUTS for path in paths]
        with quietly() if silent else contextlib.nullcontext(), _all_or_none(new), _gpus_for(values.get("settings")):
            keep_freed()
            collect_again()
            run(**values)
        if "made_by" in values and not silent:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(last_line(name, time.monotonic() - start, peak), file=sys.stderr)
    except BadInput as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def run_of(stage: str) -> typing.Callable:
    """The function of a stage; no other stage's module is imported."""
    return importlib.import_module(f"cotrain.{module_of(stage)}").run


def parsers(name: str | None) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line and its subcommands, of which only the stage `name` knows its arguments."""
    parser = _Parser("cotrain", description="Stages of co-training for domain adaptation.")
    parser.add_argument("--version", action="version", version=f"cotrain {__version__}")
    quiet = {"action": "store_true", "help": "show no progress"}
    parser.add_argument("--quiet", **quiet)
    commands = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage, text in STAGES.items():
        command = commands.add_parser(stage, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if stage == name:
            _add_arguments(command, stage, run_of(stage))
            command.add_argument("--quiet", **quiet, default=argparse.SUPPRESS)
    return parser, commands.choices


def _terminate(*_: object) -> typing.NoReturn:
    """On SIGTERM: leave by way of the `finally` blocks, which remove what is half written."""
    raise SystemExit(128 + signal.SIGTERM)


def _gpus_for(settings: Strict | None) -> contextlib.AbstractContextManager:
    """GPUs of its own for a stage with a network, unless it is told to do without."""
    if getattr(settings, "device", "cpu") == "cpu":
        return contextlib.nullcontext()
    return lease(getattr(settings, "gpus", 1))


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
        text = "written" if name in OUTPUTS | KEPT else "read"
        type_, meta = (str, "NAME") if kind is str else (Path, "PATH")
        command.add_argument(flag, dest=name, type=type_, required=required, metavar=meta, help=text, **options)


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
    for name in (n for n in values if n in parameters and _is_pair(parameters[n])):
        if len(values[name]) != 2:
            raise BadInput(f"--{name}: {len(values[name])} paths; give two, of model 1 and of model 2")
        values[name] = tuple(values[name])
    paths = _paths(values)
    read = {name: some for name, some in paths.items() if name not in OUTPUTS | KEPT}
    _check_inputs([path for name, some in read.items() if name not in MAYBE_FOLDERS for path in some])
    _check_outputs(stage, {name: paths[name] for name in paths.keys() - read.keys()}, read)
    if "made_by" in parameters:
        from cotrain.files.provenance import provenance

        values["made_by"] = provenance(stage, settings, read)
    return values


def _paths(values: dict) -> dict[str, list[Path]]:
    """The arguments that are paths of files."""
    lists = {name: list(v) if isinstance(v, list | tuple) else [v] for name, v in values.items()}
    return {name: some for name, some in lists.items() if all(isinstance(path, Path) for path in some)}


def _check_inputs(paths: list[Path]) -> None:
    for path in paths:
        try:
            found = path.exists()
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from None
        if not found:
            raise BadInput(f"{path}: no such file; run the stage that makes it")
        if not path.is_file():
            raise BadInput(f"{path}: a folder or device, expected a file; give the file in it")


def _check_outputs(stage: str, written: dict[str, list[Path]], read: dict[str, list[Path]]) -> None:
    """Refuse before the work what could only fail after it, or would destroy what is read."""
    taken = [os.path.realpath(path) for some in read.values() for path in some]
    for name, path in [(name, path) for name, some in written.items() for path in some]:
        if path.name in ("", ".."):
            raise BadInput(f"{path}: not the name of a file to write; give a path that ends in a name")
        place = os.path.realpath(path)
        if place in taken and (stage, name) != ("predict", "out"):  # which says what it would write where
            raise BadInput(f"{path}: it is an input too, or written twice, and would be lost; write elsewhere")
        taken.append(place)
        if path.is_dir() and (stage, name) not in FOLDERS:
            raise BadInput(f"{path}: a folder is in the way; move it or write elsewhere")
        folder = next(place for place in path.absolute().parents if os.path.lexists(place))
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise BadInput(f"{path}: cannot be written to {folder}; check its permissions, or write elsewhere")


@contextlib.contextmanager
def _all_or_none(outputs: list[Path]) -> typing.Iterator[None]:
    """On a fault, of several outputs also those that are finished vanish; what was there before stays."""
    new = [path for path in outputs if not os.path.lexists(path)]
    try:
        yield
    except BadInput:
        from cotrain.files import atomic

        for path in new:
            atomic.remove(path)
        raise


if __name__ == "__main__":
    sys.exit(main())
