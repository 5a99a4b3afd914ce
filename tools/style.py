"""How dense the code is: `python tools/style.py [FOLDER …]` prints a row for each folder; by default, for each room.

A line of code has code on it: blank lines, comments and docstrings do not count. Nodes are the statements and
expressions of the syntax tree. The numbers are for people to look at; nothing fails because of them.
"""

import argparse
import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "cotrain"
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)
HEAD = ["", "lines", "nodes a line", "comprehensions", "ternaries", "functions", "median", "90 %", "longest", ""]


@dataclass
class Numbers:
    """Counts over some modules."""

    lines: int = 0
    nodes: int = 0
    comprehensions: int = 0
    ternaries: int = 0
    functions: list[tuple[int, str]] = field(default_factory=list)  # lines and place of each

    def add(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        self.lines += len(_lines_of_code(text, tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt | ast.expr):
                self.nodes += 1
            if isinstance(node, COMPREHENSIONS):
                self.comprehensions += 1
            if isinstance(node, ast.IfExp):
                self.ternaries += 1
            if isinstance(node, FUNCTIONS):
                length = node.end_lineno - node.lineno + 1
                self.functions.append((length, f"{path.name}:{node.name}"))

    def row(self, name: str) -> list[str]:
        lengths = [length for length, _ in self.functions] or [0]
        longest, place = max(self.functions, default=(0, ""))
        ninth_decile = sorted(lengths)[int(0.9 * len(lengths))]
        lines = max(1, self.lines)
        return [
            name,
            str(self.lines),
            f"{self.nodes / lines:.2f}",
            f"{1000 * self.comprehensions / lines:.0f} ‰",
            f"{1000 * self.ternaries / lines:.0f} ‰",
            str(len(self.functions)),
            f"{statistics.median(lengths):g}",
            str(ninth_decile),
            str(longest),
            place,
        ]


def _lines_of_code(text: str, tree: ast.Module) -> list[str]:
    docstrings = _docstring_lines(tree)
    code = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#") and number not in docstrings:
            code.append(line)
    return code


def _docstring_lines(tree: ast.Module) -> set[int]:
    numbers: set[int] = set()
    for node in ast.walk(tree):
        has_docstring = isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(
            node, clean=False
        )
        if has_docstring:
            text = node.body[0]
            numbers.update(range(text.lineno, text.end_lineno + 1))
    return numbers


def rows(folders: list[Path]) -> Iterator[list[str]]:
    """A row for each folder, and one for all of them together."""
    total = Numbers()
    for folder in folders:
        numbers = Numbers()
        for path in sorted(folder.rglob("*.py")):
            numbers.add(path)
            total.add(path)
        yield numbers.row(folder.name)
    if len(folders) > 1:
        yield total.row("all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    folders = parser.parse_args().folders
    if not folders:
        folders = sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
    table = [HEAD, *rows(folders)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        first, *others = cells
        aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print(first.ljust(widths[0]), *aligned, sep="  ")


if __name__ == "__main__":
    main()
