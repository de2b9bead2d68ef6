"""Text <-> model, pure: no I/O. The descriptions of domains arrive here with their own issue."""
