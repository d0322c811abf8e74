"""The description of the whole API, made from the code of the functions that serve it."""
