"""The Typer application: the commands, and what each way of ending means."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from catclf import __version__
from catclf.cli import output
from catclf.cli.eval import evaluate
from catclf.cli.predict import predict
from catclf.cli.train import train
from catclf.errors import CatclfError


class Commands(TyperGroup):
    """The commands, with every way of ending turned into a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        output.tolerate_any_text()
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result
        except CatclfError as error:
            output.error(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            output.error("interrupted; nothing was written")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader, `head` say, has all it wants: end quietly. What is still buffered goes
            # nowhere, or Python would complain of it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except MemoryError:
            output.error("not enough memory for data of this size")
            raise typer.Exit(3) from None


app = typer.Typer(
    cls=Commands,
    help="Tell cats from everything else, by vectorized logistic regression.",
    epilog="Begin with: catclf train, then: catclf predict img.jpg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: quick, narrow enough for any terminal, good in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train)
app.command()(predict)
app.command("eval")(evaluate)


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
