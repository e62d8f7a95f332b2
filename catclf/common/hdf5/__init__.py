"""HDF5 files followed in Python, and checked, before the library sees them."""
