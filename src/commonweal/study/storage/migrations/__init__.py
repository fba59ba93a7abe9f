"""The steps from each released version of a study's tables to the next, run by alembic.

A step is a module in ``versions``, named after its number, with ``revision``, ``down_revision``
(the number before) and ``upgrade()``. It comes with the change in ``tables`` and a new ``HEAD`` in
``schema``. Decision 044 says what it may do. No step leads back: that is what the copy from before
is for.
"""
