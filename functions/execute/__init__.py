"""POST execute."""
