"""The command line: a file per command; options in, one library call, output."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn


def run() -> NoReturn:
    """Run `main`, and end the process there and then.

    Taking Python apart would take a fifth of a short command's time, and, after a stop, could wait
    for a thread: a BLAS that is being unloaded waits for the rest of a product.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    try:
        sys.stdout.flush()
    except OSError as error:
        from catclf.cli.output import unwritten

        code = unwritten(error)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Run the ``catclf`` command; no traceback reaches a user.

    With CATCLF_DEBUG set, a fault of catclf's own shows its traceback.
    """
    # Photos, and blocks of examples, are shared out to threads: a product needs one thread, and
    # several would wait for one another. To be said before NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from catclf.cli import output
        from catclf.common import interruption

        interruption.listen()
        output.prepare_streams()
        from catclf.cli.app import app

        app(prog_name="catclf")
    except (Exception, KeyboardInterrupt) as error:  # before or after the command itself
        from catclf.cli.app import tell

        code = tell(error)
        if code is None:
            if os.environ.get("CATCLF_DEBUG"):
                raise
            output.error(
                f"a fault in catclf itself ({type(error).__name__}: {' '.join(str(error).split())})"
                "; CATCLF_DEBUG=1 shows where; please report it"
            )
        sys.exit(70 if code is None else code)
