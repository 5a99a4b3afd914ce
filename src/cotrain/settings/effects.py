"""Settings that change how a stage runs, not what it computes."""

from cotrain.settings.stages import STAGES
from cotrain.settings.types import NO_EFFECT

WITHOUT_EFFECT = frozenset(
    name for settings in STAGES.values() for name, field in settings.model_fields.items() if NO_EFFECT in field.metadata
)
