"""Each measure and each interval, defined once, with its weighting (docs/decisions/021).

``commonweal reward measure``, ``commonweal evaluate`` and the training loop all compute with these,
so that one question about the same data has one answer. Arrays in, arrays out: nothing here knows
where the numbers come from.

- ``accuracy``: crossed, within-person and same-statement accuracy
- ``calibration``: expected calibration error, and the reliability curve behind it
- ``raters``: quadratic-weighted kappa, Krippendorff's alpha
- ``ranks``: mid-ranks and Spearman's correlation
- ``logistic``: logistic regression with one slope
- ``intervals``: what an estimate is, and how resamples become an interval
- ``bootstrap``: resamples of whole groups, and the jackknife
"""
