"""Seconds in a minute, an hour and a day."""

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
