"""What code made a file: a hash of every definition that a stage can reach, found by following names and imports.

Comments, blank lines and docstrings do not count. A definition is a function, a class or an assignment at the top of a
module; a name that is looked up in a way that cannot be followed counts as the whole module. Other people's packages
do not count.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]
COMMANDS = ("stages", "tools")  # the packages whose modules are commands
NAME = PACKAGE.name

Use = tuple[str, str | None]  # a module and a name in it; None: all of it


class Module(NamedTuple):
    definitions: dict[str, tuple[str, set[Use]]]  # name → hash, and what it uses; "" stands for the other statements
    imports: dict[str, Use]


@cache
def manifest(stage: str) -> dict[str, str]:
    """Hash of each definition that a stage uses: `module.name` → 16 hex digits. Raises KeyError for no such stage."""
    command = module_of(stage)
    found: dict[str, str] = {}
    todo: list[Use] = [(command, None)]
    seen = set(todo)
    while todo:
        module, name = todo.pop()
        parts, imports = _module(module)
        used = set()
        if name is not None and name not in parts:  # imported there from elsewhere, or defined in a hidden way
            used.add(imports.get(name, (module, None)))
        for part in parts if name is None else parts.keys() & {name, ""}:
            found[f"{module}.{part}".rstrip(".")], uses = parts[part]
            used |= uses
        todo += used - seen
        seen |= used
    for file in _file(command).parent.glob(f"{stage}.*"):  # a page's template, style and script
        if file.suffix != ".py":
            found[f"stages.{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return dict(sorted(found.items()))


def module_of(command: str) -> str:
    """Dotted module, below the package, of a command. Raises KeyError for no such command."""
    for package in COMMANDS:
        if _file(f"{package}.{command}").is_file():
            return f"{package}.{command}"
    raise KeyError(command)


def _file(module: str) -> Path:
    file = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return file if file.is_file() else PACKAGE.joinpath(*module.split("."), "__init__.py")


@cache
def _module(name: str) -> Module:
    tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    imports = _imports(tree, name)
    parts: dict[str, list[ast.stmt]] = {"": []}
    for statement in tree.body:
        for part in _names(statement):
            parts.setdefault(part, []).append(statement)
    uses = {part: set().union(*(_uses(s, name, parts, imports) for s in body)) for part, body in parts.items()}
    uses[""] |= {(module, "") for module, _ in imports.values()}  # what an import does by itself
    return Module({part: (_digest(body), uses[part]) for part, body in parts.items()}, imports)


def _names(statement: ast.stmt) -> list[str]:
    """What a statement at the top of a module defines; [""] if it only acts."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom) or _is_text(statement):
        return []
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [n.id for target in targets if target for n in ast.walk(target) if isinstance(n, ast.Name)] or [""]


def _imports(tree: ast.Module, module: str) -> dict[str, Use]:
    """Names that mean something of this package: a module (module, None) or a definition (module, name)."""
    found: dict[str, Use] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (inside := _inside(alias.name)) is not None:
                    found[alias.asname or NAME] = (inside or "__init__", None)
        elif isinstance(node, ast.ImportFrom):
            above = [NAME, *module.split(".")][: -node.level] if node.level else []
            inside = _inside(".".join([*above, *([node.module] if node.module else [])]))
            for alias in node.names if inside is not None else []:
                path = f"{inside}.{alias.name}".lstrip(".")
                is_module = _file(path).is_file()
                found[alias.asname or alias.name] = (path, None) if is_module else (inside or "__init__", alias.name)
    return found


def _inside(path: str) -> str | None:
    """A dotted path within this package, "" for the package itself; None if it is of another one."""
    head, _, rest = path.partition(".")
    return rest if head == NAME else None


def _uses(statement: ast.stmt, module: str, own: dict, imports: dict[str, Use]) -> set[Use]:
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
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]
    return statement


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
