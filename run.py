"""The command line: ``python run.py --help``. The same as the installed script ``powerbench``."""

from powerbench.cli import program

if __name__ == "__main__":
    program()
