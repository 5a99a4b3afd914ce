"""Intersection over union from one confusion matrix over the whole set, as PASCAL VOC and Cityscapes define it."""

import numpy as np

from cotrain.method.labelmaps import VOID


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Pixel counts (C, C) int64 with truth in rows, prediction in columns; pixels void in either are left out.

    truth and prediction: integer arrays of one shape.
    """
    known = (truth != VOID) & (prediction != VOID)
    row = truth[known].astype(np.int64)
    cell = row * classes + prediction[known]
    counts = np.bincount(cell, minlength=classes * classes)
    return counts.reshape(classes, classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """IoU_c = TP/(TP+FP+FN), (C,) float64; NaN for a class absent from both truth and prediction."""
    hits = np.diagonal(confusion).astype(float)
    predicted = confusion.sum(axis=0)
    true = confusion.sum(axis=1)
    union = predicted + true - hits
    iou = np.full(len(hits), np.nan)
    np.divide(hits, union, out=iou, where=union > 0)
    return iou


def mean_iou(iou: np.ndarray) -> float:
    """Mean over the classes that occur, in [0, 1]; NaN if none does."""
    if np.isnan(iou).all():
        return float("nan")
    return float(np.nanmean(iou))


def gap_closed(miou: float, source_only: float, upper_bound: float) -> float:
    """(method − source only)/(upper bound − source only); NaN where the bounds coincide."""
    gap = upper_bound - source_only
    if not gap:
        return float("nan")
    return (miou - source_only) / gap
