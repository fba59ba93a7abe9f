"""The training loop: generate, rate, train, twice; then evaluation (paper 3.4)."""
