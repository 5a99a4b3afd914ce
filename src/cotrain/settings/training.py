"""Settings of a training."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from cotrain.settings.datasets import Labels
from cotrain.settings.model import Model
from cotrain.settings.strict import Strict
from cotrain.settings.types import (
    NO_EFFECT,
    CollageShare,
    Count,
    Device,
    Gpus,
    Positive,
    Seed,
    Share,
    Size,
    Temperature,
    Threads,
    Trust,
    Workers,
    Zoom,
)


class Augmentation(Strict):
    crop: Size = Field((128, 256), description="height and width of training crops, pixels")
    zoom: Zoom = Field((0.75, 1.5), description="range of the random zoom before cropping")
    flip: Share = Field(0.5, description="probability of a horizontal flip")
    jitter: Share = Field(0.0, description="strength of random brightness, contrast and saturation; 0 is off")
    on_device: bool = Field(False, description="zoom, crop and paste on the model's device: if a GPU waits for images")


class Optimizer(Strict):
    name: Literal["sgd", "adamw"] = Field("sgd", description="optimizer")
    momentum: Share = Field(0.9, description="momentum (sgd)")
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(0.0001, description="weight decay")
    encoder_factor: Positive = Field(1.0, description="learning rate of the encoder, as a multiple of the head's")


Schedule = Literal["constant", "step", "poly", "one_cycle"]


class Course(Strict):
    """How long a training runs and how its learning rate moves."""

    steps: Count | None = Field(60000, description="iterations; null: by epochs")
    epochs: Positive | None = Field(
        None, description="passes over the target images (W_0: the source) instead of steps"
    )
    learning_rate: Positive = Field(0.002, description="initial learning rate; the peak of one_cycle")
    schedule: Schedule = Field("step", description="its course: constant, step (×0.1 at 1/3, 2/3), poly, one_cycle")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs and set the other to null")
        return self


ObjectiveName = Literal["segmentation"]  # cotrain.training.objectives has the class of each


class ObjectiveWeight(Strict):
    """A term of the loss and what it is multiplied by."""

    name: ObjectiveName = Field(description="segmentation: cross-entropy on labels and pseudo-labels")
    weight: Positive = Field(1.0, description="factor of the term in the sum")


def _each_once(objectives: tuple[ObjectiveWeight, ...]) -> tuple[ObjectiveWeight, ...]:
    names = [objective.name for objective in objectives]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} occurs twice; give it once, with the sum of the weights")
    return objectives


ObjectiveWeights = Annotated[
    tuple[ObjectiveWeight, ...],
    Field(min_length=1, description="terms whose weighted sum the training minimises: name, weight"),
    AfterValidator(_each_once),
]


def workers_of(workers: int | None, gpu: bool) -> int:
    """Processes that make mini-batches. By default 4 for a GPU, and none on a CPU, where they would slow the steps."""
    if workers is not None:
        return workers
    return 4 if gpu else 0


class TrainingOptions(Strict):
    """What all trainings of a run have in common."""

    batch: Count = Field(4, description="images per mini-batch, N_MB")
    augmentation: Augmentation = Field(
        default_factory=Augmentation, description="crop (height, width in pixels), zoom, flip, jitter"
    )
    optimizer: Optimizer = Field(
        default_factory=Optimizer, description="name (sgd, adamw), momentum, weight_decay, encoder_factor"
    )
    objectives: ObjectiveWeights = (ObjectiveWeight(name="segmentation"),)
    class_balance: Temperature | None = Field(
        None,
        validation_alias=AliasChoices("class_balance", "balance_temperature"),  # the name in files of earlier versions
        description="class-balanced sampling of source images: temperature T; null: every image alike",
    )
    gpus: Gpus = 1
    threads: Annotated[Threads, Field(description="CPU threads of each process of a training")] = 1
    workers: Workers = None
    cache_mb: Annotated[int, Field(ge=0, description="memory for decoded images, MB"), NO_EFFECT] = 2000
    restart_minutes: Annotated[
        Positive | None,
        Field(description="minutes between writes of the file that a killed training resumes from; null: never"),
        NO_EFFECT,
    ] = 5
    compile: bool = Field(False, description="compile the network with torch.compile, which takes minutes")


class Mix(Strict):
    """How target images with pseudo-labels are mixed with source images."""

    target_share: Share = Field(0.0, description="share of target images in a mini-batch, p_MB")
    collage_share: CollageShare = None
    rare_crops: Share = Field(0.0, description="probability that a target crop is centred on a rare class; 0 is off")
    rare_share: Share = Field(0.001, description="share of the predicted pixels below which a class is rare")


class Train(TrainingOptions, Mix):
    name: str = Field("", description="name to show in the progress")
    model: Model = Field(default_factory=Model, description="model to build when no --init is given")
    trust: Trust = ()
    source: Labels = Field(description="classes, and values of the source labels")
    source_size: Size = Field(description="working size of source images, pixels")
    target_size: Size | None = Field(None, description="working size of target images, pixels")
    target: Labels | None = Field(None, description="values of the target labels (upper bound only)")
    course: Course = Field(default_factory=Course, description="steps (iterations) or epochs, learning_rate, schedule")
    seed: Seed = 0
    device: Device = "auto"
