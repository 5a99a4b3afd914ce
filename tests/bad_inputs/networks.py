"""Models and weights that are damaged, foreign, false or hostile."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
from box import CLASSES, IDS, LABELS, SIZE, collector, cut, flip, orphan, write
from conftest import MADE_BY, write_pseudolabels

from cotrain.files import hdf5

CASES, case = collector()


def build(path: Path) -> None:
    """A model file of random weights."""
    from cotrain.networks import build as networks
    from cotrain.networks import checkpoint
    from cotrain.settings.model import Model

    checkpoint.save(path, networks.build(Model(architecture="FPN", weights=None), CLASSES), {})
    orphan(path)


def changed(box, **values) -> list[str]:
    """The predict command after some entries of the model file were replaced; None deletes one."""
    import torch

    content = torch.load(box.model, weights_only=True) | values
    torch.save({name: value for name, value in content.items() if value is not None}, box.model)
    return box.predict()


def weights_of(box) -> dict:
    import torch

    return torch.load(box.model, weights_only=True)["state"]


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@case("model.pt: not a model file of cotrain", "train it again")
def pickle_that_would_create_a_file(box):
    write(box.model, pickle.dumps(Payload(box / "pwned")))
    return box.predict()


@case("model.pt: not a model file of cotrain")
def checkpoint_with_code_that_would_create_a_file(box):
    return changed(box, state=Payload(box / "pwned"))


@case("model.weights: ", "weights.pth: not weights of this encoder")
def encoder_weights_with_code_that_would_create_a_file(box):
    import torch

    torch.save({"a": Payload(box / "pwned")}, box / "weights.pth")
    settings = {"source": LABELS, "source_size": SIZE, "model": {"weights": str(box / "weights.pth")}}
    return box.command("train", settings, source=box.index)


@case("has values that are not finite numbers")
def weights_that_are_not_numbers(box):
    state = weights_of(box)
    next(t for t in state.values() if t.is_floating_point()).view(-1)[0] = np.nan
    return changed(box, state=state)


@case("has values that are not finite numbers")
def infinite_weights(box):
    state = weights_of(box)
    [t for t in state.values() if t.is_floating_point()][-1].view(-1)[-1] = np.inf
    return changed(box, state=state)


@case("model.pt: not a model file", "checksum")
def bit_flipped_in_the_weights(box):
    flip(box.model, box.model.stat().st_size // 2)
    return box.predict()


@case("model.pt: not a model file")
def model_without_its_end(box):
    cut(box.model, 0.9)
    return box.predict()


@case("model.pt: not a model file", "compressed")
def zip_bomb(box):
    with zipfile.ZipFile(box.model, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model/data.pkl", "w") as file:
        for _ in range(200):
            file.write(bytes(1_000_000))
    return box.predict()


@case("model.pt: trained for 3 classes, the data has 2", "use the label set it was trained with")
def model_of_other_classes(box):
    return box.command("infer", {"classes": ["road", "car"], "size": SIZE}, model=box.model, images=box.index)


@case("model.pt: its weights do not fit its settings")
def weights_of_another_shape(box):
    state = weights_of(box)
    name = next(iter(state))
    return changed(box, state=state | {name: state[name][:1]})


@case("model.pt: its weights do not fit its settings", "Missing key")
def weights_without_a_layer(box):
    state = weights_of(box)
    state.pop(next(iter(state)))
    return changed(box, state=state)


@case("model.pt: its weights are not tensors")
def weights_that_are_no_tensors(box):
    return changed(box, state={"a": [1, 2]})


@case("model.pt: not a model file of cotrain")
def checkpoint_of_another_program(box):
    import torch

    torch.save({"state_dict": {}}, box.model)
    return box.predict()


@case("model.pt: format version 7, this code reads 1")
def model_of_a_later_version(box):
    return changed(box, version=7)


@case("model.pt: classes: missing")
def model_without_classes(box):
    return changed(box, classes=None)


@case("model.pt: model.architecture: input should be a valid string")
def model_whose_settings_are_of_a_wrong_type(box):
    return changed(box, model={"architecture": 5})


@case("model.pt: model.architecture: no such architecture")
def model_of_an_unknown_architecture(box):
    return changed(box, model={"architecture": "Palace"})


@case("model.pt: it is built by os:system", 'allow it with the setting "trust": ["os:system"]')
def model_that_names_a_function_to_call(box):
    options = {"command": f"touch {box / 'pwned'}"}
    return changed(box, model={"architecture": "os:system", "encoder": None, "weights": None, "options": options})


@case("labels.h5: other classes than the source labels")
def training_on_pseudolabels_of_other_classes(box):
    write_pseudolabels(box.pseudolabels, IDS, *box.maps, classes=("road", "tree", "sky"))
    paths = {"init": box.model, "source": box.index, "target": box.index, "pseudolabels": box.pseudolabels}
    return box.command("train", {"source": LABELS, "source_size": SIZE, "target_size": SIZE}, **paths)


@case("statistics.h5: other images or classes than --source")
def class_balance_of_other_images(box):
    with hdf5.create_hdf5(box / "statistics.h5", "statistics", CLASSES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", ["x"])
        file["class_pixels"] = np.ones((1, 3), np.int64)
    settings = {"source": LABELS, "source_size": SIZE, "balance_temperature": 0.01}
    return box.command("train", settings, init=box.model, source=box.index, statistics=box / "statistics.h5")
