"""Other people's data as datasets in the record format."""
