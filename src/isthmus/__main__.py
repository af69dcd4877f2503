"""`python -m isthmus` is the command `isthmus`."""

from isthmus.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
