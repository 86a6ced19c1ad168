"""Amplitude's REST APIs as tables of bronze."""
