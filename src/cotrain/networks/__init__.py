"""Segmentation networks: building, saving, loading, inference."""
