"""polars, or how to get it. The modules that hold tables import it from here."""

from commonweal.extras import needs

with needs("data", "data of rounds"):
    import polars as pl

__all__ = ["pl"]
