"""Rounds, opinions, statements and ratings on disk: the record format, and what is made of it.

``schema`` says what the format is, ``dataset`` reads and writes it, ``validation`` checks it. Other
data are imported into it; training and evaluation read nothing else.
"""
