# SPDX-License-Identifier: Apache-2.0
"""The ``verifiable`` command: the table of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType
from typing import Any

import click

import verifiable
from verifiable.errors import Error
from verifiable_cli import output

# name -> module; each module defines a click command named `command`. The order is that of the help page.
COMMANDS = ("check", "compile", "prove", "verify", "inspect", "audit", "run", "attest", "log", "keys", "srs", "demo", "bench")


_BROKEN_PIPE = 128 + signal.SIGPIPE


class _LazyGroup(click.Group):
    """Imports a command's module when it is called or its help is shown, so that start-up pays for one command only."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError as error:
            raise click.exceptions.Exit(_BROKEN_PIPE) from error

    def invoke(self, ctx: click.Context) -> Any:
        # The reader went away (`verifiable inspect x | head`). Click would exit with 1, which here means "no".
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise click.exceptions.Exit(_BROKEN_PIPE) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"verifiable_cli.commands.{cmd_name}").command
        _name_variables(command, f"VERIFIABLE_{cmd_name.upper()}")
        return command


def _name_variables(command: click.Command, prefix: str) -> None:
    """Each option's environment variable, after its long name as users type it (click would take the Python parameter's)."""
    for option in command.params:
        if isinstance(option, click.Option) and (name := next((o for o in option.opts if o.startswith("--")), None)):
            option.envvar = f"{prefix}_{name[2:].upper().replace('-', '_')}"
    for name, inner in getattr(command, "commands", {}).items():
        _name_variables(inner, f"{prefix}_{name.upper().replace('-', '_')}")


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every option can be set in the environment: `prove --key` is VERIFIABLE_PROVE_KEY, and so on.",
)
@click.version_option(verifiable.__version__, prog_name="verifiable")
def cli() -> None:
    """Run an ONNX model, and let anybody check which model gave which output for which input.

    \b
    Start here:
      verifiable compile model.onnx --calibration samples.npz -o circuit
      verifiable prove circuit input.json -o receipt.json
      verifiable verify receipt.json --circuit ID
    """


def main() -> None:
    """Console entry point.

    Exit codes: 0 yes, 1 no, 2 usage, those of ``verifiable.errors``, and 128 + the number of the signal that ended it.
    """
    _stop_cleanly()
    try:
        code = _run()
    except BrokenPipeError:
        code = _BROKEN_PIPE
    if code == _BROKEN_PIPE:
        sys.stdout = None  # no message, and no second error when stdout is flushed at exit
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False, prog_name="verifiable")
    except Error as error:
        output.fail(error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 0
    except click.UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        click.echo(f"verifiable: error: {error.format_message()}{where}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("verifiable: cancelled; nothing was written", err=True)
        return 128 + (_received or signal.SIGINT)
    except BrokenPipeError:
        raise
    except OSError as error:
        # The result could not be printed (a full disk): that is no verdict, and must not exit like one.
        sys.stdout = None
        click.echo(f"verifiable: error: cannot write the result: {error.strerror or error}", err=True)
        return 70
    return code if isinstance(code, int) else 0


_received: int = 0


def _stop_cleanly() -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: children killed, their folders with the witness removed."""

    def stop(number: int, _frame: FrameType | None) -> None:
        global _received  # noqa: PLW0603 - a signal belongs to the process
        _received = number
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # a second one would interrupt the cleaning up
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup, SIGHUP is to be ignored
            signal.signal(number, stop)


if __name__ == "__main__":
    main()
