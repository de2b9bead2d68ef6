"""The only library code that touches the operating system."""
