"""What holds for every test."""

import gc


def pytest_collection_finish() -> None:
    """Look for cycles seldom: what was collected, and imported, is there to stay, and there are many objects to look
    through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
