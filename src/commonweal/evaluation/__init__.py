"""Whether the statements got better: the paper's section 4 on anyone's stored rounds.

``evaluate`` turns a dataset into metrics, each with its interval, its n and a plain sentence;
``write_page`` and ``as_json`` say the same metrics as a page and as data. It reads stored rounds
only and knows no engine and no web.
"""
