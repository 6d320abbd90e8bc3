"""Tests that need nothing but Python; `outrigger plugin check .` tests the rest."""
import importlib
import pathlib
import unittest

plugin = importlib.import_module("NAME")


class Names(unittest.TestCase):
    def test_a_name_never_leads_out_of_the_folder(self):
        notes = plugin.Notes()
        notes.folder = pathlib.Path("/notes")
        self.assertEqual(notes.path(b"a.txt"), pathlib.Path("/notes/a.txt"))
        for name in [b"", b".", b"..", b"../x", b"a/b", b".new-a", b"a\0", b"\xff"]:
            self.assertIsNone(notes.path(name), name)


if __name__ == "__main__":
    unittest.main()
