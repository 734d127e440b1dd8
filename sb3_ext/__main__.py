"""Run the command line: ``python -m sb3_ext`` is ``sb3-ext``."""

from sb3_ext.cli import main

if __name__ == "__main__":
    main()
