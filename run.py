"""The command line: ``python run.py --help``. The same as the installed script ``powerbench``."""

import sys

from powerbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
