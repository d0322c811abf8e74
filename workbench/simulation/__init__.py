"""A whole deployment in one thread, from one seed: real use cases, an exchange with manners, owners who act."""
