"""Amplitude's export into the lake and bronze. `python pipelines/amplitude.py --help` shows how."""

import gc
import sys
from pathlib import Path

gc.disable()  # looking for garbage in what is imported, which stays, would take a tenth of the start
try:
    from amplitude_source.cli.commands import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("amplitude"):
        raise
    sys.exit(
        f"error: {sys.executable} does not have the project's packages. Run `make .venv/installed` once in "
        f"{Path(__file__).resolve().parents[1]}, then use its .venv/bin/python."
    )

gc.freeze()
gc.enable()

__all__ = ["main"]

if __name__ == "__main__":
    main()
