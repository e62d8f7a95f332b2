"""Benchmarks: the same work by catclf and by others, in turns.

    python -m benchmarks [NAME ...] [--data DATA] [--photos FOLDER] [--quick] [--out FOLDER]

A module for each benchmark, whose `run(options)` gives a `Result`: a table, and the lines that the
README shows of it. `charts.py` draws those of which a picture tells more than the table.
"""

import os

# As the commands do: blocks of examples and photos are shared out to threads, products are not.
# It holds for every solver alike, in the process that all of them share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
