#!/usr/bin/env python3
"""Shells by the engine, in one run beside the official plugin: benches/engine.py

Wants an optimised build (cargo build --release -p ssmx -p ssmx-sandbox) and an AWS CLI (`aws`, or SSMX_BENCH_AWS), which
starts one plugin after the other: ssmx by that name, and the one that SSMX_BENCH_PLUGIN names, if any. SSMX and
SSMX_SANDBOX name other builds. Nothing leaves loopback. Prints tables in Markdown.
"""

import os
import pathlib
import pty
import re
import select
import signal
import statistics
import sys
import tempfile
import time

from forward import AWS, NODES, PLUGIN, TICKS, World
from listing import SSMX, table

NODE = NODES[0, 1]
MIB = 1 << 20
STARTS = 15
KEYS = 1000


class Shell:
    """A shell in a terminal, by `aws ssm start-session` and a plugin."""

    def __init__(self, world, plugin):
        self.directory = tempfile.TemporaryDirectory()
        begun = pathlib.Path(self.directory.name, "begun")
        stand_in = pathlib.Path(self.directory.name, "session-manager-plugin")
        # The AWS CLI starts a plugin twice: for its version, and when StartSession has been answered.
        stand_in.write_text(
            f'#!/bin/bash\n[ "$1" = --version ] || {{ echo "$EPOCHREALTIME" > {begun}; echo $$ >> {begun}; }}\n'
            f'exec -a session-manager-plugin {plugin} "$@"\n')
        stand_in.chmod(0o755)
        env = dict(world.env, PATH=f"{self.directory.name}:{world.env['PATH']}", TERM="xterm")
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(AWS, [AWS, "--endpoint-url", env["AWS_ENDPOINT_URL"], "ssm", "start-session", "--target", NODE], env)
        self.seen = b""
        self.until(b"$ ")
        ready = time.time()
        started, worker = begun.read_text().split()
        self.first_output = (ready - float(started)) * 1000
        self.worker = int(worker)

    def until(self, wanted, patience=600):
        """Reads until this has come, and forgets all up to it."""
        deadline = time.monotonic() + patience
        while wanted not in self.seen:
            if time.monotonic() > deadline:
                sys.exit(f"{wanted!r} did not come, but {self.seen[-300:]!r}")
            if select.select([self.terminal], [], [], 1)[0]:
                self.seen = self.seen[-len(wanted):] + os.read(self.terminal, 1 << 16)
        self.seen = self.seen.partition(wanted)[2]

    def line(self, text):
        os.write(self.terminal, text.encode() + b"\r")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self):
        status = pathlib.Path(f"/proc/{self.worker}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def end(self):
        self.line("exit")
        try:
            while os.read(self.terminal, 1 << 16):
                pass
        except OSError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
        self.directory.cleanup()


def percentiles(took):
    took = sorted(took)
    return statistics.median(took), took[int(len(took) * 0.99)]


def first_output(world, plugin):
    took = []
    for _ in range(STARTS):
        shell = Shell(world, plugin)
        took.append(shell.first_output)
        shell.end()
    return statistics.median(took), min(took)


def echo(world, plugin):
    """Each key's way to the terminal of the far end and back."""
    shell = Shell(world, plugin)
    shell.line("stty -icanon; echo rea''dy; cat > /dev/null")
    shell.until(b"ready")
    time.sleep(0.5)
    took = []
    for at in range(KEYS):
        key = bytes([ord("a") + at % 26])
        begun = time.perf_counter()
        os.write(shell.terminal, key)
        shell.until(key)
        took.append((time.perf_counter() - begun) * 1000)
    os.write(shell.terminal, b"\x03")
    shell.until(b"$ ")
    shell.end()
    return percentiles(took)


def print_out(shell, mib):
    """Seconds and seconds of CPU for so much output."""
    cpu, begun = shell.cpu(), time.perf_counter()
    shell.line(f"yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c {mib * MIB}; echo all prin''ted")
    shell.until(b"all printed")
    return time.perf_counter() - begun, shell.cpu() - cpu


def main():
    plugins = [("ssmx", SSMX)] + ([("plugin", PLUGIN)] if PLUGIN else [])
    figures = {}
    world = World()
    try:
        for name, plugin in plugins:
            start = first_output(world, plugin)
            keys = echo(world, plugin)
            shell = Shell(world, plugin)
            idle = shell.peak()
            took, cpu = print_out(shell, 50)
            after = shell.peak()
            figures[name] = [*start, *keys, 50 / took, cpu, idle, after]
            if name == "ssmx":
                print_out(shell, 1024)
                flat = after, shell.peak()
            shell.end()
        rows = [[name, *cells] for name, cells in figures.items()]
        if PLUGIN:
            rows.append(["ssmx / plugin", *(f"{a / b:.2f}" for a, b in zip(figures["ssmx"], figures["plugin"]))])
    finally:
        world.end()
    table("A shell, 1 ms of delay",
          ["", "StartSession's answer to the prompt, ms", "at best", "a key's echo, p50 ms", "p99", "50 MiB printed, MiB/s",
           "its CPU, s", "peak memory at the prompt, MiB", "after 50 MiB"], rows)
    print(f"\nPeak memory of ssmx after 50 MiB {flat[0]:.1f} MiB, after 1 GiB more {flat[1]:.1f} MiB.")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
