"""Commands in this process, whose exit status is checked."""

from click.testing import CliRunner, Result

from dextr_vos.cli.main import main


def call(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result
