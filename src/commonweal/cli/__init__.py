"""The command line. One file a command; errors become one plain sentence and an exit code.

0 is success, 1 a failure that the user did not cause, 2 something the user can mend, 130 Ctrl-C.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import suppress
from typing import Any

_showwarning = warnings.showwarning


def _warn(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
    """A plugin's warning as a sentence; any other as Python writes it."""
    if category.__name__ == "PluginWarning":
        sys.stderr.write(f"warning: {message}\n")
    else:
        _showwarning(message, category, *place, **options)


_N_SHOWN = 8
"""Rejected completions shown when there is nothing else to show."""


def main() -> None:
    """Runs the ``commonweal`` command and exits."""
    # What the encoding lacks is shown escaped. The encoding itself stays as it was asked for: who
    # reads our output counts on it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # In here, for Ctrl-C while the libraries load.
        from commonweal.cli.app import command
        from commonweal.errors import CommonwealError, GenerationError, InputError

        warnings.showwarning = _warn
        command()
    except KeyboardInterrupt:
        sys.exit(130)
    except CommonwealError as error:
        sys.stderr.write(f"error: {error}\n")
        if isinstance(error, GenerationError):
            for rejection in error.rejections[:_N_SHOWN]:
                # repr: a raw text may hold anything, also what steers a terminal.
                sys.stderr.write(f"  {rejection.reason}: {rejection.raw_text!r}\n")
        sys.exit(2 if isinstance(error, InputError) else 1)
    except ModuleNotFoundError as error:
        from commonweal.extras import missing

        if (needed := missing(error)) is None:
            raise
        sys.stderr.write(f"error: {needed}\n")
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has gone (`commonweal agree ... | head`): nothing to say.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        # What is left: a full disk under our own output (`commonweal agree ... > FILE`).
        sys.stderr.write(f"error: {error}\n")
        with suppress(OSError):
            sys.stdout.close()
        sys.exit(1)
