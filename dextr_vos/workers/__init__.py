"""Many long jobs on the cores or GPUs of this machine, or on a Dask cluster."""
