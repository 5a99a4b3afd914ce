"""An inference in shards: together they are the inference in one piece, to the byte."""

import json
import shutil

import h5py
import numpy as np
import pytest
import yaml
from conftest import CLASSES, MADE_BY, write_index
from workflow_runs import TINY, snakemake

from cotrain.files import atomic, hdf5, sidecars
from cotrain.networks import inference
from cotrain.settings.inference import Shard

WORKING = (32, 48)
COUNT = 7


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("shards", [1, 2, 3, 16])
def test_shards_have_every_image_once_in_whole_batches_of_about_one_number(count, shards):
    parts = [inference.part(count, 4, Shard(number=n + 1, count=shards)) for n in range(shards)]
    assert [i for part in parts for i in part] == list(range(count))
    assert all(part.start % 4 == 0 for part in parts if part)
    batches = [-(-len(part) // 4) for part in parts]
    assert max(batches) - min(batches) <= 1


def test_without_a_shard_all_images_are_of_one():
    assert inference.part(9, 4, None) == range(9)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two untrained models."""
    import torch

    from cotrain.networks import build, checkpoint
    from cotrain.settings.model import Model

    torch.manual_seed(0)
    paths = [tmp_path_factory.mktemp("model") / name for name in ("1.pt", "2.pt")]
    for path in paths:
        checkpoint.save(
            path, build.build(Model(architecture="FPN", encoder="resnet18", weights=None), CLASSES), MADE_BY
        )
    return paths


@pytest.fixture
def statistics(tmp_path):
    prior = np.random.default_rng(1).dirichlet([1, 1, 1], WORKING).transpose(2, 0, 1).astype(np.float32)
    with hdf5.create_hdf5(tmp_path / "statistics.h5", "statistics", CLASSES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", ["a"])
        file["class_pixels"], file["prior"] = [[1, 1, 1]], prior
    return tmp_path / "statistics.h5"


@pytest.fixture
def paths(tmp_path, models):
    rng = np.random.default_rng(0)
    images = {f"town/{i}": rng.integers(0, 256, (*WORKING, 3)).astype(np.uint8) for i in range(COUNT)}
    return {"model": models[:1], "images": write_index(tmp_path / "index.csv", images)}


@pytest.fixture
def shards(cotrain, paths, tmp_path):
    """`shards(settings, count)`: files of an inference in that many parts."""

    def call(settings: dict, count: int, **more) -> list:
        files = [tmp_path / f"{n}-of-{count}.h5" for n in range(1, count + 1)]
        for n, file in enumerate(files, start=1):
            part = {"classes": CLASSES, "size": WORKING, "shard": {"number": n, "count": count}}
            result = cotrain("infer", part | settings, **paths, **more, out=file)
            assert result.code == 0, result.err
        return files

    return call


@pytest.mark.parametrize("count", [1, 2, 5])  # of 4 batches: the first of 5 shards is empty
def test_merged_shards_have_the_bytes_of_one_inference(cotrain, shards, paths, tmp_path, count):
    settings = {"batch": 2, "keep_classes": 2}
    whole = {"classes": CLASSES, "size": WORKING} | settings
    assert cotrain("infer", whole, **paths, out=tmp_path / "a" / "predictions.h5").code == 0
    files = shards(settings, count)
    assert sum(len(h5py.File(file)["image_id"]) == 0 for file in files) == max(0, count - 4)
    assert cotrain("merge", predictions=files[::-1], out=tmp_path / "b" / "predictions.h5").code == 0
    for name in ("predictions.h5", ".predictions.h5.provenance.json"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_patches_priors_and_maxima_of_ensembles_merge_to_the_byte(cotrain, shards, paths, statistics, models, tmp_path):
    paths["model"] = models
    settings = {"batch": 3, "patches": {"count": 4}, "seed": 5, "ensemble": "max", "scales": [0.5, 1]}
    whole = {"classes": CLASSES, "size": WORKING} | settings
    assert cotrain("infer", whole, **paths, statistics=statistics, out=tmp_path / "whole.h5").code == 0
    assert cotrain("merge", predictions=shards(settings, 2, statistics=statistics), out=tmp_path / "m.h5").code == 0
    assert (tmp_path / "m.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


# ---- what is refused --------------------------------------------------------------------------------------------


def test_files_that_are_not_all_shards_of_one_inference_are_refused(cotrain, refused, shards, paths, tmp_path):
    first, second, third = shards({"batch": 2}, 3)
    out = tmp_path / "merged.h5"
    assert "of 3 shards, 2 not given" in refused("merge", predictions=[first, third], out=out)
    assert f"{third}: the same shard as {first}" in refused(
        "merge", predictions=[first, second, third.write_bytes(first.read_bytes()) and forget(third)], out=out
    )
    (other, _) = shards({"batch": 2}, 2)
    assert f"{other}: of another inference than {first}" in refused("merge", predictions=[first, other], out=out)
    assert cotrain("infer", {"classes": CLASSES, "size": WORKING}, **paths, out=tmp_path / "whole.h5").code == 0
    assert "whole.h5: not a shard" in refused("merge", predictions=tmp_path / "whole.h5", out=out)


def test_shard_of_another_model_is_refused(refused, shards, paths, models, tmp_path):
    first, _ = shards({}, 2)
    paths["model"] = models[1:]
    kept = first.rename(tmp_path / "kept.h5")
    _, second = shards({}, 2)
    assert "of another inference" in refused("merge", predictions=[kept, second], out=tmp_path / "merged.h5")


def test_shard_changed_after_it_was_made_is_refused(refused, shards, tmp_path):
    first, second = shards({}, 2)
    with h5py.File(second, "a") as file:
        file["image_id"][0] = "town/x"
    message = refused("merge", predictions=[first, second], out=tmp_path / "merged.h5")
    assert f"{second}: damaged, or changed after it was made" in message


@pytest.mark.parametrize("made_by", [[], {"stage": "infer"}, {"stage": "infer", "settings": {"shard": [1, 2]}}])
def test_shard_with_an_odd_provenance_is_refused(refused, shards, tmp_path, made_by):
    (only,) = shards({}, 1)
    with h5py.File(only, "a") as file:
        file.attrs["provenance"] = np.bytes_(json.dumps(made_by))
    assert f"{only}: damaged" in refused("merge", predictions=forget(only), out=tmp_path / "merged.h5")


def test_image_in_two_shards_is_refused(refused, shards, tmp_path):
    first, second = shards({"batch": 4}, 2)
    with h5py.File(second, "a") as file:
        file["image_id"][0] = "town/1"
    message = refused("merge", predictions=[first, forget(second)], out=tmp_path / "merged.h5")
    assert "image_id town/1 occurs twice" in message


def forget(path):
    """A file without its sidecar, as if a person had edited it and wants it used."""
    sidecars.sidecar(path).unlink()
    return path


# ---- real Snakemake ---------------------------------------------------------------------------------------------


def test_workflow_in_shards_makes_the_same_bytes_and_leaves_no_shards(run, tmp_path, dry_run):
    folder = tmp_path / "sharded run"
    shutil.copytree(run, folder)
    final, edit = folder / "results/tiny/final/predictions.h5", {"inference": {"shards": 3, "batch": 8}}
    assert dry_run(folder, edit).names == []  # what is there need not be made in another way
    whole = final.read_bytes()
    atomic.remove(final)
    overlay = folder / "shards.yaml"
    overlay.write_text(yaml.safe_dump(edit))
    result = snakemake(folder, "results/tiny/final/predictions.h5", overlays=(TINY, overlay))
    assert result.returncode == 0, result.stderr[-3000:]
    assert final.read_bytes() == whole
    assert [path for path in (folder / "results/tiny/.shards").rglob("*") if path.is_file()] == []
    assert dry_run(folder, edit).names == []
    names = dry_run(folder, edit | {"final": {"ensemble": "max"}}).names
    assert [name for name in names if name[0] in ("infer", "infer_shard", "merge")] == [
        *[("infer_shard", f"final/{n}-of-3/infer") for n in (1, 2, 3)],
        ("merge", "final/merge"),
    ]
