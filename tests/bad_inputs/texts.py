"""Settings, and YAML of datasets, label sets and config, that are hostile or say what cannot be meant."""

from pathlib import Path

from box import collector, write
from conftest import PROJECT

CASES, case = collector()


# ---- settings ---------------------------------------------------------------------------------------------------


def draw(box, settings: str) -> list[str]:
    return box.command("draw", settings, index=box.index)


@case("--settings: not JSON", "give text like")
def settings_that_are_no_json(box):
    return draw(box, '{"count": ')


@case("--settings: not JSON", "'count' occurs twice")
def setting_given_twice(box):
    return draw(box, '{"count": 2, "count": 3}')


@case("--settings: not JSON", "nested too deeply")
def settings_of_endless_brackets(box):
    return draw(box, '{"count": ' + "[" * 100_000)


@case("--settings: count.x.x", "nested more than 50 deep")
def settings_nested_too_deeply(box):
    return draw(box, '{"count": ' + '{"x": ' * 200 + "1" + "}" * 201)


@case("--settings: seed: a number of ", " bits; give one below 2^63")
def number_of_a_thousand_digits(box):
    return draw(box, '{"count": 2, "seed": 1' + "0" * 1000 + "}")


@case("--settings: not JSON", "4300 digits")
def number_of_five_thousand_digits(box):
    return draw(box, '{"count": 2, "seed": 1' + "0" * 5000 + "}")


@case("--settings: seed: nan is not a finite number")
def setting_that_is_nan(box):
    return draw(box, '{"count": 2, "seed": NaN}')


@case("--settings: seed: input should be greater than or equal to 0, got -1")
def negative_seed(box):
    return draw(box, '{"count": 2, "seed": -1}')


@case("--settings: cuont: unknown key; did you mean count?", "--settings: count: missing", lines=2)
def each_fault_of_the_settings_is_a_line(box):
    return draw(box, '{"cuont": 2}')


@case("--settings: a\\nerror: b: unknown key")
def line_break_in_a_key_makes_no_second_line(box):
    return draw(box, '{"count": 2, "a\\nerror: b": 1}')


@case("--settings: not JSON", "/dev/zero is not a file")
def settings_from_a_device_that_never_ends(box):
    return draw(box, "/dev/zero")


@case("--settings: not JSON", "more than 1,000,000 bytes")
def settings_in_a_huge_file(box):
    return draw(box, str(write(box / "settings.json", "[" * 1_000_001)))


@case("--settings: labels: values: 7 is none of the 3 classes")
def label_value_of_a_class_that_does_not_exist(box):
    settings = {"labels": {"classes": ["road", "car", "sky"], "values": {"0": 7}}, "size": [24, 32]}
    return box.command("statistics", settings, source=box.index)


@case("--settings: labels.values: 70000 is no id")
def label_value_that_no_image_can_have(box):
    settings = {"labels": {"classes": ["road", "car", "sky"], "values": {"70000": 0}}, "size": [24, 32]}
    return box.command("statistics", settings, source=box.index)


@case("--settings: labels.classes", "'miou' cannot be the name of a class")
def class_named_like_a_column_of_the_summary(box):
    settings = {"labels": {"classes": ["road", "miou"], "values": {}}, "size": [24, 32]}
    return box.command("statistics", settings, source=box.index)


@case("--settings: labels.classes", "'road' occurs twice")
def two_classes_of_one_name(box):
    settings = {"labels": {"classes": ["road", "road"], "values": {}}, "size": [24, 32]}
    return box.command("statistics", settings, source=box.index)


@case("--settings: scales.0: input should be less than or equal to 16")
def scale_that_would_fill_the_memory(box):
    settings = {"classes": ["road", "car", "sky"], "size": [24, 32], "scales": [1e9]}
    return box.command("infer", settings, model=box.index, images=box.index)


# ---- YAML: no command reads it, only the plan of a workflow -------------------------------------------------------

YAML, yaml_case = collector()
LABELSET = "name: own\nclasses:\n  road: [1, 2, 3]\n  car: [4, 5, 6]\n"


def plan(path: Path) -> None:
    """Read a label set of that path for a plan, as the workflow does."""
    from cotrain.procedure.plan import Plan

    domain = {"dataset": "toycity", "split": "target"}
    data = {"labelset": str(path), "source": domain | {"split": "source"}, "target": domain}
    Plan({"data": data}, PROJECT / "workflow")


@yaml_case("own.yaml: not YAML", "'road' occurs twice")
def class_given_twice(box):
    return LABELSET + "  road: [7, 8, 9]\n"


@yaml_case("own.yaml: not YAML", "'\\t'")
def yaml_with_tabs(box):
    return LABELSET.replace("  ", "\t")


@yaml_case("own.yaml: input should be a valid", "got null")
def empty_yaml(box):
    return ""


@yaml_case("own.yaml: input should be a valid", "got [")
def yaml_that_is_a_list(box):
    return "- road\n- car\n"


@yaml_case("own.yaml: not YAML", "python/object/apply")
def yaml_that_would_execute_code(box):
    return f"name: !!python/object/apply:pathlib.Path.touch ['{box / 'pwned'}']\n"


@yaml_case("own.yaml: more than 200,000 values")
def billion_laughs(box):
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines)


@yaml_case("own.yaml: name.0.0", "nested more than 50 deep")
def yaml_that_contains_itself(box):
    return "name: &a [*a]\n"


@yaml_case("own.yaml: not YAML", "recursion")
def yaml_of_endless_brackets(box):
    return "name: " + "[" * 5000


@yaml_case("own.yaml: name: ", 'got ["own"]', "own.yaml: classes.road: ", lines=2)
def yaml_of_wrong_types(box):
    return "name: [own]\nclasses:\n  road: red\n  car: [4, 5, 6]\n"


@yaml_case("own.yaml: classes.road.0: input should be less than or equal to 255")
def colour_above_255(box):
    return LABELSET.replace("[1, 2, 3]", "[256, 2, 3]")


@yaml_case("own.yaml: classes.road.0: inf is not a finite number")
def infinite_colour(box):
    return LABELSET.replace("[1, 2, 3]", "[.inf, 2, 3]")


@yaml_case("own.yaml: not YAML")
def yaml_in_another_encoding(box):
    return LABELSET.replace("own", "Zürich").encode("latin-1")


@yaml_case("own.yaml: not YAML")
def yaml_of_a_date_that_does_not_exist(box):
    return LABELSET.replace("own", "2024-99-99")


@yaml_case("own.yaml: not YAML", "more than 1,000,000 bytes")
def huge_yaml(box):
    return LABELSET + "#" * 1_000_000


# ---- config, as Snakemake hands it over -----------------------------------------------------------------------------

CONFIG, config_case = collector()


@config_case("config: run: the name must not begin with .")
def run_that_climbs_out_of_the_results(box):
    return {"run": ".."}


@config_case("config: run: ")
def run_with_a_slash(box):
    return {"run": "a/b"}


@config_case("config: run: ")
def run_with_a_shell_command(box):
    return {"run": "$(touch pwned)"}


@config_case("config: results: the path must not contain '{'")
def results_that_look_like_a_wildcard(box):
    return {"results": "a{b}"}


@config_case("config: results: the path must not contain '\\n'")
def results_with_a_line_break(box):
    return {"results": "a\nb"}


@config_case("config: results: the path must not begin with a dash")
def results_that_look_like_a_flag(box):
    return {"results": "-rf"}


@config_case("config: seed: a number of ")
def seed_of_a_thousand_digits(box):
    return {"seed": 10**1000}


@config_case("config: mix.target_share: nan is not a finite number")
def share_that_is_nan(box):
    return {"mix": {"target_share": float("nan")}}


@config_case("config: training.optimizer.weight_decay: inf is not a finite number")
def infinite_weight_decay(box):
    return {"training": {"optimizer": {"weight_decay": float("inf")}}}


@config_case("config: data.source.split: the path must stay below its folder")
def split_that_climbs_out(box):
    return {"data": {"source": {"dataset": "toycity", "split": "../.."}}}


@config_case("config: model.options", "nested more than 50 deep")
def options_that_contain_themselves(box):
    options: dict = {}
    options["a"] = options
    return {"model": {"options": options}}


@config_case("nowhere.yaml: no such file", "there are: ")
def dataset_that_does_not_exist(box):
    return {"data": {"source": {"dataset": "nowhere"}}}


def whole(change: dict) -> dict:
    """config.yaml with a change."""
    import yaml

    def merged(old: object, new: object) -> object:
        if isinstance(old, dict) and isinstance(new, dict) and old:
            return old | {key: merged(old.get(key), value) for key, value in new.items()}
        return new

    return merged(yaml.safe_load((PROJECT / "config.yaml").read_text()), change)


__all__ = ["CASES", "CONFIG", "YAML", "plan", "whole"]
