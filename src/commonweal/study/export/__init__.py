"""A study in the record format, and as files to take home."""
