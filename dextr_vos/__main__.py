"""`python -m dextr_vos` is the same as the `dextr-vos` command."""

from dextr_vos.cli.main import main

main(prog_name="dextr-vos")
