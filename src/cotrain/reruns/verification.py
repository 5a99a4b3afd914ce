"""Whether the files of a run are what their sidecars say, and were made from the inputs that are there."""

from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import dropped, entries, kept, made_files
from cotrain.reruns.inputs import Checker

OURS = {".h5", ".csv", ".json", ".pt"}  # endings of files that must have a sidecar


def faults(folder: Path) -> tuple[int, list[str]]:
    """How many files were checked, and a line for each that is not what its sidecar says.

    Checked are all files below the folder, and their inputs wherever they are.
    """
    files = _files_and_inputs(folder)
    lines = {}
    for path in files:
        fault = _own_fault(path)
        if fault:
            lines[path] = fault
    checker = Checker()
    for path in sorted(files - lines.keys()):
        blamed = _changed_inputs(path, lines, checker)
        if blamed:
            lines[path] = f"{path}: was made from other files: {', '.join(blamed)}; run snakemake"
    return len(files), [lines[path] for path in sorted(lines)]


def check_folder(folder: Path) -> None:
    """Raise BadInput unless there is a file of ours in the folder."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give the folder of a run, such as results/demo")
    if not made_files(folder):
        raise BadInput(f"{folder}: no file of cotrain is there; give the folder of a run, such as results/demo")


def _files_and_inputs(folder: Path) -> set[Path]:
    """Our files below a folder, and all their inputs that cotrain made."""
    pending = _ours(folder)
    files = set()
    while pending:
        path = pending.pop()
        if path in files:
            continue
        files.add(path)
        record = kept(path)
        if record:
            inputs = [Path(entry["path"]) for _, entry in entries(record["provenance"])]
            pending += [place for place in inputs if kept(place)]
    return files


def _ours(folder: Path) -> list[Path]:
    """Files below a folder that have a sidecar, or should have one."""
    ours = set(made_files(folder))
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and path.suffix in OURS and path.is_file():
            ours.add(path)
    return sorted(ours)


def _own_fault(path: Path) -> str | None:
    """What is wrong with a file itself."""
    if dropped(path):
        return None
    if not path.exists():
        return f"{path}: it is gone; run snakemake"
    record = kept(path)
    if record is None:
        return f"{path}: nothing is known of how it was made; delete it and run snakemake"
    if record["sha256"] != sha256(path):
        return f"{path}: it was changed after it was made; delete it and run snakemake"
    return None


def _changed_inputs(path: Path, lines: dict[Path, str], checker: Checker) -> list[str]:
    """Inputs of a file that are gone or changed, in words, but those that have a line of their own."""
    provenance = kept(path)["provenance"]
    changed = []
    for role, entry in entries(provenance):
        fault = checker.fault(role, entry, provenance["settings"])
        if fault and Path(entry["path"]) not in lines:
            changed.append(f"{entry['path']} is {fault}")
    return changed
