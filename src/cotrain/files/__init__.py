"""The file formats: written whole or not at all, read lazily, checked when opened."""
