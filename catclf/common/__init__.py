"""What has nothing to do with cats: arrays, files, threads, memory, text."""
