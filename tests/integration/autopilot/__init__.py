"""The state machine that ticks, in moto's interpreter, with the deployed handlers behind it."""
