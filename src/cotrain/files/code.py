"""What code made a file: a hash of every definition that a stage reaches, found by following names and imports.

A definition is a function, a class or an assignment at the top of a module. A name that is looked up in a way that
cannot be followed counts as the whole module. Files beside a module that have its stem, such as the template of a page,
count like definitions. Comments, blank lines and docstrings do not count; neither do other people's packages.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]
COMMANDS = ("stages", "tools")  # the packages whose modules are commands
NAME = PACKAGE.name
ACTIONS = ""  # stands for the statements of a module that define nothing
_FUNCTIONS_AND_CLASSES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Use(NamedTuple):
    """A name that is used, and the dotted module below the package that it belongs to."""

    module: str
    name: str | None  # None: the whole module


class Definition(NamedTuple):
    digest: str  # 16 hex digits
    uses: set[Use]


class Module(NamedTuple):
    definitions: dict[str, Definition]
    imports: dict[str, Use]


# ---- what a stage reaches ---------------------------------------------------------------------------------------


@cache
def manifest(stage: str) -> dict[str, str]:
    """Hash of each definition that a stage uses: `module.name` → 16 hex digits. Raises KeyError for no such stage."""
    command = Use(module_of(stage), None)
    hashes: dict[str, str] = {}
    seen = {command}
    waiting = [command]
    while waiting:
        use = waiting.pop()
        uses = _forwarded(use)
        for name, definition in _definitions(use).items():
            hashes[f"{use.module}.{name}".rstrip(".")] = definition.digest
            uses |= definition.uses
        waiting += uses - seen
        seen |= uses
    for module in {use.module for use in seen}:
        hashes |= _companions(module)
    return dict(sorted(hashes.items()))


def module_of(command: str) -> str:
    """Dotted module, below the package, of a command. Raises KeyError for no such command."""
    for package in COMMANDS:
        if _file(f"{package}.{command}").is_file():
            return f"{package}.{command}"
    raise KeyError(command)


def _definitions(use: Use) -> dict[str, Definition]:
    """The definitions that count for a use, with what its module does when it is imported."""
    definitions = _parse(use.module).definitions
    if use.name is None:
        return definitions
    return {name: definitions[name] for name in (use.name, ACTIONS) if name in definitions}


def _forwarded(use: Use) -> set[Use]:
    """Where a name leads that its module imports; the whole module if the name is defined in a hidden way."""
    module = _parse(use.module)
    if use.name is None or use.name in module.definitions:
        return set()
    return {module.imports.get(use.name, Use(use.module, None))}


def _companions(module: str) -> dict[str, str]:
    """Hashes of the files beside a module that have its stem, such as page.html and page.css beside page.py."""
    source = _file(module)
    hashes = {}
    for file in source.parent.glob(f"{source.stem}.*"):
        if file.stem == source.stem and not file.suffix.startswith(".py"):
            name = ".".join(file.relative_to(PACKAGE).parts)
            hashes[name] = _short_hash(file.read_bytes())
    return hashes


# ---- one module -------------------------------------------------------------------------------------------------


def _file(module: str) -> Path:
    """The source of a module, or the __init__.py of a package; it need not exist."""
    path = PACKAGE.joinpath(*module.split("."))
    file = path.with_suffix(".py")
    return file if file.is_file() else path / "__init__.py"


@cache
def _parse(module: str) -> Module:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    imports = _imports(tree, module)
    statements: dict[str, list[ast.stmt]] = {ACTIONS: []}
    for statement in tree.body:
        for name in _defined(statement):
            statements.setdefault(name, []).append(statement)
    definitions = {}
    for name, body in statements.items():
        uses = set()
        for statement in body:
            uses |= _uses(statement, module, statements.keys(), imports)
        definitions[name] = Definition(_digest(body), uses)
    for imported in imports.values():  # importing a module runs its statements
        definitions[ACTIONS].uses.add(Use(imported.module, ACTIONS))
    return Module(definitions, imports)


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module defines; [ACTIONS] if it defines none."""
    if isinstance(statement, _FUNCTIONS_AND_CLASSES):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom) or _is_text(statement):
        return []
    names = []
    for target in _targets(statement):
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                names.append(node.id)
    return names or [ACTIONS]


def _targets(statement: ast.stmt) -> list[ast.expr]:
    """What stands left of the = of a statement, or is the variable of a loop."""
    if hasattr(statement, "targets"):
        return statement.targets
    target = getattr(statement, "target", None)
    return [] if target is None else [target]


def _uses(statement: ast.stmt, module: str, own_names: set[str], imports: dict[str, Use]) -> set[Use]:
    """What a statement of a module uses of this package; `own_names` are what the module defines."""
    names = {name: Use(module, name) for name in own_names} | imports
    uses = {Use(module, ACTIONS)}
    followed = set()  # modules in front of a dot
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            imported = imports.get(node.value.id)
            if imported and imported.name is None:
                uses.add(Use(imported.module, node.attr))
                followed.add(node.value)
        elif isinstance(node, ast.Name) and node.id in names and node not in followed:  # walked after the attribute
            uses.add(names[node.id])
    return uses


# ---- imports ----------------------------------------------------------------------------------------------------


def _imports(tree: ast.Module, module: str) -> dict[str, Use]:
    """Names of a module that stand for modules or definitions of this package."""
    imports: dict[str, Use] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= _plain_imports(node)
        elif isinstance(node, ast.ImportFrom):
            imports |= _imports_from(node, module)
    return imports


def _plain_imports(node: ast.Import) -> dict[str, Use]:
    imports = {}
    for alias in node.names:
        path = _inside(alias.name)
        if path is not None:
            imports[alias.asname or NAME] = Use(path or "__init__", None)
    return imports


def _imports_from(node: ast.ImportFrom, module: str) -> dict[str, Use]:
    path = _inside(_origin(node, module))
    if path is None:
        return {}
    imports = {}
    for alias in node.names:
        submodule = f"{path}.{alias.name}".lstrip(".")
        is_module = _file(submodule).is_file()
        use = Use(submodule, None) if is_module else Use(path or "__init__", alias.name)
        imports[alias.asname or alias.name] = use
    return imports


def _origin(node: ast.ImportFrom, module: str) -> str:
    """Dotted path of what a module imports from; of a relative import too."""
    if not node.level:
        return node.module
    place = [NAME, *module.split(".")]
    if _file(module).name == "__init__.py" and module != "__init__":
        place.append("__init__")
    parents = place[: -node.level]
    return ".".join([*parents, node.module] if node.module else parents)


def _inside(path: str) -> str | None:
    """A dotted path below this package, "" for the package itself; None if it is of another package."""
    head, _, rest = path.partition(".")
    return rest if head == NAME else None


# ---- hashes -----------------------------------------------------------------------------------------------------


def _digest(statements: list[ast.stmt]) -> str:
    dumps = [ast.dump(_without_docstrings(statement)) for statement in statements]
    return _short_hash("\n".join(dumps).encode())


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    """Help texts are docstrings of settings classes and stages: they change nothing that a stage makes."""
    for node in ast.walk(statement):
        if isinstance(node, _FUNCTIONS_AND_CLASSES) and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]
    return statement


def _is_text(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return isinstance(statement.value.value, str)
