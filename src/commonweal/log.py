"""What a service may want to know, by Python's own logging: the logger "commonweal".

Silent unless the program that uses commonweal sets logging up. No opinion, statement or key is
ever logged: names, counts and seconds are.
"""

from __future__ import annotations

import logging

LOG = logging.getLogger("commonweal")
LOG.addHandler(logging.NullHandler())  # or Python would print warnings that nobody asked for
