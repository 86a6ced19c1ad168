"""A stand-in for Amplitude: its Export API, and a synthetic product whose events it serves."""
