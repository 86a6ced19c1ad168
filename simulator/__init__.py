"""A stand-in for Amplitude: its read APIs, and a synthetic product whose events it serves."""
