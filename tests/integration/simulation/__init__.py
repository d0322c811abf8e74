"""The simulation finds what is put back wrong, and finds nothing otherwise."""
