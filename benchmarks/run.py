"""All benchmarks: `python benchmarks/run.py [PART …]` (`make bench`) prints their tables and writes docs/benchmarks.md.

A part is written anew with the commit, day, machine and versions it was measured with. The others stay as they are, and
so do those that no script measures.
"""

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from common import PROJECT

PAGE = PROJECT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

`make bench` measures all of this and writes this page; `python benchmarks/run.py PART …` does so for some parts.
Numbers are set against bare ones of the same run, measured in turns with them, and are medians of several.
"""
LARGE = "inference.py --size 1024 2048 --images 4 --repeats 3 --ways"
PARTS = {  # heading: script and arguments
    "Training": ["training.py", "--turns", "2"],
    "Inference": ["inference.py"],
    "Inference of large images": [*LARGE.split(), "whole image, K = 1", "whole image, K = 3"],
    "Label maps": ["labels.py"],
    "Starting": ["startup.py", "--demo"],
    "Restart files": ["restart.py"],
    "Shards": ["merge.py"],
    "Plan": ["plan.py"],
    "Models": ["models.py"],
}
VERSIONS = ["torch", "torchvision", "segmentation-models-pytorch", "numpy", "h5py", "pandas", "snakemake"]


def processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


def machine() -> str:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    words = [f"{len(os.sched_getaffinity(0))} cores of {processor()}", f"{gigabytes:.0f} GB"]
    import torch

    words += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["no GPU"]
    return ", ".join(words)


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if git("diff", "HEAD", "src") else "")


def measured(heading: str) -> str:
    """The section of a part, with its tables as its script printed them."""
    script, *arguments = PARTS[heading]
    shown = " ".join(f'"{a}"' if " " in a else a for a in arguments)
    found = [f"## {heading}\n", f"`{' '.join(['python benchmarks/' + script, shown]).strip()}`"]
    found += [f"at {commit()}, {datetime.date.today()}, Python {platform.python_version()};"]
    found += [", ".join(f"{name} {version(name)}" for name in VERSIONS) + f". {machine()}.\n"]
    print(*found, sep="\n", flush=True)
    lines = []
    command = [sys.executable, str(PROJECT / "benchmarks" / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines += [line] if line.startswith("|") or not line.strip() else []
    if process.returncode:
        sys.exit(f"benchmarks/{script} failed; nothing of it is written")
    return "\n".join(found) + "\n" + re.sub(r"\n{3,}", "\n\n", "".join(lines).strip()) + "\n"


def with_section(page: str, heading: str, text: str) -> str:
    """The page with a section written anew: those of PARTS in their order, then what was measured by hand."""
    sections_of_page = {section.split("\n", 1)[0]: "## " + section for section in page.split("\n## ")[1:]}
    sections_of_page[heading] = text
    by_hand = [heading for heading in sections_of_page if heading not in PARTS]
    sections = [sections_of_page[heading].strip() for heading in (*PARTS, *by_hand) if heading in sections_of_page]
    return "\n\n".join([HEAD.strip(), *sections]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := [part for part in wanted if part not in PARTS]:
        parser.error(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    for part in wanted:
        text = measured(part)
        page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        PAGE.write_text(with_section(page, part, text), encoding="utf-8")


if __name__ == "__main__":
    main()
