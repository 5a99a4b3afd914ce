"""Training: sources of images, mini-batches, objectives, the loop, restarts."""
