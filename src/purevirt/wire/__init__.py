"""Bytes <-> messages, sans-IO, both ends: no socket, no clock, no mode."""
