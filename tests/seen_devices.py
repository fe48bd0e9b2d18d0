"""What worker processes see of the GPUs, for tests/test_workers_gpus.py. Children import it, so it imports little."""

import os
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
AT_IMPORT = os.environ.get(VISIBLE)


def write_devices(directory, *_):
    """Stands for `runner._work`: a file that names what the process saw when it imported this module, and later."""
    (Path(directory) / str(os.getpid())).write_text(f"{AT_IMPORT} {os.environ.get(VISIBLE)}")
