"""The study: the web application where groups write opinions and rate statements (paper 3.2).

Each room rests on those below it:

- ``simulation``: programs that take part through the pages
- ``web``: the pages as HTML, limits, live events, the server
- ``writing``: jobs, the arms' models, statements, what waits for a decision
- ``export``: the study as a dataset and as files to take home
- ``domain``: how groups move (``machine``, ``lobby``, ``rounds``), what people may do (``people``,
  ``answers``, ``privacy``), what they see (``pages``), how they rated (``results``, ``outcome``)
- ``storage``: tables, transactions, folders

``config`` (with ``arm_config`` and ``question_set``) is the study's file, which every room reads.
"""
