"""Alerts: what is wrong is said once, to a webhook or a command, and once more when it is over."""
