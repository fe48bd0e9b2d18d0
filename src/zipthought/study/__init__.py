"""Studies: experiments, cells, the store, schedulers, statistics and findings."""

import os

# Before scipy is imported: its BLAS reads this once. A bootstrap fits thousands of curves to a handful of points, and
# threads that wait for each other over so little work make each fit ten times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
