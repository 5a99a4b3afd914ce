"""What files were made of, back to the photographs: told, compared and checked."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files import atomic, origins
from cotrain.files.code import manifest
from cotrain.files.hashes import sha256
from cotrain.files.provenance import digest, listed
from cotrain.files.sidecars import dropped, entries, in_force, kept, made_files, sidecar
from cotrain.reruns.tickets import code_changes

OURS = {".h5", ".csv", ".json", ".pt"}  # endings of files that must have their provenance beside them


def made_by(path: Path) -> dict:
    """Provenance of a file, by the file beside it, or, where that is missing or of other bytes, by what is inside."""
    found = kept(path)
    if found and (dropped(path) or (path.exists() and found["sha256"] == sha256(path))):
        return found["provenance"]
    if path.suffix == ".pt":
        from cotrain.networks import checkpoint

        return checkpoint.read(path)["provenance"]
    return origins.read_provenance(path)


class Checker:
    """Compares inputs with how they were read; reads each file once."""

    def __init__(self) -> None:
        self.hashes: dict[tuple, str] = {}

    def fault(self, role: str, entry: dict, settings: dict) -> str:
        """What is wrong with an input: "gone", "changed since", or nothing."""
        path = Path(entry["path"])
        if dropped(path):
            return "" if kept(path)["sha256"] == entry["sha256"] else "changed since"
        if not path.exists():
            return "gone"
        key = (path, json.dumps(settings)) if role == "root" else (path,)
        if key not in self.hashes:
            self.hashes[key] = digest(role, path, settings)
        same = self.hashes[key] == entry["sha256"] and listed(path) == entry.get("listed")
        return "" if same else "changed since"


# ---- explain ----------------------------------------------------------------------------------------------------


def explanation(path: Path) -> Iterator[str]:
    """What made a file, in lines of text: stage, code, settings, and its inputs, each once, with what made them."""
    made = made_by(path)
    yield f"{path}  {_short(kept(path)['sha256'])}  dropped" if dropped(path) else f"{path}  {_short(sha256(path))}"
    accepted = "; later changes of it are accepted" if "accepted" in (kept(path) or {}) else ""
    if origin := (kept(path) or {}).get("taken_from"):
        yield f"taken from {origin}"
    yield f"made by {made['stage']} of cotrain {made['code']}, {len(made.get('definitions', {}))} definitions{accepted}"
    yield "settings" if made["settings"] else "settings: none"
    yield from (f"  {name}: {json.dumps(value)}" for name, value in sorted(_flat(in_force(made)).items()))
    yield "inputs, what made them, and theirs" if made["inputs"] else "inputs: none"
    yield from _tree(made, "  ", set(), Checker())


def _tree(made: dict, indent: str, seen: set[Path], checker: Checker) -> Iterator[str]:
    for role, entry in entries(made):
        path, found = Path(entry["path"]), kept(Path(entry["path"]))
        fault = checker.fault(role, entry, made["settings"])
        words = [f"{indent}{role}: {path}", _short(entry["sha256"])]
        words += ["above"] if path in seen else [_maker(role, found)]
        words += ["dropped"] if dropped(path) else []
        yield "  ".join([*words, *([fault.upper()] if fault else [])])
        if found and path not in seen:
            seen.add(path)
            yield from _tree(found["provenance"], f"{indent}  ", seen, checker)
        seen.add(path)


def _maker(role: str, found: dict | None) -> str:
    if found:
        return f"by {found['provenance']['stage']}"
    return "photographs, hashed by their names" if role == "root" else "not made by cotrain"


def differences(first: Path, second: Path, seen: set | None = None) -> Iterator[str]:
    """Lines of text: what differs between the making of two files, and of those of their inputs that differ."""
    seen = set() if seen is None else seen
    seen.add((first, second))
    a, b = made_by(first), made_by(second)
    lines = [f"stage: {a['stage']} → {b['stage']}"] if a["stage"] != b["stage"] else []
    was, now = _flat(in_force(a)), _flat(in_force(b))
    keys = [key for key in sorted(was.keys() | now.keys()) if was.get(key) != now.get(key)]
    lines += [f"setting {key}: {_json(was, key)} → {_json(now, key)}" for key in keys]
    lines += [f"code: {name}" for name in code_changes(a.get("definitions", {}), b.get("definitions", {}))]
    pairs = _pairs(a, b)
    lines += [f"input {role}: {_named(x)} → {_named(y)}" for role, x, y in pairs]
    if lines:
        yield f"{first} | {second}"
        yield from (f"  {line}" for line in lines)
    for _, x, y in pairs:
        paths = (Path(x["path"]), Path(y["path"])) if x and y else None
        if paths and paths[0] != paths[1] and paths not in seen and all(kept(path) for path in paths):
            yield from differences(*paths, seen)


def _pairs(a: dict, b: dict) -> list[tuple[str, dict | None, dict | None]]:
    """Inputs of the same role and place that were not read alike."""
    pairs = []
    for role in sorted(a["inputs"].keys() | b["inputs"].keys()):
        both = zip_longest(a["inputs"].get(role, []), b["inputs"].get(role, []))
        pairs += [(role, x, y) for x, y in both if _content(x) != _content(y)]
    return pairs


def _content(entry: dict | None) -> tuple | None:
    return entry and (entry["sha256"], entry.get("listed"))


def _named(entry: dict | None) -> str:
    return f"{entry['path']} ({_short(entry['sha256'])})" if entry else "none"


def _json(settings: dict, key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "none"


def _flat(settings: dict, prefix: str = "") -> dict:
    """Nested settings by dotted names."""
    found = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {f"{prefix}{name}": value}
    return found


def _short(text: str) -> str:
    return text[:16]


# ---- verify and accept ------------------------------------------------------------------------------------------


def faults(folder: Path) -> tuple[int, list[str]]:
    """How many files were checked, and a line for each that is not what its making says.

    Checked are all files below the folder, and their inputs wherever they are.
    """
    todo, checked, lines, checker = _ours(folder), set(), {}, Checker()
    while todo:
        path = todo.pop()
        if path in checked:
            continue
        checked.add(path)
        found = kept(path)
        if fault := _own_fault(path, found):
            lines[path] = fault
        inputs = [Path(entry["path"]) for _, entry in entries(found["provenance"])] if found else []
        todo += [path for path in inputs if kept(path)]
    for path in sorted(checked - lines.keys()):
        made = kept(path)["provenance"]
        wrong = ((entry["path"], checker.fault(role, entry, made["settings"])) for role, entry in entries(made))
        blamed = [f"{name} is {fault}" for name, fault in wrong if fault and Path(name) not in lines]
        if blamed:
            lines[path] = f"{path}: was made from other files: {', '.join(blamed)}; run snakemake"
    return len(checked), [lines[path] for path in sorted(lines)]


def _ours(folder: Path) -> list[Path]:
    """Files below a folder that have their provenance beside them, or should have."""
    seen = (p for p in folder.rglob("*") if not any(q.startswith(".") for q in p.relative_to(folder).parts))
    return sorted({*made_files(folder), *(path for path in seen if path.suffix in OURS and path.is_file())})


def _own_fault(path: Path, found: dict | None) -> str | None:
    if dropped(path):
        return None
    if not path.exists():
        return f"{path}: it is gone; run snakemake"
    if found is None:
        return f"{path}: nothing is known of how it was made; delete it and run snakemake"
    if found["sha256"] != sha256(path):
        return f"{path}: it was changed after it was made; delete it and run snakemake"
    return None


def accept(folder: Path) -> int:
    """Let the files below a folder count as made by the code of now; says how many were not.

    Written beside the files. Their provenance still tells what code it really was.
    """
    count = 0
    for path in made_files(folder):
        found = kept(path)
        try:
            now = manifest(found["provenance"]["stage"]) if found else None
        except KeyError:  # a stage that there is no more
            continue
        if found and found.get("accepted", found["provenance"].get("definitions")) != now:
            count += 1
            text = json.dumps(found | {"accepted": now}, indent=1, sort_keys=True)
            atomic.write_bytes(sidecar(path), text.encode())
    return count


def check_folder(folder: Path) -> None:
    """That there is something of ours."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give the folder of a run, such as results/demo")
    if not made_files(folder):
        raise BadInput(f"{folder}: no file of cotrain is there; give the folder of a run, such as results/demo")
