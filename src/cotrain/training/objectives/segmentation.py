"""Cross-entropy on labels and pseudo-labels."""

import torch
from torch.nn import functional as F

from cotrain.method.labelmaps import VOID
from cotrain.networks.heads import Outputs
from cotrain.training.batches import Batch
from cotrain.training.objectives.objective import Stateless


class Segmentation(Stateless):
    """Mean cross-entropy over the pixels of the mini-batch that have a label."""

    def loss(self, batch: Batch, outputs: Outputs) -> dict[str, torch.Tensor]:
        """The sum over this process's labelled pixels, divided by those of the whole mini-batch; 0 if all are void."""
        logits = outputs.logits.float()
        labels = batch.labels.long()
        total = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum")
        return {"segmentation": total / max(batch.labelled_pixels, 1)}
