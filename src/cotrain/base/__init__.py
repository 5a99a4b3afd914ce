"""What knows nothing of segmentation: errors, strict JSON, seeds, locks, GPUs, progress, memory."""
