"""What the side-by-side scripts share: commands timed in turn, their best times and memory."""

import argparse
import os
import pathlib
import subprocess
import sys
import time

CKPT = str(pathlib.Path(__file__).resolve().parents[2] / "target" / "release" / "ckpt")


def options(description):
    """The options of every script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", default="/dev/shm", help="where the files are made")
    parser.add_argument("--rounds", type=int, default=7, help="counted runs of each command")
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    return parser.parse_args()


def run(command, before=None):
    """Seconds and peak resident memory (bytes) of one run of a whole process."""
    if before:
        before()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"{command} failed:\n{errors.decode()}")
    return seconds, usage.ru_maxrss * 1024


def compare(commands, rounds, before=None):
    """Runs `{name: command}` in turn, a discarded round first; best seconds and most memory."""
    best = {name: (float("inf"), 0) for name in commands}
    for round_number in range(rounds + 1):
        for name, command in commands.items():
            seconds, memory = run(command, before)
            if round_number > 0:
                best[name] = (min(best[name][0], seconds), max(best[name][1], memory))
    return best


def table(title, best, base):
    """Prints the times as multiples of the command called `base`."""
    print(f"\n{title}")
    for name, (seconds, memory) in best.items():
        ratio = seconds / best[base][0]
        print(f"  {name:44} {seconds:8.3f} s  {ratio:7.2f} x {base}  {memory / 1e6:8.1f} MB", flush=True)


def make(script, *arguments):
    """Runs `script make ...` in a process of its own: a child starts with its parent's memory
    counted as its peak, so the process that measures stays small."""
    subprocess.run([sys.executable, script, "make", *map(str, arguments)], check=True)


def python(code, *arguments):
    """A command that runs `code` in this environment."""
    return [sys.executable, "-c", code, *map(str, arguments)]
