"""Benchmarks: the same work by catclf and by others, in turns, in one process.

    python -m benchmarks [NAME ...] [--data DATA] [--photos FOLDER] [--quick] [--out FOLDER]
                         [--readme]

Each module that `__main__.MODULES` names is one benchmark, and has

    PACKAGES                    the packages, by their names on the index, whose versions matter
    run(Settings) -> Result     do the work; no plotting, no printing
    plot(Result, figure)        draw it on a matplotlib figure, from the stored result alone
    summary(Result) -> [Line]   what the README's table is to show of it

Nothing but the function that uses it imports a package that catclf itself does not need.
"""

import os

# As the commands do: blocks of examples and photos are shared out to threads, products are not.
# It holds for every solver alike, in the process that all of them share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
