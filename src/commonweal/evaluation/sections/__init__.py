"""One file a section of the report: its statistic, its plot and its sentences together."""
