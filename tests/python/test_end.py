"""An end that is found: what it leaves in the runtime directory, and whom it does not serve."""
import errno
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

from fake_broker import PREFACE, outrigger

SECRET = bytes([7]) * 32


class Ends(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="o", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.runtime = pathlib.Path(folder.name)
        environment = mock.patch.dict(os.environ, XDG_RUNTIME_DIR=folder.name)
        environment.start()
        self.addCleanup(environment.stop)

    def end(self, **how):
        end = outrigger.End("notes", **(how or {"secret": SECRET}))
        self.addCleanup(end.close)
        return end

    def files(self):
        return sorted(os.listdir(self.runtime / "outrigger/ends"))

    def test_the_code_is_that_of_every_language(self):
        self.assertEqual(self.end().code, "FGF4-3MA1-MXQ2")

    def test_what_it_leaves_goes_with_it_but_for_its_lock(self):
        end = self.end()
        self.assertEqual(self.files(), ["notes.json", "notes.lock", "notes.offer", "notes.sock"])
        said = json.loads((self.runtime / "outrigger/ends/notes.json").read_text())
        self.assertEqual((said["name"], said["pid"]), ("notes", os.getpid()))
        self.assertEqual({os.stat(self.runtime / "outrigger/ends" / file).st_mode & 0o777 for file in self.files()},
                         {0o600})
        end.close()
        self.assertEqual(self.files(), ["notes.lock"])

    def test_the_secret_is_made_once_and_kept_from_others(self):
        profile = tempfile.TemporaryDirectory(dir=self.runtime)
        self.addCleanup(profile.cleanup)
        end = self.end(profile=profile.name)
        code = end.code
        end.close()
        self.assertEqual(self.end(profile=profile.name).code, code)
        key = pathlib.Path(profile.name, "outrigger-notes.key")
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        key.chmod(0o644)
        with self.assertRaisesRegex(PermissionError, "mode 644"):
            outrigger.End("notes", profile.name)

    def test_a_second_holder_is_refused_and_told_who_has_the_name(self):
        self.end()
        with self.assertRaisesRegex(OSError, f"holds the name notes: process {os.getpid()}") as raised:
            outrigger.End("notes", secret=SECRET)
        self.assertEqual(raised.exception.errno, errno.EADDRINUSE)
        self.assertEqual(len(self.files()), 4)

    def test_what_a_killed_one_left_is_replaced(self):
        script = "import os, outrigger; end = outrigger.End('notes', secret=bytes(32)); os.kill(os.getpid(), 9)"
        path = str(pathlib.Path(outrigger.__file__).parent)
        subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
        self.assertEqual(len(self.files()), 4)
        self.end()
        said = json.loads((self.runtime / "outrigger/ends/notes.json").read_text())
        self.assertEqual(said["pid"], os.getpid())

    def test_what_a_cleaner_removed_is_put_back(self):
        end = self.end()
        for file in ("notes.sock", "notes.json", "notes.lock"):
            os.unlink(self.runtime / "outrigger/ends" / file)
            end._repair()
            self.assertEqual(len(self.files()), 4, file)
            with socket.socket(socket.AF_UNIX) as broker:
                broker.connect(str(self.runtime / "outrigger/ends/notes.sock"))

    def test_a_squatted_folder_or_lock_is_refused(self):
        self.end().close()
        ends = self.runtime / "outrigger/ends"
        os.unlink(ends / "notes.lock")
        os.symlink("/etc/passwd", ends / "notes.lock")
        with self.assertRaises(OSError):
            outrigger.End("notes", secret=SECRET)
        os.unlink(ends / "notes.lock")
        ends.chmod(0o755)
        with self.assertRaisesRegex(PermissionError, "mode 755"):
            outrigger.End("notes", secret=SECRET)

    def test_a_name_is_part_of_a_file_name(self):
        for name in ("", "a/b", "..", "a.b", "-a", "a" * 31, "a\n"):
            with self.assertRaises(ValueError):
                outrigger.End(name, secret=SECRET)

    def test_a_long_runtime_directory_is_left_aside(self):
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR="/" + "d" * 200):
            self.assertEqual(outrigger._runtime_dir(), f"/tmp/outrigger-{os.geteuid()}")
        with mock.patch.object(outrigger, "_runtime_dir", lambda: str(self.runtime / ("d" * 200))):
            with self.assertRaisesRegex(OSError, "limit 100"):
                outrigger.End("notes", secret=SECRET)

    def test_it_stops_while_it_waits_and_while_it_serves(self):
        for connects in (False, True):
            end = outrigger.End("notes", secret=SECRET)
            serving = threading.Thread(target=end.serve, args=(outrigger.Plugin,))
            serving.start()
            with socket.socket(socket.AF_UNIX) as broker:
                if connects:
                    broker.connect(str(self.runtime / "outrigger/ends/notes.sock"))
                    broker.sendall(PREFACE)
                end.stop()
                serving.join(20)
                self.assertFalse(serving.is_alive())
            self.assertEqual(self.files(), ["notes.lock"])


if __name__ == "__main__":
    unittest.main()
