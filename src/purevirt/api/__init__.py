"""The API: `_async` is written, `_sync` generated from it (`make generate`); `uri` says what a URI means."""
