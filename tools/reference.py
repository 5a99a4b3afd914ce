"""Every key of the config and every command, as tables: the parts of docs/config.md and docs/commands.md between marks.

`python tools/reference.py` rewrites both from the settings classes, config.yaml and the command line itself.
"""

import argparse
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel

from cotrain import cli
from cotrain.settings.config import Config

PROJECT = Path(__file__).parents[1]
COMMAND = "python tools/reference.py"
START, END = f"<!-- {COMMAND} writes all from here -->\n", "<!-- to here -->\n"


class Key(NamedTuple):
    """A key of a settings class, as its JSON schema has it."""

    name: str  # dotted
    schema: dict
    required: bool
    section: bool = False  # it stands for the keys that follow, and may be null instead

    @property
    def meaning(self) -> str:
        return self.schema.get("description", "").replace("<", "&lt;")

    @property
    def values(self) -> str:
        return "section or null" if self.section else values(self.schema).replace("<", "&lt;")

    @property
    def default(self) -> str:
        value = self.schema.get("default")
        return "" if "default" not in self.schema else "…" if self.section and value else cell(value)


# ---- keys -------------------------------------------------------------------------------------------------------


def keys(kind: type[BaseModel]) -> Iterator[Key]:
    """The keys of a class in their order, those of its sections too."""
    schema = kind.model_json_schema(by_alias=True)  # which leaves out defaults that are made when asked for
    made = {name: field.default_factory() for name, field in kind.model_fields.items() if field.default_factory}
    defaults = {name: section.model_dump(mode="json") for name, section in made.items()}
    yield from _keys(schema, schema.get("$defs", {}), "", defaults)


def _keys(section: dict, classes: dict, prefix: str, defaults: dict) -> Iterator[Key]:
    """`defaults` are those that the section has where it stands, which may differ from those of its class."""
    for name, schema in section.get("properties", {}).items():
        schema = schema | ({"default": defaults[name]} if name in defaults else {})
        choices = [classes[c["$ref"].split("/")[-1]] if "$ref" in c else c for c in schema.get("anyOf", [schema])]
        below = next((choice for choice in choices if "properties" in choice), None)
        if not below or len(choices) > 1:
            yield Key(f"{prefix}{name}", schema, name in section.get("required", []), bool(below))
        if below:
            yield from _keys(below, classes, f"{prefix}{name}.", schema.get("default") or {})


def values(schema: dict) -> str:
    """What a key may hold, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(values(choice) for choice in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if items := schema.get("prefixItems"):
        kinds = {values(item) for item in items}
        return f"list of {len(items)}: {kinds.pop()}" if len(kinds) == 1 else "list"
    kind = schema.get("type")
    if kind == "array":
        return f"list of: {values(schema.get('items', {}))}"
    if kind not in ("integer", "number"):
        return {"boolean": "true or false", "string": "text", "null": "null"}.get(kind, "mapping")
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} {schema['minimum']:g} to {schema['maximum']:g}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {_power(schema[key])}" for key, sign in signs.items() if key in schema]
    return f"{kind} {', '.join(bounds)}".strip()


def _power(number: float) -> str:
    return "2^63" if number == 2**63 else f"{number:g}"


def cell(value: object) -> str:
    """A value as YAML has it, on one line."""
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |\n" for line in lines)


# ---- docs/config.md ---------------------------------------------------------------------------------------------


def config_keys() -> str:
    """A table for each section of the config: keys, what they may hold, their values, what they mean."""
    demo = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    groups: dict[str, list[list[str]]] = {}
    for key in keys(Config):
        first, dot, _ = key.name.partition(".")
        here = "…" if key.section and value_of(demo, key.name) else cell(value_of(demo, key.name))
        row = [f"`{key.name}`", key.values, here if _there(demo, key.name) else "", key.default, key.meaning]
        groups.setdefault(first if dot or key.section else "General", []).append(row)
    head = ["key", "values", "config.yaml", "built in", "meaning"]
    return "\n".join(f"## {name}\n\n{table(head, rows)}" for name, rows in groups.items())


def value_of(config: dict | None, key: str) -> object:
    for part in key.split("."):
        config = (config or {}).get(part)
    return config


def _there(config: dict, key: str) -> bool:
    *path, last = key.split(".")
    section = value_of(config, ".".join(path)) if path else config
    return isinstance(section, dict) and last in section


# ---- docs/commands.md -------------------------------------------------------------------------------------------


def commands() -> str:
    """A section for each command: what it does, its arguments, its settings."""
    rows = [[f"[`{name}`](#{name})", text] for name, text in cli.STAGES.items()]
    return "\n".join([table(["command", "what it does"], rows), *map(command, cli.STAGES)])


def command(name: str) -> str:
    parser, run = cli.parsers(name)[1][name], cli.run_of(name)
    parts = [f"## {name}\n", *_paragraphs(parser.description)]
    if arguments := [
        _argument(action) for action in parser._actions if action.dest not in ("help", "quiet", "settings")
    ]:
        parts.append(table(["argument", "", "meaning"], arguments))
    if settings := settings_of(run):
        rows = [
            [f"`{key.name}`", key.values, "**required**" if key.required else key.default, key.meaning]
            for key in keys(settings)
        ]
        rows and parts.append(table(["key of `--settings`", "values", "default", "meaning"], rows))
    return "\n".join(parts)


def settings_of(run: Callable) -> type[BaseModel] | None:
    kinds = [parameter.annotation for parameter in inspect.signature(run).parameters.values()]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _paragraphs(text: str) -> list[str]:
    """A docstring as Markdown: lines of a paragraph joined, names in capitals and braces left as they are."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.replace("\n", "\n\n", 1))]
    return [part.replace("<", "&lt;") + "\n" for part in paragraphs if part]


def _argument(action: argparse.Action) -> list[str]:
    metavar = "" if action.nargs == 0 else action.metavar or action.dest.upper()
    metavar = " ".join(metavar) if isinstance(metavar, tuple) else metavar
    many = {"+": " …", "*": " …", 2: f" {metavar}"}.get(action.nargs, "")
    if isinstance(action, argparse._AppendAction) and not action.nargs:
        many = ", again for each"
    name = f"{action.option_strings[-1]} {metavar}".strip() if action.option_strings else metavar
    required = action.required or (not action.option_strings and action.nargs not in ("?", "*"))
    return [f"`{name}`{many}", "**required**" if required else "", action.help or ""]


# ---- both pages -------------------------------------------------------------------------------------------------

PAGES = {"docs/config.md": config_keys, "docs/commands.md": commands}


def parts(page: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks of a page."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    before, found, rest = text.partition(START)
    written, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"{page}: the marks {START.strip()} and {END.strip()} are missing")
    return before, written, after


def main() -> None:
    for page, write in PAGES.items():
        before, _, after = parts(page)
        Path(PROJECT / page).write_text(f"{before}{START}\n{write()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
