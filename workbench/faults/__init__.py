"""Every way in which an exchange and AWS really fail, on demand: by script, or at random from a seed.

``kinds`` is the table of what can go wrong and where, ``injector`` the one place that decides, ``exchange`` and
``aws`` perform what was decided, ``crash_points`` ends a worker between any two of its requests.
"""
