"""Datasets: descriptions, index tables, images, photographs and videos of your own."""
