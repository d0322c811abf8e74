"""Strategy, exchange keys, autopilot switch, orders, decisions."""
