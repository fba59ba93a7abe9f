"""Policies fine-tuned on statements that people rated high (paper 3.4, step 2)."""
