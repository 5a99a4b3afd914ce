"""Datasets: their descriptions, the images and labels in them, and photographs and videos of one's own."""
