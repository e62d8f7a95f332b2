"""The command line: a file per command; options in, one library call, output."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the ``catclf`` command; no traceback reaches a user.

    With CATCLF_DEBUG set, a fault of catclf's own shows its traceback.
    """
    try:
        from catclf.cli import interruption

        interruption.install()
        from catclf.cli.app import app

        app(prog_name="catclf")
    except KeyboardInterrupt:  # before or after the command itself, which has its own handler
        sys.exit(130)
    except Exception as error:
        if os.environ.get("CATCLF_DEBUG"):
            raise
        from catclf.cli.output import printable

        reason = printable(f"{type(error).__name__}: {' '.join(str(error).split())}")
        sys.stderr.write(
            f"error: a fault in catclf itself ({reason}); CATCLF_DEBUG=1 shows where; "
            "please report it\n"
        )
        sys.exit(70)
