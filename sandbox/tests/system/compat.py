"""What an ordinary plugin in Python does. Prints a line for each: "ok WHAT" or "failed WHAT: WHY"."""

import asyncio
import os
import socket
import sys
import traceback

granted, quiet, namespaced = sys.argv[1], sys.argv[2], sys.argv[3] == "namespaced"


def event_loop():
    async def talk():
        one, other = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=one)
        reader, _ = await asyncio.open_connection(sock=other)
        writer.write(b"hello\n")
        assert await asyncio.wait_for(reader.readline(), 10) == b"hello\n"
        assert await asyncio.to_thread(lambda: 7) == 7

    asyncio.run(talk())


def event_loop_with_child():
    async def run():
        child = await asyncio.create_subprocess_exec(quiet, stdout=asyncio.subprocess.PIPE)
        assert await asyncio.wait_for(child.wait(), 10) == 0

    asyncio.run(run())


def children():
    import subprocess

    assert subprocess.run([quiet], timeout=10).returncode == 0
    assert subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, timeout=10).stdout == b"42\n"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child.communicate(b"\n", timeout=10)
    assert child.returncode == 0


def tls():
    import ssl

    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="dav.example.org")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    assert len(outgoing.read()) > 100  # a ClientHello


def database():
    import sqlite3

    for mode in ["delete", "wal"]:
        with sqlite3.connect(os.path.join(granted, mode + ".sqlite")) as connection:
            connection.execute("pragma journal_mode = " + mode)
            connection.execute("create table item (uid text primary key)")
            connection.execute("insert into item values ('a')")
            connection.commit()
            assert connection.execute("select count(*) from item").fetchone() == (1,)


def threads():
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: number * 2, range(8))) == [0, 2, 4, 6, 8, 10, 12, 14]


def process_lock():
    import multiprocessing

    lock = multiprocessing.get_context("fork").Lock()
    with lock:
        assert not lock.acquire(block=False)


def processes():
    import multiprocessing

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(42))
    child.start()
    assert receiver.recv() == 42
    child.join(10)
    assert child.exitcode == 0


def temporary_files():
    import tempfile

    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "x"), "w") as file:
        file.write("x")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def files():
    import json
    import shutil

    path = os.path.join(granted, "item.json")
    with open(path + ".new", "w") as file:
        json.dump({"a": 1}, file)
    os.replace(path + ".new", path)
    shutil.copyfile(path, path + ".copy")
    assert sorted(os.listdir(granted))[:1] and os.stat(path).st_size == 8
    os.remove(path)


def itself():
    import locale
    import platform
    import random
    import signal
    import time
    import uuid

    assert platform.system() == "Linux" and os.cpu_count() and os.getpid() > 0
    random.seed(os.urandom(16))
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.001)
    assert uuid.uuid4() and time.localtime() and locale.getpreferredencoding()


ORDINARY = [event_loop, event_loop_with_child, children, tls, database, threads, processes, temporary_files, files, itself]
# A lock between processes is a file in /dev/shm, which without namespaces is everybody's.
for ordinary in ORDINARY + ([process_lock] if namespaced else []):
    try:
        ordinary()
        print("ok", ordinary.__name__, flush=True)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"failed {ordinary.__name__}: {error!r} at {where.filename}:{where.lineno} {where.line}", flush=True)
print("end", flush=True)
