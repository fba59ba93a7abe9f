"""Training on rated rounds: reward models (paper 3.4 step 3).

Needs the extra ``train`` (torch, transformers, TRL, PEFT). A run is a folder: its config, its
checkpoints, its metrics, and at the end the model, the torch-free export and the model card.
"""
