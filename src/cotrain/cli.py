"""The command `cotrain`: each stage and tool is a subcommand whose arguments follow from the signature of its `run`."""

import argparse
import contextlib
import importlib
import inspect
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, NoReturn, Union, get_args, get_origin

from cotrain import __version__
from cotrain.base.errors import BadInput
from cotrain.base.gpus import lease
from cotrain.base.home import ensure_home
from cotrain.base.malloc import collect_again, keep_freed
from cotrain.base.progress import last_line, quietly
from cotrain.base.roles import FOLDER, KEPT, LOOKUP, POSITIONAL, READ, WRITE, Replaces, Role
from cotrain.files.code import module_of
from cotrain.files.paths import check_input, check_lookup, check_output, check_overlap
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
    "report": "put all results of a run on one page for a browser",
    "check": "read a dataset, or all data of a config, and report its faults",
    "predict": "label your own images with a model",
    "export": "convert a model to ONNX or TorchScript",
    "show": "show what is in a file",
    "plan": "print what a run will cost",
    "compare": "compare finished runs",
    "explain": "print how a file was made",
    "verify": "check the hashes of a run",
    "accept": "accept a run as made by the current code",
}


class _Parser(argparse.ArgumentParser):
    """Reports a fault of the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


@dataclass(frozen=True)
class Argument:
    """A parameter of a command's `run`, as the command line sees it."""

    name: str
    kind: object  # the annotation without roles and `| None`: Path, list[Path], tuple[Path, Path], str, bool, settings
    required: bool
    role: Role  # Role(0) for what is no path
    replaces: str  # text in the first bytes of every file that this output may replace; "" for any plain file

    @property
    def flag(self) -> str:
        return f"--{self.name.removesuffix('_files')}"

    @property
    def is_settings(self) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, Strict)

    @property
    def is_list(self) -> bool:
        return get_origin(self.kind) is list

    @property
    def is_pair(self) -> bool:
        return get_origin(self.kind) is tuple


Paths = dict[Argument, list[Path]]


def main(words: list[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 with one line on standard error for each fault of the input."""
    # Waiting OpenMP threads that spin make two jobs on two cores over 20 times slower than threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        ensure_home()
        _run_command(sys.argv[1:] if words is None else words)
    except BadInput as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def run_of(stage: str) -> Callable:
    """The function of a stage; no other stage's module is imported."""
    return importlib.import_module(f"cotrain.{module_of(stage)}").run


def parsers(name: str | None) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line and its subcommands, of which only the stage `name` knows its arguments."""
    parser = _Parser("cotrain", description="Stages of co-training for domain adaptation.")
    parser.add_argument("--version", action="version", version=f"cotrain {__version__}")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    commands = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage, text in STAGES.items():
        command = commands.add_parser(stage, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if stage == name:
            _describe_command(command, run_of(stage))
            command.add_argument("--quiet", action="store_true", help="show no progress", default=argparse.SUPPRESS)
    return parser, commands.choices


def arguments_of(run: Callable) -> list[Argument]:
    """The parameters of a command, but for `made_by`, the provenance, which no flag gives."""
    parameters = inspect.signature(run).parameters
    return [_argument(parameters[name]) for name in parameters if name != "made_by"]


def _argument(parameter: inspect.Parameter) -> Argument:
    kind = parameter.annotation
    markers = []
    if get_origin(kind) is Annotated:
        kind, *markers = get_args(kind)
    if get_origin(kind) in (Union, UnionType):  # `| None`
        [kind] = [part for part in get_args(kind) if part is not NoneType]
    role = Role(0)
    replaces = ""
    for marker in markers:
        if isinstance(marker, Role):
            role = marker
        elif isinstance(marker, Replaces):
            replaces = marker.text
    required = parameter.default is inspect.Parameter.empty
    return Argument(parameter.name, kind, required, role, replaces)


# ---- the parser of a command ------------------------------------------------------------------------------------


def _describe_command(command: argparse.ArgumentParser, run: Callable) -> None:
    """Add description and arguments of a command to its parser."""
    texts = []
    for owner in (inspect.getmodule(run), run):
        if owner.__doc__:
            texts.append(inspect.cleandoc(owner.__doc__))
    command.description = "\n".join(texts)
    arguments = arguments_of(run)
    has_positional = any(POSITIONAL in argument.role for argument in arguments)
    for argument in arguments:
        if argument.is_settings:
            _add_settings(command, argument.kind)
        elif argument.kind is bool:
            command.add_argument(argument.flag, action="store_true")
        elif argument.kind is str:
            command.add_argument(argument.flag, dest=argument.name, nargs="?", metavar="NAME")
        elif POSITIONAL in argument.role:
            command.add_argument(argument.name, type=Path, nargs=_positional_count(argument))
        else:
            _add_path(command, argument, has_positional)


def _add_settings(command: argparse.ArgumentParser, kind: type[Strict]) -> None:
    """Add `--settings`, and what each key means."""
    lines = ["settings:"]
    is_required = False
    for name, field in kind.model_fields.items():
        default = "required"
        if field.is_required():
            is_required = True
        else:
            default = f"default {field.get_default(call_default_factory=True)!r}"
        lines.append(f"  {field.alias or name}: {field.description or ''} [{default}]")
    command.add_argument("--settings", default="{}", required=is_required, help="JSON text, or a JSON file")
    command.epilog = "\n".join(lines)


def _positional_count(argument: Argument) -> str | None:
    """How many paths argparse takes for a positional argument."""
    if argument.is_list:
        return "+"
    return None if argument.required else "?"


def _add_path(command: argparse.ArgumentParser, argument: Argument, has_positional: bool) -> None:
    count: dict = {}
    if argument.is_pair:
        count = {"nargs": 2}
    elif argument.is_list and has_positional:  # a greedy flag would swallow the positional arguments after it
        count = {"action": "append"}
    elif argument.is_list:
        count = {"nargs": "+" if argument.required else "*", "action": "extend"}
    elif not argument.required:
        count = {"nargs": "?"}  # a flag without a path is as good as no flag: rules pass what a job has
    command.add_argument(
        argument.flag,
        dest=argument.name,
        type=Path,
        required=argument.required,
        metavar="PATH",
        help=_path_help(argument),
        **count,
    )


def _path_help(argument: Argument) -> str:
    noun = "file"
    if FOLDER in argument.role:
        noun = "folder"
    elif LOOKUP in argument.role:
        noun = "path"
    if argument.is_list or argument.is_pair:
        noun += "s"
    verb = "read" if READ in argument.role else "write"
    return f"{noun} to {verb}"


# ---- running a command ------------------------------------------------------------------------------------------


def _run_command(words: list[str]) -> None:
    start = time.monotonic()
    name = next((word for word in words if not word.startswith("-")), None)
    parser, _ = parsers(name)
    options = vars(parser.parse_args(words))
    is_quiet = options.pop("quiet")
    command = options.pop("stage")
    run = run_of(command)
    has_provenance = "made_by" in inspect.signature(run).parameters
    arguments = arguments_of(run)
    values = {name: value for name, value in options.items() if value not in (None, [])}
    settings = _parse_settings(arguments, values)
    inputs = _paths_with(READ, arguments, values)
    outputs = _paths_with(WRITE, arguments, values)
    _check_paths(inputs, outputs, _settings_files(values, settings))
    if settings:
        values["settings"] = settings
    if has_provenance:
        values["made_by"] = _provenance(command, settings, inputs)
    with contextlib.ExitStack() as stack:
        if is_quiet:
            stack.enter_context(quietly())
        stack.enter_context(_all_or_none(outputs))
        stack.enter_context(_gpus_for(settings))
        keep_freed()
        collect_again()
        run(**values)
    if has_provenance and not is_quiet:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB
        print(last_line(command, time.monotonic() - start, peak), file=sys.stderr)


def _parse_settings(arguments: list[Argument], values: dict) -> Strict | None:
    for argument in arguments:
        if argument.is_settings:
            return parse_json(argument.kind, values[argument.name])
    return None


def _paths_with(role: Role, arguments: list[Argument], values: dict) -> Paths:
    """The arguments of a role that have a value, each with its paths."""
    paths = {}
    for argument in arguments:
        if role in argument.role and argument.name in values:
            value = values[argument.name]
            paths[argument] = value if isinstance(value, list) else [value]
    return paths


def _settings_files(values: dict, settings: Strict | None) -> list[Path]:
    """The file that has the settings, if they are no JSON text, and the files that they name."""
    if settings is None:
        return []
    from cotrain.files.provenance import named_files

    files = [Path(name) for name in named_files(_as_json(settings))]
    text = values["settings"]
    if not text.lstrip().startswith("{"):
        files.append(Path(text))
    return files


def _check_paths(inputs: Paths, outputs: Paths, settings_files: list[Path]) -> None:
    read = list(settings_files)
    for argument, files in inputs.items():
        read += files
        check = check_lookup if LOOKUP in argument.role else check_input
        for path in files:
            check(path)
    written = []
    for argument, files in outputs.items():
        for path in files:
            check_output(path, argument.role, argument.replaces)
            if not path.is_dir():  # a command that adds to a folder protects the files in it by itself
                written.append(path)
    check_overlap(written, read)


def _provenance(command: str, settings: Strict | None, inputs: Paths) -> dict:
    from cotrain.files.provenance import provenance

    by_name = {argument.name: files for argument, files in inputs.items()}
    return provenance(command, _as_json(settings), by_name)


def _as_json(settings: Strict | None) -> dict:
    if settings is None:
        return {}
    return settings.model_dump(mode="json", by_alias=True)


@contextlib.contextmanager
def _all_or_none(outputs: Paths) -> Iterator[None]:
    """When the command fails, remove the outputs that it finished; what was there before stays."""
    new_paths = []
    for argument, files in outputs.items():
        if KEPT not in argument.role:
            new_paths += [path for path in files if not os.path.lexists(path)]
    try:
        yield
    except BadInput:
        from cotrain.files import atomic

        for path in new_paths:
            atomic.remove(path)
        raise


def _gpus_for(settings: Strict | None) -> contextlib.AbstractContextManager:
    """Lease GPUs for a command with a network, unless its settings say `device: cpu`."""
    if getattr(settings, "device", "cpu") == "cpu":
        return contextlib.nullcontext()
    return lease(getattr(settings, "gpus", 1))


def _terminate(*_: object) -> NoReturn:
    """On SIGTERM: leave by way of the `finally` blocks, which remove what is half written."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
