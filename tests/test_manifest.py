"""Which definitions a stage reaches, on a small package written by each test."""

import textwrap

import pytest

from cotrain.files import code as module
from cotrain.files.code import manifest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package({file: text})` writes modules and gives the manifest of the stage `s`."""
    root = tmp_path / "pack"
    (root / "stages").mkdir(parents=True)
    monkeypatch.setattr(module, "PACKAGE", root)
    monkeypatch.setattr(module, "NAME", "pack")

    def write(files: dict[str, str]) -> dict[str, str]:
        for name in ("__init__.py", "stages/__init__.py"):
            (root / name).touch()
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(textwrap.dedent(text))
        manifest.cache_clear()
        module._parse.cache_clear()
        return manifest("s")

    yield write
    manifest.cache_clear()
    module._parse.cache_clear()


def changed(package, files: dict[str, str], name: str, text: str) -> list[str]:
    """Definitions that differ after the file `name` becomes `text`."""
    before, after = package(files), package(files | {name: text})
    return sorted(d for d in before.keys() | after.keys() if before.get(d) != after.get(d))


STAGE = "from pack.a import f\n\ndef run(): return f()\n"


LIBRARY = """
    from pack import b

    LIMIT = 3

    def f(): return g() + b.h(LIMIT)
    def g(): return 1
    def unused(): return 2
"""
FILES = {"stages/s.py": STAGE, "a.py": LIBRARY, "b.py": "def h(x): return x\n\ndef other(): return 0\n"}


def test_what_a_stage_reaches_counts_and_its_neighbours_do_not(package):
    found = {name for name in package(FILES) if not name.startswith("__init__")}
    assert found == {"stages.s", "stages.s.run", "a", "a.LIMIT", "a.f", "a.g", "b", "b.h"}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("a.py", "return 1", "return 11", ["a.g"]),
        ("a.py", "LIMIT = 3", "LIMIT = 4", ["a.LIMIT"]),
        ("a.py", "return 2", "return 22", []),
        ("b.py", "return x", "return -x", ["b.h"]),
        ("b.py", "return 0", "return 9", []),
        ("stages/s.py", "return f()", "return f(), 1", ["stages.s.run"]),
        ("b.py", "def h(x): return x", "def h(x):\n    '''Text.'''\n    return x  # comment", []),
        ("b.py", "def h", '"""Text of the module."""\n\n\n\ndef h', []),
        ("b.py", "def other", "print('loaded')\n\ndef other", ["b"]),
    ],
)
def test_an_edit_changes_the_hash_of_its_definition_alone(package, file, old, new, expected):
    text = textwrap.dedent(FILES[file])
    assert old in text
    assert changed(package, FILES, file, text.replace(old, new)) == expected


@pytest.mark.parametrize(
    "stage",
    [
        "from pack import a\n\ndef run(): return a.g()\n",
        "from pack import a as other\n\ndef run(): return other.g()\n",
        "from pack.a import g as other\n\ndef run(): return other()\n",
        "import pack.a\n\ndef run(): return pack.a.g()\n",
        "import pack.a as other\n\ndef run(): return other.g()\n",
        "from .. import a\n\ndef run(): return a.g()\n",
        "from ..a import g\n\ndef run(): return g()\n",
        "def run():\n    from pack import a\n    return a.g()\n",
        "from pack import a\n\ndef run(name): return getattr(a, name)()\n",
        "from pack import a\n\nTABLE = {'g': a.g}\n\ndef run(name): return TABLE[name]()\n",
        "from pack.passes_on import g\n\ndef run(): return g()\n",
        "from pack import passes_on\n\ndef run(): return passes_on.g()\n",
        "from pack.a import g\n\ndef wrap(f): return f\n\n@wrap\ndef run(f=g): return f()\n",
        "from pack.a import g\n\nclass Work:\n    def do(self): return g()\n\ndef run(): return Work().do()\n",
    ],
)
def test_every_way_to_reach_a_function_is_followed(package, stage):
    files = FILES | {"stages/s.py": stage, "passes_on.py": "from pack.a import g\n"}
    assert "a.g" in changed(package, files, "a.py", LIBRARY.replace("return 1", "return 11"))


def test_what_an_import_does_by_itself_counts(package):
    """A module that is imported for its effect is used by no name."""
    files = {"stages/s.py": "from pack import patch\n\ndef run(): return 1\n", "patch.py": "def f(): return 1\n\nf()\n"}
    assert changed(package, files, "patch.py", "def f(): return 2\n\nf()\n") == ["patch.f"]


def test_modules_that_use_each_other_end(package):
    files = {
        "stages/s.py": "from pack.a import f\n\ndef run(): return f()\n",
        "a.py": "from pack import b\n\ndef f(): return b.g()\n",
        "b.py": "from pack import a\n\ndef g(): return a.f()\n",
    }
    assert {"a.f", "b.g"} <= package(files).keys()


def test_there_is_no_manifest_of_a_stage_that_there_is_not(package):
    package(FILES)
    with pytest.raises(KeyError):
        manifest("draw")


@pytest.mark.parametrize("folder", ["stages", "report"])
def test_template_style_and_script_beside_a_module_that_is_reached_count(package, folder):
    files = FILES | {"report/page.py": "def g(): return 1\n", "report/unused.py": "def g(): return 2\n"}
    files["stages/s.py"] = "from pack.report.page import g\n\ndef run(): return g()\n"
    stem = {"stages": "s", "report": "page"}[folder]
    files |= {f"{folder}/{stem}.html": "<p>", f"{folder}/{stem}.js": "1"}
    files |= {f"{folder}/other.html": "<p>", f"{folder}/unused.html": "<p>", f"{folder}/{stem}.py~": "an editor's"}
    found = {name for name in package(files) if name.startswith(f"{folder}.") and name.endswith((".html", ".js", "~"))}
    assert found == {f"{folder}.{stem}.html", f"{folder}.{stem}.js"}
    assert changed(package, files, f"{folder}/{stem}.js", "2") == [f"{folder}.{stem}.js"]
    assert changed(package, files, f"{folder}/other.html", "<div>") == []


def test_registry_of_a_package_leads_to_what_it_names(package):
    """Relative imports of an __init__.py start at its own folder."""
    registry = "from .mean import mean\nfrom pack.losses.sum import total\n\nTABLE = {1: mean, 2: total}\n"
    files = {
        "stages/s.py": "from pack.losses import TABLE\n\ndef run(name): return TABLE[name]()\n",
        "losses/__init__.py": registry,
        "losses/mean.py": "def mean(): return 1\n\ndef unused(): return 1\n",
        "losses/sum.py": "def total(): return 1\n",
    }
    assert changed(package, files, "losses/mean.py", files["losses/mean.py"].replace("1", "2", 1)) == [
        "losses.mean.mean"
    ]
    assert changed(package, files, "losses/sum.py", "def total(): return 2\n") == ["losses.sum.total"]
