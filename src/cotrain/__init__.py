"""Co-training and related methods for unsupervised domain adaptation of semantic segmentation."""

__version__ = "0.1.0"
