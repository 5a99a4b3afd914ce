"""Whether the files of a run are what their provenance says, and which code counts as theirs."""

import json
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files import atomic
from cotrain.files.code import manifest
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import dropped, entries, kept, made_files, sidecar
from cotrain.reruns.lineage import Checker

OURS = {".h5", ".csv", ".json", ".pt"}  # endings of files that must have their provenance beside them


def faults(folder: Path) -> tuple[int, list[str]]:
    """How many files were checked, and a line for each that is not what its making says.

    Checked are all files below the folder, and their inputs wherever they are.
    """
    paths = _files_and_inputs(folder)
    lines = {}
    for path in paths:
        fault = _own_fault(path)
        if fault:
            lines[path] = fault
    checker = Checker()
    for path in sorted(paths - lines.keys()):
        other_inputs = _other_inputs(path, checker, lines)
        if other_inputs:
            lines[path] = f"{path}: was made from other files: {', '.join(other_inputs)}; run snakemake"
    return len(paths), [lines[path] for path in sorted(lines)]


def _files_and_inputs(folder: Path) -> set[Path]:
    pending = _ours(folder)
    paths: set[Path] = set()
    while pending:
        path = pending.pop()
        if path in paths:
            continue
        paths.add(path)
        record = kept(path)
        for _, entry in entries(record["provenance"]) if record else ():
            if kept(Path(entry["path"])):
                pending.append(Path(entry["path"]))
    return paths


def _ours(folder: Path) -> list[Path]:
    """Files below a folder that have their provenance beside them, or should have."""
    paths = set(made_files(folder))
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in OURS and not is_hidden and path.is_file():
            paths.add(path)
    return sorted(paths)


def _own_fault(path: Path) -> str | None:
    record = kept(path)
    if dropped(path):
        return None
    if not path.exists():
        return f"{path}: it is gone; run snakemake"
    if record is None:
        return f"{path}: nothing is known of how it was made; delete it and run snakemake"
    if record["sha256"] != sha256(path):
        return f"{path}: it was changed after it was made; delete it and run snakemake"
    return None


def _other_inputs(path: Path, checker: Checker, faulty: dict[Path, str]) -> list[str]:
    """Inputs of a file that are not as they were read, but for those that are told as `faulty` themselves."""
    provenance = kept(path)["provenance"]
    inputs = []
    for role, entry in entries(provenance):
        fault = checker.fault(role, entry, provenance["settings"])
        if fault and Path(entry["path"]) not in faulty:
            inputs.append(f"{entry['path']} is {fault}")
    return inputs


def accept(folder: Path) -> int:
    """Let the files below a folder count as made by the code of now; returns how many were not.

    This is written beside the files. Their provenance still tells what code made them.
    """
    count = 0
    for path in made_files(folder):
        record = kept(path)
        if record is None:
            continue
        try:
            now = manifest(record["provenance"]["stage"])
        except KeyError:  # a stage that there is no more
            continue
        if record.get("accepted", record["provenance"].get("definitions")) != now:
            count += 1
            text = json.dumps({**record, "accepted": now}, indent=1, sort_keys=True)
            atomic.write_bytes(sidecar(path), text.encode())
    return count


def check_folder(folder: Path) -> None:
    """Raises BadInput unless a folder has files of this project."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give the folder of a run, such as results/demo")
    if not made_files(folder):
        raise BadInput(f"{folder}: no file of cotrain is there; give the folder of a run, such as results/demo")
