"""`python -m haneul.serve.work CONFIG PARENT THREADS`: a worker as the supervisor's child."""

from __future__ import annotations

import sys

from haneul.serve import logs
from haneul.serve.config import ServeConfig
from haneul.serve.worker import run


def main() -> None:
    logs.set_up("worker")
    run(ServeConfig.from_json(sys.argv[1]), parent=int(sys.argv[2]), threads=int(sys.argv[3]))


if __name__ == "__main__":
    main()
