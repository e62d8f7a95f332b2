"""HDF5 files followed in Python, and checked, before the library sees them."""

from __future__ import annotations

import os
import platform
from typing import Any


def import_h5py() -> Any:
    """Import h5py so that it starts no process, and HDF5 loads no filter from a shared library."""
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
    # h5py looks at the system's name, of which Python finds one part by running `uname -p`.
    vars(platform.uname()).setdefault("processor", "")
    import h5py

    return h5py
