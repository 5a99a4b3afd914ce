"""What files were made of, back to the photographs: explained, compared, verified and accepted."""

from cotrain.reruns.acceptance import accept
from cotrain.reruns.differences import differences
from cotrain.reruns.explanation import explanation
from cotrain.reruns.inputs import made_by
from cotrain.reruns.verification import check_folder, faults

__all__ = ["accept", "check_folder", "differences", "explanation", "faults", "made_by"]
