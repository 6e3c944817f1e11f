"""Training: one loop for the transformer, one for the convolutional parts, recipes as functions."""
