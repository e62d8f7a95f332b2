"""The command line: a file per command; options in, one library call, output."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run `main`, and end the process there and then.

    Taking Python apart would take a fifth of a short command's time, and, after an interruption,
    could wait for a thread.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    from catclf.cli import interruption, output

    try:
        sys.stdout.flush()
    except OSError as error:
        code = output.unwritten(error)
    interruption.leave(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Run the ``catclf`` command; no traceback reaches a user.

    With CATCLF_DEBUG set, a fault of catclf's own shows its traceback.
    """
    # Photos, and blocks of examples, are shared out to threads: a product needs one thread, and
    # several would wait for one another. To be said before NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from catclf.cli import interruption, output

        interruption.install()
        output.prepare_streams()
        from catclf.cli.app import app

        app(prog_name="catclf")
    except KeyboardInterrupt:  # before or after the command itself, which has its own handler
        sys.exit(130)
    except OSError as error:  # of --help, say; of the files that they use, the commands tell
        sys.exit(output.unwritten(error))
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
