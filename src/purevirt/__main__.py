"""`python -m purevirt`: the command line."""

from purevirt.cli import main

if __name__ == "__main__":
    main()
