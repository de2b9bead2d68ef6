"""The REST face of the daemon, below `/api/v1`: resources, jobs, events, and the document that describes them.

    routes      the one table: what each method of each path does
    parameters  where a route's arguments come from, and how they are read
    app         the table as a Starlette application; definitions (ETags) and events (server-sent) have their own files
    schemas     the model's types as JSON schemas; openapi: the OpenAPI document, of the same table
    server      uvicorn's HTTP protocol on the daemon's own sockets, in the daemon's own event loop

Starlette and uvicorn are the extra `[daemon]`: nothing outside of this package imports them, and only `routes`,
`parameters`, `schemas` and `openapi` can be imported without.
"""
