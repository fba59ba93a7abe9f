"""Writing for the arms: jobs, their models, and the statements that come of them."""
