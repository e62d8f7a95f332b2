"""Images on a Dask cluster, and the sums over them."""
