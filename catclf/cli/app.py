"""The Typer application: the commands, and what each way of ending means."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from catclf.cli import output
from catclf.common import interruption
from catclf.common.version import __version__
from catclf.errors import CatclfError

FUNCTIONS = {
    "train": "train",
    "predict": "predict",
    "eval": "evaluate",
    "show": "show",
    "export": "export",
    "lesson": "lesson",
    "data": "app",
}
"""What makes each command, in the module of the command's name."""


def tell(error: BaseException) -> int | None:
    """Write the line that an error ends a command with, and give the exit code.

    There are none for a fault of catclf's own, and for what Typer tells itself.
    """
    number = interruption.noted(error)
    if number is not None:  # what a signal interrupts may fail otherwise as it is tidied up
        words = "interrupted" if number == signal.SIGINT else "terminated"
        output.error(" ".join([words, *getattr(error, "__notes__", ())]))
        output.abandon_stdout()  # its reader may be the reason for stopping
        return 128 + number
    if isinstance(error, CatclfError):
        output.error(str(error))
        return error.exit_code
    if isinstance(error, MemoryError):
        output.error("not enough memory for data of this size")
        return 3
    if isinstance(error, OSError):  # of the files that are read and written, each command tells
        return output.unwritten(error)
    return None


class Commands(TyperGroup):
    """The commands, with every way of ending turned into a line and an exit code.

    Each is made when it is asked for, as a run needs one of them.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: dict[str, Any] = dict.fromkeys(FUNCTIONS)  # Typer lists their names

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in FUNCTIONS:
            return None
        command = getattr(import_module(f"catclf.cli.{name}"), FUNCTIONS[name])
        if not isinstance(command, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(name)(command)
            command = single
        return typer.main.get_command(command)

    def invoke(self, ctx: Any) -> Any:
        try:
            with output.reader_may_leave():
                return super().invoke(ctx)
        except typer.Exit:
            raise
        except BaseException as error:
            code = tell(error)
            if code is None:
                raise
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=Commands,
    help="Tell cats from everything else, by vectorized logistic regression.",
    epilog="Begin with: catclf predict img.jpg, then: catclf train",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: quick, narrow enough for any terminal, good in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"catclf {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass
