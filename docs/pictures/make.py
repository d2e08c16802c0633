#!/usr/bin/env python3
"""Pictures of ssmx in a terminal: docs/pictures/make.py

Runs the built program (target/debug, or SSMX and SSMX_SANDBOX) in the sandbox, in a pty of 80 and of 200 columns, and
draws what stands on the screen as SVG, light and dark. Only what our output uses of a terminal is understood.
"""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unicodedata
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SSMX = os.environ.get("SSMX", str(ROOT / "target/debug/ssmx"))
SANDBOX = os.environ.get("SSMX_SANDBOX", str(ROOT / "target/debug/ssmx-sandbox"))

# The words after `ssmx`, the keys to type, and what has to be on the screen first. Where there is room for more
# columns, they are asked for.
SCENES = {
    "ls": (["ls"], "", ""),
    "describe": (["describe", "web"], "", ""),
    "picker": (["connect", "--dry-run"], "wrk", "❯"),
    "error": (["connect", "prod-wbe"], "", ""),
}
WIDTHS = [80, 200]
WIDE = {"ls": ["-o", "wide"]}
ROWS = 40

THEMES = {
    "light": {"back": "#ffffff", "edge": "#d0d7de", "text": "#24292f", "red": "#c4001a", "green": "#107c2e", "yellow": "#8a6100",
              "cyan": "#0b6e8a", "dim": 0.6},
    "dark": {"back": "#16191d", "edge": "#30363d", "text": "#d7dce2", "red": "#ff6b6b", "green": "#57d977", "yellow": "#e5c15d",
             "cyan": "#4fc6e0", "dim": 0.6},
}
COLOURS = {31: "red", 32: "green", 33: "yellow", 36: "cyan"}

CONFIG = """schema = 1
[profiles.prod]
reason = "optional"
[targets.web]
profile = "prod"
name = "prod-web"
[aliases]
w = "web"
[presets.shop]
target = "web"
port = 80
local = 8080
"""


class Screen:
    """Cells of a character and a style; a style is (colour, bold, dim, inverse)."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = [[]]
        self.row = self.column = 0
        self.style = (None, False, False, False)

    def feed(self, text):
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b[^\[]|[\s\S]", text):
            if part == "\n":
                self.row += 1
                while len(self.lines) <= self.row:
                    self.lines.append([])
            elif part == "\r":
                self.column = 0
            elif part.startswith("\x1b["):
                self.command(part[2:-1], part[-1])
            elif not part.startswith("\x1b") and part >= " ":
                self.put(part)

    def put(self, character):
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self.column + width > self.columns:
            self.feed("\r\n")
        line = self.lines[self.row]
        while len(line) <= self.column:
            line.append((" ", (None, False, False, False)))
        line[self.column] = (character, self.style)
        self.column += width

    def command(self, numbers, letter):
        values = [int(number) for number in re.findall(r"\d+", numbers)]
        if letter == "m":
            self.sgr(values or [0])
        elif letter == "A":
            self.row = max(0, self.row - (values or [1])[0])
        elif letter == "J":
            del self.lines[self.row + 1:]
            del self.lines[self.row][self.column:]
        elif letter == "K":
            del self.lines[self.row][self.column:]

    def sgr(self, values):
        colour, bold, dim, inverse = self.style
        for value in values:
            if value == 0:
                colour, bold, dim, inverse = None, False, False, False
            elif value == 1:
                bold = True
            elif value == 2:
                dim = True
            elif value == 7:
                inverse = True
            elif value in COLOURS:
                colour = COLOURS[value]
        self.style = (colour, bold, dim, inverse)


def capture(words, keys, awaited, columns, env):
    """What a person would see."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(SSMX, [SSMX, *words], env)
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    seen, deadline = b"", time.monotonic() + 30
    typed = False
    quiet_since = None
    while time.monotonic() < deadline:
        ready, _, _ = select.select([screen], [], [], 0.3)
        if ready:
            try:
                read = os.read(screen, 65536)
            except OSError:
                break
            if not read:
                break
            seen, quiet_since = seen + read, None
            continue
        quiet_since = quiet_since or time.monotonic()
        if awaited and not typed and awaited.encode() in seen:
            for key in keys:
                os.write(screen, key.encode())
                time.sleep(0.1)
            typed = True
        elif awaited and typed:
            break
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
    os.close(screen)
    text = seen.decode()
    # What is true of one run is nobody's business in the next.
    text = re.sub(r"request id [0-9a-f-]{36}", "request id …", text)
    text = re.sub(r"\d s ago", "2 s ago", text)
    return re.sub(r"(last ping:\S* +)[0-9-]{10} [0-9:]{8}Z", r"\g<1>2026-11-25 09:30:00Z", text)


def is_sign(character):
    return "\u2600" <= character <= "\u2bff"


def draw(typed, text, columns, theme):
    colours = THEMES[theme]
    screen = Screen(columns)
    screen.feed(text)
    lines = [[(character, (None, False, False, False)) for character in f"$ ssmx {typed}"], *screen.lines]
    while lines and not any(character.strip() or style[3] for character, style in lines[-1]):
        lines.pop()
    width, height, left, top = 8.4, 18, 14, 14
    total_width, total_height = left * 2 + columns * width, top * 2 + len(lines) * height
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width:.0f}" height="{total_height:.0f}" '
        f'viewBox="0 0 {total_width:.0f} {total_height:.0f}">',
        f'<rect x="0.5" y="0.5" width="{total_width - 1:.0f}" height="{total_height - 1:.0f}" rx="6" '
        f'fill="{colours["back"]}" stroke="{colours["edge"]}"/>',
        '<g font-family="DejaVu Sans Mono, ui-monospace, Menlo, Consolas, monospace" font-size="14">',
    ]
    for row, line in enumerate(lines):
        y = top + row * height
        runs = []
        for column, (character, style) in enumerate(line):
            # Columns are placed by themselves, so that they stand whatever the font.
            gap = runs and runs[-1][1].endswith("  ") and character != " "
            # Signs come from other fonts, in widths of their own.
            gap = gap or runs and is_sign(runs[-1][1][-1])
            if runs and not gap and runs[-1][2] == style and runs[-1][0] + len(runs[-1][1]) == column:
                runs[-1][1] += character
            else:
                runs.append([column, character, style])
        for column, content, (colour, bold, dim, inverse) in runs:
            x = left + column * width
            fill = colours[colour] if colour else colours["text"]
            if inverse:
                svg.append(f'<rect x="{x:.1f}" y="{y}" width="{len(content) * width:.1f}" height="{height}" '
                           f'fill="{fill}"/>')
                fill = colours["back"]
            if not content.strip():
                continue
            weight = ' font-weight="bold"' if bold else ""
            opacity = f' opacity="{colours["dim"]}"' if dim else ""
            svg.append(f'<text x="{x:.1f}" y="{y + 13}" textLength="{len(content) * width:.1f}" fill="{fill}"'
                       f'{weight}{opacity} xml:space="preserve">{escape(content)}</text>')
    svg += ["</g>", "</svg>", ""]
    return "\n".join(svg)


def main():
    home = tempfile.mkdtemp(prefix="ssmx-pictures-")
    server = subprocess.Popen([SANDBOX, "serve"], stdout=subprocess.PIPE, text=True)
    env = {"HOME": home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "AWS_PAGER": ""}
    try:
        while "AWS_ENDPOINT_URL" not in env:
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", server.stdout.readline()).groups()
            env[name] = value
        config = pathlib.Path(home, ".config/ssmx/config.toml")
        config.parent.mkdir(parents=True)
        config.write_text(CONFIG)
        for scene, (words, keys, awaited) in SCENES.items():
            for columns in WIDTHS:
                typed = words + (WIDE.get(scene, []) if columns > 80 else [])
                text = capture(typed, keys, awaited, columns, env)
                for theme in THEMES:
                    picture = draw(" ".join(typed), text, columns, theme)
                    (HERE / f"{scene}-{columns}-{theme}.svg").write_text(picture)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
