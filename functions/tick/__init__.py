"""The autopilot: dispatch finds who is due, work ticks them."""
