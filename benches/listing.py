#!/usr/bin/env python3
"""Start-up, completion and listing, in one run beside the AWS CLI: benches/listing.py

Wants an optimised build (cargo build --release -p ssmx -p ssmx-sandbox), hyperfine, valgrind and GNU time. The AWS CLI is the
one on PATH, or those whose directories SSMX_BENCH_AWS names, with colons between. Nothing leaves loopback. Prints
tables in Markdown, then whether the goals are met; the exit status says the same.
"""

import http.client
import http.server
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SSMX = os.environ.get("SSMX", str(ROOT / "target/release/ssmx"))
SANDBOX = os.environ.get("SSMX_SANDBOX", str(ROOT / "target/release/ssmx-sandbox"))
SIZES = [100, 10_000, 100_000]


class World:
    """A sandbox with so many nodes, and a home of its own."""

    def __init__(self, nodes):
        self.home = tempfile.mkdtemp(prefix="ssmx-bench-")
        self.server = subprocess.Popen(
            [SANDBOX, "--nodes", str(nodes), "serve"], stdout=subprocess.PIPE, text=True
        )
        self.env = {"HOME": self.home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm"}
        while "AWS_ENDPOINT_URL" not in self.env:
            line = self.server.stdout.readline()
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", line).groups()
            self.env[name] = value
        self.env["AWS_PAGER"] = ""

    def end(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *words):
        subprocess.run([SSMX, *words], env=self.env, stdout=subprocess.DEVNULL, check=True)


def peak(words, env):
    """The most memory that a command ever had, in MiB, as GNU time sees it: a small parent, since a child's figure
    begins with its parent's."""
    with tempfile.NamedTemporaryFile("r") as told:
        subprocess.run(["/usr/bin/time", "-q", "-f", "%M", "-o", told.name, *words], env=env,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return int(told.read().split()[-1]) / 1024


def wall(words, env, runs):
    """The median and the least time of a command, in milliseconds."""
    with tempfile.NamedTemporaryFile() as export:
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        subprocess.run(
            ["hyperfine", "--shell=none", "--ignore-failure", "--warmup=2", f"--runs={runs}", "--style=none",
             f"--export-json={export.name}", quoted],
            env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        told = json.load(open(export.name))["results"][0]
        return told["median"] * 1000, told["min"] * 1000


def instructions(words, env):
    """Instructions by callgrind, in millions."""
    told = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words],
        env=env, capture_output=True, text=True,
    ).stderr
    return int(re.search(r"Collected : (\d+)", told).group(1)) / 1e6


def aws_clis():
    """The AWS CLIs: a name, the program, its completer if it has one."""
    named = os.environ.get("SSMX_BENCH_AWS")
    directories = named.split(":") if named else [str(pathlib.Path(shutil.which("aws")).parent)]
    for directory in directories:
        program = f"{directory}/aws"
        told = subprocess.run([program, "--version"], capture_output=True, text=True)
        name = re.match(r"aws-cli/(\S+)", told.stdout + told.stderr).group(1)
        completer = f"{directory}/aws_completer"
        yield f"AWS CLI {name}", program, completer if os.path.exists(completer) else None


def table(title, headings, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(headings) + " |")
    print("|" + " --- |" * len(headings))
    for row in rows:
        print("| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    sys.stdout.flush()


GOALS = []


def goal(what, met):
    GOALS.append((what, met))


def startup(world):
    rows = []
    for words in (["version"], ["config", "path"]):
        command = [SSMX, *words]
        rows.append(["`ssmx " + " ".join(words) + "`", *wall(command, world.env, 200),
                     instructions(command, world.env), peak(command, world.env)])
    table("Start-up", ["", "ms", "at best", "million instructions", "MiB"], rows)


def completion(worlds):
    line = "ssmx connect node-0000"
    ours = [SSMX, "__complete", "bash", line, "node-0000", "9"]
    rows, times, counts = [], [], []
    for size, world in worlds.items():
        times.append(wall(ours, world.env, 200))
        counts.append(instructions(ours, world.env))
        rows.append([f"`ssmx connect node-0000<TAB>`, {size:,} nodes", *times[-1], counts[-1],
                     peak(ours, world.env)])
    typed = "aws ec2 describe-inst"
    for name, _, completer in aws_clis():
        if completer is None:
            continue
        env = dict(worlds[SIZES[0]].env, COMP_LINE=typed, COMP_POINT=str(len(typed)))
        theirs = wall([completer], env, 10)
        rows.append([f"`aws_completer` of {name}", *theirs, "", peak([completer], env)])
        goal(f"a completion takes less than a tenth of `aws_completer`'s time ({name})", max(times)[0] < theirs[0] / 10)
    table("Completion", ["", "ms", "at best", "million instructions", "MiB"], rows)
    # Medians tell of whatever else the machine does; the best of many, and instructions, do not.
    grown = max(times[-1][1] / times[0][1], counts[-1] / counts[0])
    goal("from 100 to 100,000 nodes a completion grows by less than a factor of two, in time and instructions", grown < 2)


def listing(world):
    ours = [SSMX, "ls", "-o", "json"]
    rows = [["`ssmx ls -o json`", wall(ours, world.env, 10)[0], peak(ours, world.env)]]
    for name, program, _ in aws_clis():
        # Version 2 before 2.13 does not know the variable.
        at = ["--endpoint-url", world.env["AWS_ENDPOINT_URL"]]
        calls = [[program, *at, "ec2", "describe-instances", "--output", "json"],
                 [program, *at, "ssm", "describe-instance-information", "--output", "json"]]
        took = sum(wall(call, world.env, 3)[0] for call in calls)
        memory = max(peak(call, world.env) for call in calls)
        rows.append([f"{name}: describe-instances and describe-instance-information", took, memory])
        goal(f"`ls` of 5,000 takes less than a fifth of the time ({name})", rows[0][1] < took / 5)
        goal(f"`ls` of 5,000 takes less than a fifth of the memory ({name})", rows[0][2] < memory / 5)
    table("Listing 5,000 instances, the same server", ["", "ms", "MiB"], rows)


def picker(world):
    def opening():
        pid, screen = pty.fork()
        if pid == 0:
            os.execve(SSMX, [SSMX, "connect", "--dry-run"], world.env)
        begun, seen = time.perf_counter(), b""
        while "❯".encode() not in seen:
            select.select([screen], [], [], 30)
            seen += os.read(screen, 65536)
        took = time.perf_counter() - begun
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)
        return took * 1000

    world.run("ls", "-o", "name")
    remembered = statistics.median(opening() for _ in range(20))
    anew = []
    for _ in range(5):
        shutil.rmtree(f"{world.home}/.cache/ssmx/snapshots")
        anew.append(opening())
    table("The picker, 5,000 nodes", ["from Enter to the rows", "ms"],
          [["listed a moment ago", remembered], ["listed now", statistics.median(anew)]])


class Between(http.server.BaseHTTPRequestHandler):
    """Hands calls on to the sandbox, and notes when StartSession comes by."""

    protocol_version = "HTTP/1.1"
    target, started = None, None

    def do_POST(self):
        if self.headers.get("x-amz-target", "").endswith("StartSession") and Between.started is None:
            Between.started = time.perf_counter()
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        onward = http.client.HTTPConnection(Between.target)
        onward.request("POST", self.path, body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        try:
            self.end_headers()
            self.wfile.write(content)
        except BrokenPipeError:
            pass  # Who has what it came for may leave.

    def log_message(self, *_):
        pass


def enter(world):
    Between.target = world.env["AWS_ENDPOINT_URL"].removeprefix("http://")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = dict(world.env, AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}")
    stand_in = pathlib.Path(world.home, "bin")
    stand_in.mkdir()
    plugin = stand_in / "session-manager-plugin"
    plugin.write_text("#!/bin/sh\nexit 0\n")
    plugin.chmod(0o755)
    env["PATH"] = f"{stand_in}:{env['PATH']}"
    name = "node-050000"
    told = subprocess.run([SSMX, "resolve", name, "-o", "name"], env=env, capture_output=True, text=True, check=True)
    node = told.stdout.strip().removeprefix("instance/")

    def until_started(words):
        times = []
        for _ in range(10):
            Between.started = None
            begun = time.perf_counter()
            child = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            while Between.started is None and child.poll() is None:
                time.sleep(0.0005)
            if Between.started is None:
                sys.exit(f"{words}: no StartSession came")
            times.append((Between.started - begun) * 1000)
            child.wait()
        return [statistics.median(times), peak(words, env)]

    ours = until_started([SSMX, "connect", name])
    rows = [[f"`ssmx connect {name}`, of 100,000 that are remembered", *ours],
            ["`ssmx connect i-…`", *until_started([SSMX, "connect", node])]]
    goal("from Enter to StartSession less than 20 ms", ours[0] < 20)
    for cli, program, _ in aws_clis():
        rows.append([f"{cli}: `aws ssm start-session --target i-…`",
                     *until_started([program, "--endpoint-url",
                                     env["AWS_ENDPOINT_URL"], "ssm", "start-session", "--target", node])])
    table("From Enter to StartSession on the wire", ["", "ms", "MiB"], rows)
    server.shutdown()


def main():
    worlds = {size: World(size) for size in SIZES}
    five = World(5000)
    try:
        for world in worlds.values():
            world.run("ls", "-o", "name")
        startup(worlds[SIZES[0]])
        completion(worlds)
        enter(worlds[SIZES[-1]])
        listing(five)
        picker(five)
    finally:
        for world in [*worlds.values(), five]:
            world.end()
    print("\n### Goals\n")
    for what, met in GOALS:
        print(f"- {'met' if met else '**not met**'}: {what}")
    sys.exit(0 if all(met for _, met in GOALS) else 1)


if __name__ == "__main__":
    main()
