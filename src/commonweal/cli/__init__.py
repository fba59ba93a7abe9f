"""The command line. One file a command; errors become one plain sentence and an exit code.

0 is success, 1 a failure that the user did not cause, 2 something the user can mend, 130 Ctrl-C.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the ``commonweal`` command and exits."""
    from commonweal.cli.app import app
    from commonweal.errors import CommonwealError, InputError

    try:
        app()
    except CommonwealError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:
        # The reader of our output has gone (`commonweal agree ... | head`): nothing to say.
        sys.stderr.close()
        sys.exit(1)
