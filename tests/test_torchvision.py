"""torchvision beside a CPU build of torch: its operators are declared only where none of its libraries has them."""

import subprocess
import sys

import pytest
import torch

from cotrain.networks import torchvision_cpu


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(files, loading, registered)`: a torchvision folder, which of its libraries load, and known operators."""

    def make(files: list[str], loading: str | None, registered: tuple[str, ...] = ()):
        tried = []

        def load_library(path):
            tried.append(path.name)
            if path.name != loading:
                raise OSError("libcudart.so: cannot open shared object file")

        for file in files:
            (tmp_path / file).touch()
        monkeypatch.setattr(torch.ops, "load_library", load_library)
        monkeypatch.setattr(torchvision_cpu, "_is_registered", lambda schema: schema.split("(")[0] in registered)
        return tmp_path, tried

    return make


@pytest.mark.parametrize("library", ["_C.so", "_C_stable.so"])
def test_nothing_is_declared_where_the_compiled_operators_load(package, library):
    folder, tried = package([library, "image.so"], loading=library)
    assert torchvision_cpu.missing_schemas(folder) == []
    assert tried == [library]


def test_of_several_libraries_the_one_that_loads_counts(package):
    folder, tried = package(["_C.so", "_C_stable.so"], loading="_C_stable.so")
    assert torchvision_cpu.missing_schemas(folder) == []
    assert tried == ["_C.so", "_C_stable.so"]


@pytest.mark.parametrize("files", [[], ["image.so"], ["_C.so"], ["_C_stable.so"]])
def test_both_operators_are_declared_where_no_library_loads(package, files):
    folder, _ = package(files, loading=None)
    names = [schema.split("(")[0] for schema in torchvision_cpu.missing_schemas(folder)]
    assert names == ["nms", "qnms"]


def test_operators_that_are_registered_already_are_not_declared_again(package):
    folder, _ = package(["_C.so"], loading=None, registered=("nms",))
    (schema,) = torchvision_cpu.missing_schemas(folder)
    assert schema.startswith("qnms(")


def test_library_that_is_damaged_counts_as_none(tmp_path):
    (tmp_path / "_C_stable.so").write_text("no library")
    assert not torchvision_cpu._compiled_operators_load(tmp_path)
    assert all(torchvision_cpu._is_registered(schema) for schema in torchvision_cpu.SCHEMAS)
    assert not torchvision_cpu._is_registered("no_such_operator() -> Tensor")


def test_torchvision_of_this_machine_can_be_imported_and_used():
    code = (
        "from cotrain.networks import torchvision_cpu; import torch, torchvision;"
        "from torchvision.transforms import v2;"
        "print(tuple(v2.RandomCrop(4)(torch.zeros(3, 8, 8)).shape), hasattr(torch.ops.torchvision, 'nms'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "(3, 4, 4) True"), done.stderr
