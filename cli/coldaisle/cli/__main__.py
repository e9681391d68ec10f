"""``python -m coldaisle.cli``: the same program as ``coldaisle``."""

from coldaisle.cli.main import main

if __name__ == "__main__":
    main()
