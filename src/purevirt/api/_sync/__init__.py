# Generated from _async/__init__.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""The asyncio half of the API, written by hand; the blocking half in `_sync` is generated from it."""
