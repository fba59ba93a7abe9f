"""Statistics that are no sections: regressions, mixed models, power, two-way intervals."""
