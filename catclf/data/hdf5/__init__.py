"""HDF5 files of the course's layout, read and written."""
