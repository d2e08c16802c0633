#!/usr/bin/env python3
"""Forwards, in one run beside the official plugin and a bare WebSocket: benches/forward.py

Wants an optimised build (cargo build --release -p ssmx -p ssmx-sandbox --examples --bins) and, for the plugin's rows,
SSMX_BENCH_PLUGIN (the path of a session-manager-plugin) and an AWS CLI that starts it (`aws`, or SSMX_BENCH_AWS).
SSMX, SSMX_SANDBOX and SSMX_BENCH_WEBSOCKET name other builds; SSMX_BENCH_SECONDS how long one transfer is watched.
Nothing leaves loopback. Prints tables in Markdown, then whether the goals are met; the exit status says the same.
"""

import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from listing import GOALS, SANDBOX, SSMX, goal, table

WEBSOCKET = os.environ.get("SSMX_BENCH_WEBSOCKET", str(pathlib.Path(SANDBOX).parent / "examples/websocket"))
PLUGIN = os.environ.get("SSMX_BENCH_PLUGIN")
AWS = os.environ.get("SSMX_BENCH_AWS", shutil.which("aws") or "aws")
SECONDS = float(os.environ.get("SSMX_BENCH_SECONDS", "4"))
ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
BLOCK = bytes(range(256)) * 1024

# A node for each of pacing and delay. Real agents pace what they send, and are some way off.
SCENARIO = """
unsigned_upgrades = true
[[accounts]]
id = "111122223333"
alias = "prod"
[[accounts.keys]]
id = "AKIASANDBOXPROD00001"
secret = "sandbox/prod/alice/not-a-real-secret"
identity = "user/alice"
profiles = ["default"]
"""
NODES = {(paced, delay): f"i-0a1b2c3d4e5f6{paced:d}{delay:03d}" for paced in (0, 1) for delay in (0, 1)}
for (paced, delay), node in NODES.items():
    SCENARIO += f"""
[[nodes]]
id = "{node}"
name = "{'paced' if paced else 'quick'}-{delay}"
session = {{ pacing = "{'faithful' if paced else 'quick'}", faults = {{ round_trip_ms = {delay}.0 }} }}
"""


# ---- the far end: processes of their own, so that no interpreter waits for another ----


def serve(listener, answer, counter):
    """Gives every connection a thread of its own."""
    while True:
        stream, _ = listener.accept()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=quietly, args=(answer, stream, counter), daemon=True).start()


def quietly(act, stream, *more):
    with stream, contextlib.suppress(OSError):
        act(stream, *more)


def swallow(stream, counter):
    buffer = bytearray(MIB)
    while length := stream.recv_into(buffer):
        with counter.get_lock():
            counter.value += length


def pour(stream, _):
    while True:
        stream.sendall(BLOCK)


def echo(stream, _):
    while data := stream.recv(65536):
        stream.sendall(data)


class Service:
    """A server on a free port, in a process of its own; `counter` is what it has swallowed."""

    def __init__(self, answer):
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = listener.getsockname()[1]
        self.counter = multiprocessing.Value("Q", 0)
        self.process = multiprocessing.Process(target=serve, args=(listener, answer, self.counter), daemon=True)
        self.process.start()
        listener.close()


# ---- the near end ----


def dial(port):
    stream = socket.create_connection(("127.0.0.1", port), timeout=60)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def load(port, act, connections, counter):
    """Sends or receives on so many connections until it is ended."""
    threads = [threading.Thread(target=quietly, args=(act, dial(port), counter)) for _ in range(connections)]
    for thread in threads:
        thread.start()


class Load:
    """A process that keeps a forward busy."""

    def __init__(self, port, act, connections):
        self.counter = multiprocessing.Value("Q", 0)
        self.process = multiprocessing.Process(target=load, args=(port, act, connections, self.counter), daemon=True)
        self.process.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        time.sleep(0.3)


def ask(stream, size=64):
    stream.sendall(BLOCK[:size])
    left = size
    while left:
        left -= len(stream.recv(left)) or sys.exit("the echo has gone")


def times(act, count):
    """The median and the 99th percentile, in milliseconds."""
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        act()
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return statistics.median(took), took[min(len(took) - 1, int(len(took) * 0.99))]


# ---- what carries it ----


class World:
    """The sandbox with the nodes above, and a home."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="ssmx-bench-")
        scenario = pathlib.Path(self.home, "scenario.toml")
        scenario.write_text(SCENARIO)
        self.server = subprocess.Popen([SANDBOX, "--scenario", str(scenario), "serve"], stdout=subprocess.PIPE, text=True)
        self.env = {"HOME": self.home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        while "AWS_ENDPOINT_URL" not in self.env:
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", self.server.stdout.readline()).groups()
            self.env[name] = value

    def end(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class Carrier:
    """Something that listens on a local port and leads to another one; `pid` is the process that does the work."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def cpu(self, pid=None):
        fields = pathlib.Path(f"/proc/{pid or self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Ssmx(Carrier):
    def __init__(self, world, node, port, *words):
        child = subprocess.Popen([SSMX, "forward", "-o", "json", *words, node, f":{port}"], env=world.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = json.loads(child.stdout.readline())["local"]["port"]
        self.children, self.pid = [child], child.pid


class Plugin(Carrier):
    def __init__(self, world, node, port):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        env = dict(world.env, PATH=f"{pathlib.Path(PLUGIN).parent}:{world.env['PATH']}")
        child = subprocess.Popen(
            [AWS, "--endpoint-url", env["AWS_ENDPOINT_URL"], "ssm", "start-session", "--target", node,
             "--document-name", "AWS-StartPortForwardingSession",
             "--parameters", f"portNumber={port},localPortNumber={self.port}"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        for line in child.stdout:
            if "Waiting for connections" in line:
                break
        else:
            sys.exit("the plugin did not start")
        told = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()
        self.children, self.pid = [child], int(told.split()[0])

    def __exit__(self, *more):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
        super().__exit__(*more)


class Bare(Carrier):
    """The WebSocket library and nothing else. Without a delay: it has nothing that a delay could slow down."""

    def __init__(self, port):
        far, to = self.start("far", port)
        near, self.port = self.start("near", to)
        self.children, self.pid = [near, far], near.pid

    @staticmethod
    def start(end, port):
        child = subprocess.Popen([WEBSOCKET, end, str(port)], stdout=subprocess.PIPE, text=True)
        return child, int(child.stdout.readline())


# ---- the measurements ----


def edge(counter):
    """When the counter next moves, and to where: bytes may come in bursts of 32 KiB, and a burst more or less in a few
    seconds of a slow transfer is a percent."""
    before, deadline = counter.value, time.perf_counter() + 5
    while counter.value == before and time.perf_counter() < deadline:
        time.sleep(0.0002)
    return time.perf_counter(), counter.value


def watch(carrier, counter, also=None):
    """MB/s by a counter, and seconds of CPU for a GiB, of the carrier and of another process; once it flows."""
    begin = counter.value
    deadline = time.perf_counter() + 20
    while counter.value < begin + 65536 and time.perf_counter() < deadline:
        time.sleep(0.01)
    time.sleep(min(1.0, SECONDS / 4))
    begun, bytes_before = edge(counter)
    cpu, other = carrier.cpu(), carrier.cpu(also) if also else 0
    time.sleep(SECONDS)
    ended, bytes_after = edge(counter)
    carried, took = max(bytes_after - bytes_before, 1), ended - begun
    gib = carried / (1 << 30)
    return carried / took / 1e6, (carrier.cpu() - cpu) / gib, ((carrier.cpu(also) - other) / gib if also else None)


def transfers(world, title, delay, paced):
    """Throughput both ways, with 1 and 8 connections."""
    node = NODES[paced, delay]
    sink, source = Service(swallow), Service(pour)
    rows, figures = [], {}

    def row(name, make, key):
        cells = []
        for way, service, act in (("up", sink, pour), ("down", source, swallow)):
            for connections in (1, 8):
                with make(service.port) as carrier, Load(carrier.port, act, connections) as busy:
                    counter = sink.counter if way == "up" else busy.counter
                    rate, cpu, far = watch(carrier, counter, world.server.pid)
                    cells.append(rate)
                    if connections == 1:
                        figures[key, way, "cpu"] = cpu
                        figures[key, way, "far"] = far
                    figures[key, way, connections] = rate
        rows.append([name, *cells, figures[key, "up", "cpu"], figures[key, "down", "cpu"]])

    row("ssmx", lambda port: Ssmx(world, node, port), "ssmx")
    row("ssmx, 1,024 bytes a message", lambda port: Ssmx(world, node, port, "--set", "defaults.payload_limit=1024"), "small")
    row("ssmx, `--sessions 8`", lambda port: Ssmx(world, node, port, "--sessions", "8"), "pool")
    if PLUGIN:
        row("plugin", lambda port: Plugin(world, node, port), "plugin")
    if not delay and not paced:
        row("a bare WebSocket", Bare, "bare")
    table(title, ["MB/s", "up, 1", "up, 8", "down, 1", "down, 8", "CPU s a GiB, up", "down"], rows)
    far = figures["ssmx", "up", "far"], figures["ssmx", "down", "far"]
    print(f"\nThe sandbox itself needs {far[0]:.1f} s of CPU for a GiB up and {far[1]:.1f} s down: with a core of its own no "
          f"more than {1074 / far[0]:.0f} and {1074 / far[1]:.0f} MB/s.")
    return figures


def answers(world, title, delay, paced):
    """Requests with an idle and a busy neighbour, and connections, in milliseconds."""
    node = NODES[paced, delay]
    rows, figures = [], {}

    def row(name, make, key):
        service = Service(echo)
        with make(service.port) as carrier:
            set_up = times(lambda: ask_once(carrier.port), 200)
            with dial(carrier.port) as neighbour, dial(carrier.port) as stream:
                ask(neighbour)
                ask(stream)
                idle = times(lambda: ask(stream), 2000)
        # The neighbour is a connection to the same far port: an echo that nobody reads would stop it.
        mixed = Service(swallow_or_echo)
        with make(mixed.port) as carrier, Load(carrier.port, pour_marked, 1), dial(carrier.port) as stream:
            stream.sendall(b"e")
            time.sleep(1.0)
            busy = times(lambda: ask(stream), 300)
        rows.append([name, *set_up, *idle, *busy])
        figures[key] = {"set-up": set_up, "idle": idle, "busy": busy}
        for server in (service, mixed):
            server.process.kill()

    row("ssmx", lambda port: Ssmx(world, node, port), "ssmx")
    if PLUGIN:
        row("plugin", lambda port: Plugin(world, node, port), "plugin")
    if not delay and not paced:
        row("a bare WebSocket", Bare, "bare")
    table(f"Requests of 64 bytes and connections, in ms: {title}",
          ["", "connection, p50", "p99", "idle neighbour, p50", "p99", "bulk upload beside it, p50", "p99"], rows)
    return figures


def paced_downloads(world):
    """How much more a paced download brings than the plugin's, and the standard error of that: in turns, for the agent's
    pace is the same for both and the difference is small."""
    source, node = Service(pour), NODES[1, 1]
    ratios = []
    for _ in range(ROUNDS):
        rates = []
        for make in (Ssmx, Plugin):
            with make(world, node, source.port) as carrier, Load(carrier.port, swallow, 1) as busy:
                rates.append(watch(carrier, busy.counter)[0])
        ratios.append(rates[0] / rates[1])
    source.process.kill()
    return statistics.mean(ratios), statistics.stdev(ratios) / ROUNDS ** 0.5


def ask_once(port):
    with dial(port) as stream:
        ask(stream, 1)


def swallow_or_echo(stream, counter):
    """The first byte says what the connection is for."""
    (echo if stream.recv(1) == b"e" else swallow)(stream, counter)


def pour_marked(stream, counter):
    stream.sendall(b"s")
    pour(stream, counter)


def memory(world):
    """RSS with so many connections, each used once, in MiB."""
    rows, figures = [], {}

    def row(name, make, key):
        service = Service(echo)
        with make(service.port) as carrier:
            streams, cells = [], []
            for count in (1, 200):
                while len(streams) < count:
                    streams.append(dial(carrier.port))
                    ask(streams[-1], 4096)
                cells.append(carrier.memory())
            for stream in streams:
                stream.close()
        rows.append([name, *cells])
        figures[key] = cells
        service.process.kill()

    node = NODES[0, 0]
    row("ssmx", lambda port: Ssmx(world, node, port), "ssmx")
    if PLUGIN:
        row("plugin", lambda port: Plugin(world, node, port), "plugin")
    table("Memory, MiB", ["connections", "1", "200"], rows)
    return figures


def goals(real, quick, answered, slow, room):
    """What was to be reached, and the figure."""
    def at_least(what, ratio, wanted):
        goal(f"{what}: {ratio:.1f} times, at least {wanted} wanted", ratio >= wanted)

    def below(what, ratio, wanted):
        goal(f"{what}: {ratio:.2f} of it, less than {wanted:.2f} wanted", ratio < wanted)

    one, many = room["ssmx"]
    goal(f"memory with 1 connection {one:.1f} MiB, less than 20 wanted", one < 20)
    goal(f"memory with 200 connections {many:.1f} MiB, less than 60 wanted", many < 60)
    if not PLUGIN:
        return
    plugin = real["plugin", "up", 1]
    at_least("upload beside the plugin's, 1,024 bytes a message", real["small", "up", 1] / plugin, 25)
    at_least("upload beside the plugin's, 32 KiB a message", real["ssmx", "up", 1] / plugin, 80)
    ratio, error = slow
    goal(f"paced download beside the plugin's, one session: {ratio:.3f} times, ± {error:.3f} over {ROUNDS} turns; no less wanted",
         ratio + 2 * error >= 1)
    at_least("paced download over 8 connections beside the plugin's, 8 sessions",
             real["pool", "down", 8] / real["plugin", "down", 8], 6)
    ours, theirs = answered[0]["ssmx"], answered[0]["plugin"]
    below("request and response p50 beside the plugin's, no delay", ours["idle"][0] / theirs["idle"][0], 0.6)
    below("connection set-up p50 beside the plugin's, no delay", ours["set-up"][0] / theirs["set-up"][0], 0.6)
    worst = max(figures["ssmx"]["busy"][1] / figures["plugin"]["busy"][1] for figures in answered)
    below("request p99 with a bulk upload beside it, beside the plugin's, in the worst of the three", worst, 0.2)
    for way in ("up", "down"):
        below(f"CPU a byte {way} beside the plugin's, unpaced", quick["ssmx", way, "cpu"] / quick["plugin", way, "cpu"], 1 / 3)


def main():
    world = World()
    try:
        real = transfers(world, "Real agents: paced output, 1 ms of delay", 1, 1)
        quick = transfers(world, "An agent that does not pace, no delay", 0, 0)
        at_once = answers(world, "no delay, no pacing", 0, 0)
        paced = answers(world, "no delay, each message of the agent 1.3 ms after the last", 0, 1)
        late = answers(world, "1 ms of delay, paced like that", 1, 1)
        slow = paced_downloads(world) if PLUGIN else None
        room = memory(world)
    finally:
        world.end()
    goals(real, quick, (at_once, paced, late), slow, room)
    print("\n### Goals\n")
    for what, met in GOALS:
        print(f"- {'met' if met else '**not met**'}: {what}")
    sys.exit(0 if all(met for _, met in GOALS) else 1)


if __name__ == "__main__":
    main()
