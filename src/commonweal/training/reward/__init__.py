"""Reward models learned from ratings (paper 3.4, step 3)."""
