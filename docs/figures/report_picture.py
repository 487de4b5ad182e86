"""Take the picture of a report in README, with Chromium: ``python docs/figures/report_picture.py [reports/index.html]``.

The report is to be of a whole session, ``pytest claims -n 4``. What is shown is its beginning, as a window of that size has it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bthcheck.files import write_whole

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_name("report.png")
WIDTH, HIGH = 1100, 1000  # of the window, in pixels
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def take(report: Path, path: Path = PICTURE) -> None:
    """Write the picture of a page; raise ``FileNotFoundError`` if there is no browser or no page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"one of {', '.join(BROWSERS)} takes the picture, and none is installed")
    if not report.is_file():
        raise FileNotFoundError(f"there is no report at {report}; pytest claims -n 4 writes one")
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "report.png"
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/user",
        ]
        command += [f"--window-size={WIDTH},{HIGH}", f"--screenshot={taken}", report.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        write_whole(path, taken.read_bytes())


if __name__ == "__main__":
    try:
        take(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reports" / "index.html")
    except FileNotFoundError as error:
        sys.exit(str(error))
    print(f"taken: {PICTURE.name}")
