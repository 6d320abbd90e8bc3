#!/usr/bin/env python3
"""Times a sync of two folders of vCards against vdirsyncer, in turn, in one run.

    scripts/bench-sync.py [--items 10000] [--rounds 3] [--vdirsyncer PATH] [--outrigger PATH]

Per round and tool: fresh folders, first sync, then three runs with nothing to do. Folders are
removed at the very end: ext4 avoids inodes that were freed in the last seconds, and searching past
20,000 of them adds a second to either tool's first sync. Wall time is
from start to exit of the command. Memory is, for vdirsyncer, its own peak; for outrigger the sum
of the peaks of the command, both plugin processes and both keepers, as `--json` tells them.
Prints medians and the ratios outrigger / vdirsyncer, and what the bars are. Processes are not
pinned: the scheduler places them.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FIRST = "Anna Bert Çetin Dörte Émile 山田 Fatima Grigori Hélène Igor Jun Κώστας Liu Małgorzata Nils".split()
LAST = "Müller Smith 佐藤 Ivanov Nguyễn O'Neill Núñez Schmidt Łukasz García Kim Åberg".split()


def fold(line):
    """Folds a content line at 74 bytes, never inside a character."""
    raw, parts = line.encode(), []
    while len(raw) > 74:
        cut = 74
        while raw[cut] & 0xC0 == 0x80:
            cut -= 1
        parts.append(raw[:cut])
        raw = b" " + raw[cut:]
    return b"\r\n".join(parts + [raw])


def card(rng, number):
    first, last = rng.choice(FIRST), rng.choice(LAST)
    uid = f"{rng.getrandbits(64):016x}-{number:06d}"
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"UID:{uid}", f"FN:{first} {last} {number}", f"N:{last};{first};;;",
             f"EMAIL;TYPE=INTERNET,HOME:{number}@example.org", f"TEL;TYPE=CELL:+49 170 {rng.randrange(10**7):07d}"]
    if number % 3 == 0:
        lines.append(f"ADR;TYPE=WORK:;;{rng.randrange(200)} Main St.;Köln;;50667;Germany")
    if number % 5 == 0:
        lines.append("NOTE:" + " ".join(rng.choice(FIRST + LAST) for _ in range(60)))
    return uid, b"\r\n".join(fold(line) for line in lines + ["END:VCARD"]) + b"\r\n"


def generate(folder, count):
    rng = random.Random(1)
    os.makedirs(folder)
    for number in range(count):
        uid, data = card(rng, number)
        with open(os.path.join(folder, uid + ".vcf"), "wb") as file:
            file.write(data)


def contents(folder):
    digest = lambda name: hashlib.sha256(open(os.path.join(folder, name), "rb").read()).digest()
    return sorted(digest(name) for name in os.listdir(folder) if name.endswith(".vcf"))


def timed(command, env=None):
    begun = time.monotonic()
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    if status != 0:
        sys.exit(f"{command[0]} failed:\n{output.decode(errors='replace')[-2000:]}")
    return wall, usage.ru_maxrss / 1024, output


class Outrigger:
    name = "outrigger"

    def __init__(self, binary, root):
        self.command = [binary, "-c", root + "/outrigger.toml", "sync", "pair", "--json"]
        with open(root + "/outrigger.toml", "w") as file:
            file.write('state = "./state"\n[member.a]\nplugin = "vdir"\npath = "./a"\n[member.b]\nplugin = "vdir"\npath = "./b"\n'
                       '[group.pair]\nmembers = ["a", "b"]\ncollections = "all"\ncreate_collections = true\n')

    def sync(self):
        wall, _, output = timed(self.command)
        said = json.loads(output.decode().strip().splitlines()[-1])
        peaks = [said["peak_rss_bytes"]]
        for plugin in said["plugins"]:
            peaks += [plugin["peak_rss_bytes"], plugin["keeper_peak_rss_bytes"]]
        return wall, sum(peaks) / 2**20


class Vdirsyncer:
    name = "vdirsyncer"

    def __init__(self, binary, root):
        self.binary = binary
        self.env = dict(os.environ, VDIRSYNCER_CONFIG=root + "/vdirsyncer.conf")
        storage = '[storage {0}]\ntype = "filesystem"\npath = "{1}/{0}/"\nfileext = ".vcf"\n'
        with open(root + "/vdirsyncer.conf", "w") as file:
            file.write(f'[general]\nstatus_path = "{root}/status/"\n[pair pair]\na = "a"\nb = "b"\ncollections = ["book"]\n'
                       'conflict_resolution = "a wins"\nimplicit = "create"\n' + storage.format("a", root) + storage.format("b", root))
        timed([binary, "discover", "pair"], self.env)

    def sync(self):
        wall, peak, _ = timed([self.binary, "sync", "pair"], self.env)
        return wall, peak


def measure(tool, binary, items, root):
    generate(root + "/a/book", items)
    os.makedirs(root + "/b/book")
    os.sync()
    run = tool(binary, root)
    first = run.sync()
    noops = [run.sync() for _ in range(3)]
    if contents(root + "/a/book") != contents(root + "/b/book"):
        sys.exit(f"{run.name}: the folders differ after the first sync")
    peak = max(peak for _, peak in [first] + noops)
    return first[0], statistics.median(wall for wall, _ in noops), peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vdirsyncer", default=shutil.which("vdirsyncer"))
    parser.add_argument("--outrigger", default="target/release/outrigger")
    args = parser.parse_args()
    if not args.vdirsyncer:
        sys.exit("vdirsyncer is not there: `pip install vdirsyncer` into an environment of its own, then --vdirsyncer PATH")
    tools = [(Vdirsyncer, args.vdirsyncer), (Outrigger, os.path.abspath(args.outrigger))]
    figures = {tool.name: [] for tool, _ in tools}
    with tempfile.TemporaryDirectory(prefix="outrigger-bench-") as root:
        for number in range(args.rounds):
            for tool, binary in tools:
                figure = measure(tool, binary, args.items, f"{root}/{tool.name}-{number}")
                figures[tool.name].append(figure)
                print(f"round {number + 1}  {tool.name:11} first {figure[0]:6.2f} s   nothing to do {figure[1]:6.3f} s   peak {figure[2]:5.1f} MiB", flush=True)
    ours, theirs = ([statistics.median(column) for column in zip(*figures[name])] for name in ("outrigger", "vdirsyncer"))
    print(f"{args.items} vCards, medians of {args.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"first sync     {ours[0]:.2f} s / {theirs[0]:.2f} s = {ours[0] / theirs[0]:.2f}   (bar 0.50)")
    print(f"nothing to do  {ours[1]:.3f} s / {theirs[1]:.3f} s = {ours[1] / theirs[1]:.2f}   (bar 0.12)")
    print(f"peak memory    {ours[2]:.1f} MiB, all processes together (bar 40), against {theirs[2]:.1f} MiB")


main()
