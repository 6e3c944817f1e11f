"""`python -m haneul` is the command `haneul`."""

from haneul.cli import run

if __name__ == "__main__":
    run()
