"""Helpers without knowledge of segmentation: errors, strict JSON, seeds, patterns, locks, GPUs, progress, memory."""
