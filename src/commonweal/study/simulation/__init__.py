"""Studies with simulated people: programs that take part through the pages."""
