"""Draws docs/rooms.svg, the packages of src/cotrain and which imports which: `python docs/rooms.py` (needs graphviz).

An arrow that follows from two others is left out.
"""

import ast
import subprocess
from pathlib import Path

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "src" / "cotrain"
STYLE = """
  rankdir=TB; bgcolor=white; nodesep=0.25; ranksep=0.35;
  node [shape=box, style="rounded,filled", fillcolor="#eef3fa", color="#5b7aa8",
        fontname="Helvetica,Arial,sans-serif", fontsize=12, margin="0.14,0.07"];
  edge [color="#8a97a8", arrowsize=0.6];
"""


def rooms() -> dict[str, str]:
    """Name of each package → the first sentence that it says of itself."""
    texts = {}
    for path in sorted(PACKAGE.glob("*/__init__.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        texts[path.parent.name] = docstring.splitlines()[0]
    return texts


def imported(room: str) -> set[str]:
    """Packages that a package imports from."""
    packages = set()
    for path in (PACKAGE / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cotrain."):
                packages.add(node.module.split(".")[1])
    return packages - {room}


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    """Packages that a package imports from, by way of others too."""
    reached: set[str] = set()
    pending = list(arrows.get(start, ()))
    while pending:
        room = pending.pop()
        if room not in reached:
            reached.add(room)
            pending.extend(arrows.get(room, ()))
    return reached


def main() -> None:
    texts = rooms()
    arrows = {room: imported(room) & texts.keys() for room in texts}
    lines = [f'  {room} [label=<<b>{room}</b>>, tooltip="{text}"];' for room, text in texts.items()]
    for room, direct in arrows.items():
        indirect = set().union(*(reachable(arrows, other) for other in direct))
        lines += [f"  {room} -> {other};" for other in sorted(direct - indirect)]
    dot = "digraph rooms {" + STYLE + "\n".join(lines) + "\n}\n"
    subprocess.run(["dot", "-Tsvg", "-o", DOCS / "rooms.svg"], input=dot, text=True, check=True)


if __name__ == "__main__":
    main()
