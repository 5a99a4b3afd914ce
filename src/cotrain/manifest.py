"""What code made a file: a hash of every definition that a stage can reach, found by following names and imports.

Comments, blank lines and docstrings do not count. A definition is a function, a class or an assignment at the top of a
module; a name that is looked up in a way that cannot be followed counts as the whole module.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
NAME = PACKAGE.name


def manifest(stage: str) -> dict[str, str]:
    """Hash of each definition that a stage uses: `module.name` → 16 hex digits. Raises KeyError for no such stage."""
    found: dict[str, str] = {}
    todo = [(f"stages.{stage}", None)]
    seen = set(todo)
    while todo:
        module, name = todo.pop()
        parts = _definitions(module)
        wanted = parts if name is None else {n: parts[n] for n in (name, "") if n in parts}
        for part, (digest, used) in wanted.items():
            found[f"{module}.{part}".rstrip(".")] = digest
            todo += used - seen
            seen |= used
    return dict(sorted(found.items()))


@cache
def _definitions(module: str) -> dict[str, tuple[str, set[tuple[str, str | None]]]]:
    """Each definition of a module: its hash, and the (module, name) it uses. "" stands for the other statements."""
    file = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    if not file.exists():
        file = PACKAGE.joinpath(*module.split("."), "__init__.py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = _imports(tree)
    parts: dict[str, list[ast.stmt]] = {"": []}
    for statement in tree.body:
        for name in _names(statement):
            parts.setdefault(name, []).append(statement)
    own = parts.keys()
    return {
        name: (_digest(statements), set().union(*(_uses(s, module, own, imports) for s in statements)))
        for name, statements in parts.items()
    }


def _names(statement: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines; [""] if it only acts."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [n.id for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)] or [""]


def _imports(tree: ast.Module) -> dict[str, tuple[str, str | None]]:
    """Names that mean something of this package: a module (module, None) or a definition (module, name)."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            inside = node.module.removeprefix(NAME).lstrip(".")
            for alias in node.names:
                path = f"{inside}.{alias.name}".lstrip(".")
                is_module = PACKAGE.joinpath(*path.split(".")).with_suffix(".py").exists()
                found[alias.asname or alias.name] = (path, None) if is_module else (inside or "__init__", alias.name)
    return found


def _uses(statement: ast.stmt, module: str, own, imports: dict) -> set[tuple[str, str | None]]:
    used, followed = set(), set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            target = imports.get(node.value.id)
            if target and target[1] is None:
                used.add((target[0], node.attr))
                followed.add(id(node.value))
        elif isinstance(node, ast.Name) and id(node) not in followed:  # an attribute comes before its value
            if node.id in imports:
                used.add(imports[node.id])
            elif node.id in own:
                used.add((module, node.id))
    return used | {(module, "")}


def _digest(statements: list[ast.stmt]) -> str:
    return hashlib.sha256("\n".join(ast.dump(_bare(s)) for s in statements).encode()).hexdigest()[:16]


def _bare(statement: ast.stmt) -> ast.stmt:
    """Without docstrings; those of settings classes and stages are help texts."""
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = body[1:] or [ast.Pass()]
    return statement
