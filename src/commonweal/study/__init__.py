"""The study: the web application where groups write opinions and rate statements (paper 3.2).

- ``config``: what a study is, as TOML; ``tables`` and ``store``: what is kept, and transactions
- ``machine``, ``lobby``, ``rounds``: how groups move
- ``people``, ``answers``, ``privacy``: what people may do
- ``jobs``, ``writer``, ``screening``, ``results``: from opinions to statements and their ratings
- ``pages``: what a participant sees now; ``web``: the same as HTML
- ``export``: the record format
"""
