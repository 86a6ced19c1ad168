"""Record `images/demo.svg`, the demo as it appears on a terminal: `python docs/record_demo.py`.

It runs the demo, which writes its own `.env` and below `data/demo`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from html import escape
from textwrap import wrap

from generated import ROOT

PICTURE = ROOT / "docs" / "images" / "demo.svg"
COLUMNS, LINE_HEIGHT, LETTER_WIDTH, MARGIN = 88, 18, 8.4, 20
SECONDS = 12.0  # that the picture takes, however long the demo did
COMMAND = "$ make demo"
STYLE = """
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #e6e6e6; white-space: pre; }
  .command { fill: #56b4e9; font-weight: bold; }
  .line { opacity: 0; animation: appear 0.01s linear forwards; }
  @keyframes appear { to { opacity: 1; } }
  @media (prefers-reduced-motion: reduce) { .line { opacity: 1; animation: none; } }
"""


def record() -> list[tuple[float, str]]:
    """Run the demo, and return each line with the second at which it came."""
    environment = {**os.environ, "COLUMNS": f"{COLUMNS}", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "simulator", "demo"]
    lines, started = [(0.0, COMMAND)], time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own module
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        for line in demo.stdout or ():
            second = time.monotonic() - started
            lines += [(second, part) for part in wrap(line.rstrip(), COLUMNS, drop_whitespace=False) or [""]]
    if demo.returncode:
        sys.exit("\n".join(line for _, line in lines))
    return lines


def picture(lines: Sequence[tuple[float, str]]) -> str:
    """Return the lines as a picture in which they appear one after the other."""
    scale = SECONDS / max(lines[-1][0], 1.0)
    width, height = int(COLUMNS * LETTER_WIDTH) + 2 * MARGIN, len(lines) * LINE_HEIGHT + 2 * MARGIN
    texts = [
        f'  <text class="line{" command" if line.startswith("$ ") else ""}" x="{MARGIN}" '
        f'y="{MARGIN + (place + 1) * LINE_HEIGHT - 4}" style="animation-delay: {second * scale:.2f}s">'
        f"{escape(line)}</text>"
        for place, (second, line) in enumerate(lines)
        if line
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="The demo">'
    ground = f'  <rect width="{width}" height="{height}" rx="8" fill="#16181d"/>'
    return "\n".join([head, f"  <style>{STYLE}  </style>", ground, *texts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(record()), encoding="utf-8")
