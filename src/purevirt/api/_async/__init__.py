"""The asyncio half of the API, written by hand; the blocking half in `_sync` is generated from it."""
