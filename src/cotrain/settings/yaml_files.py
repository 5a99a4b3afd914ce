"""YAML files that a person wrote."""

from pathlib import Path

import yaml

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short
from cotrain.settings.strict import Strict, parse, read_text


class _Loader(yaml.SafeLoader):
    """Executes nothing, and takes no key twice. That of libyaml is faster, and crashes where brackets never end."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        strict_json.refuse_twice(
            self.construct_object(key) for key, _ in node.value if isinstance(key, yaml.ScalarNode)
        )
        return super().construct_mapping(node, deep)


def read_plain(path: Path) -> object:
    """What a YAML file says, unchecked but for keys that occur twice."""
    try:
        return yaml.load(read_text(path), _Loader)
    except FileNotFoundError:
        others = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise BadInput(f"{path}: no such file; there are: {others}") from None
    except Exception as error:  # the YAML library raises many kinds for a bad text
        raise BadInput(f"{path}: not YAML ({in_short(error)}); mend it") from None


def joined(texts: dict[Path, object]) -> dict:
    """The config that Snakemake makes of what several files say: the later one wins, key by key."""
    from snakemake.utils import update_config

    config: dict = {}
    for path, text in texts.items():
        if not isinstance(text, dict):
            raise BadInput(f"{path}: not a config, which has keys and values; give config.yaml or overlays on it")
        try:
            strict_json.check(text)
        except ValueError as error:
            raise BadInput(f"{path}: {error}") from None
        update_config(config, text)
    return config


def read_yaml(path: Path, kind: type[Strict]) -> Strict:
    """A checked YAML file."""
    return parse(kind, read_plain(path), str(path))
