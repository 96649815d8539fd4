# SPDX-License-Identifier: Apache-2.0
"""The ``verifiable`` command: the table of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import sys

import click

import verifiable
from verifiable.errors import Error
from verifiable_cli import output

# name -> module; each module defines a click command named `command`. The order is that of the help page.
COMMANDS = ("check", "compile", "prove", "verify", "inspect", "audit", "run", "keys", "srs", "demo")


class _LazyGroup(click.Group):
    """Imports a command's module when it is called or its help is shown, so that start-up pays for one command only."""

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
    """Console entry point. Exit codes: 0 yes, 1 no, 2 usage, and those of ``verifiable.errors``."""
    try:
        code = cli.main(standalone_mode=False, prog_name="verifiable")
        sys.exit(code if isinstance(code, int) else 0)
    except Error as error:
        output.fail(error)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        sys.exit(0)
    except click.UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        click.echo(f"verifiable: error: {error.format_message()}{where}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("verifiable: cancelled; nothing was written", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`verifiable inspect x | head`): no message, and no second error when stdout is flushed at exit.
        sys.stdout = None
        sys.exit(141)
    except OSError as error:
        # The result could not be printed (a full disk): that is no verdict, and must not exit like one.
        sys.stdout = None
        click.echo(f"verifiable: error: cannot write the result: {error.strerror or error}", err=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
