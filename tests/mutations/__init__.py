"""Deliberate breakages of the money path, and whether the suite notices each."""
