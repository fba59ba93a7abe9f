"""The input: stored rounds and their ratings as arrays, predictions, and texts for reading."""
