"""`commonweal study quick` with a scripted writer, as a process that a test may end.

Run as a program: quick_session.py PORT [OPTION...]. It asks no model, and prints as the command.
"""

from __future__ import annotations

import sys


def main() -> None:
    from study_making import ScriptedWriter

    from commonweal.cli import main as commonweal
    from commonweal.cli import study_quick

    study_quick.ready_writer = lambda *_given, **_named: ScriptedWriter()
    port, *more = sys.argv[1:]
    asked = ["study", "quick", "Should buses be free?", "--host", "127.0.0.1", "--port", port]
    sys.argv = ["commonweal", *asked, *more]
    sys.exit(commonweal())


if __name__ == "__main__":
    main()
