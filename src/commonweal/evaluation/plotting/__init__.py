"""What plots are drawn with."""
