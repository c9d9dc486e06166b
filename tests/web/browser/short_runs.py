"""`dextr-vos` whose page makes short runs on small crops: it matters that they are made, not how well."""

from functools import partial

from dextr_vos.cli.main import main
from dextr_vos.web import service

if __name__ == "__main__":
    small = ("longest_side=128", "batch=1")
    service.Propagation = partial(service.Propagation, settings=small)  # type: ignore[misc]
    main()
