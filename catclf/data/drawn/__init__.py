"""The drawn set: pictures of cats and of other things, rendered on demand."""
