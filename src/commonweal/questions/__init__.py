"""Debate questions: written from seeds, screened by people, clustered and split (paper 3.1).

    seeds → generate → screen → split → a study, training, evaluation

Every step reads and writes one kind of file, a CSV that opens in a spreadsheet (``records``), and
adds what it did to the provenance beside it. ``guard`` is the one check that keeps questions held
out for testing away from training.
"""
