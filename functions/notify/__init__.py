"""Telling owners: collect makes messages of what was written, due finds those whose time has come, deliver sends."""
