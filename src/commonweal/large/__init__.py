"""Many opinions: samples with known chances, opinion groups, slates. Time hardly grows with people.

Paper 5.1 names aggregating over many thousands of opinions as its limit, and points to embeddings
and to recursion.
"""
