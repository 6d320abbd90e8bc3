#!/usr/bin/env python3
"""A connector that keeps notes as files in one folder: a collection `notes`, an item a file.

`outrigger plugin check .` tells whether it is right. Make it yours from `Notes` on.
"""
import hashlib
import os
import pathlib
import sys

sys.dont_write_bytecode = True  # the folder of the plugin may be read-only

import outrigger  # noqa: E402
from outrigger import (Blame, Change, Code, Collection, CommitKind, Dedupe, Done, Error, Item,  # noqa: E402
                       ListingEnd, NotFound)

UNFINISHED = ".new-"  # before the name of a file that is being written


def revision(data):
    """Changes whenever the content does: the engine compares it and never reads it."""
    return hashlib.sha256(data).hexdigest().encode()


class Notes(outrigger.Plugin):
    folder = pathlib.Path()

    def initialize(self, request, context):
        path = request.member.option("path")
        if path is None:
            raise Error(Code.INVALID, "the setting `path` is missing: a folder", Blame.CONFIGURATION)
        self.folder = pathlib.Path(path)

    def discover(self, context):
        # A create that is sent again meets the file that the first one made: its name is the key.
        return [Collection("notes", dedupe=Dedupe.CONDITIONAL)]

    def get_changes(self, sink, request, changes):
        for entry in os.scandir(self.folder):
            href = entry.name.encode(errors="surrogateescape")
            data = self.load(href)
            if data is not None:
                changes.push(Change(href, revision(data), "note", "text"))
        return ListingEnd(complete=True)

    def read(self, sink, items, results):
        for item in items:
            data = self.load(item.href)
            results.push(NotFound() if data is None else Item(revision(data), "text", data))

    def commit(self, sink, batch, context):
        outcomes = []
        for number, item in enumerate(batch, 1):
            try:
                outcomes.append(self.write(item))
            except Error as error:
                outcomes.append(error)
            context.progress(number)  # a sign of life; also ends the call here if it was cancelled
        self.sync()  # the names too are on the disk before anything is called done
        return outcomes

    def path(self, href):
        """The file of an item; None if no file of ours can have that name."""
        try:
            name = href.decode()
        except UnicodeDecodeError:
            return None
        plain = name and not name.startswith(".") and len(href) <= 200
        return self.folder / name if plain and not set(name) & set("/\\\0") else None

    def load(self, href):
        path = self.path(href)
        try:
            return path.read_bytes() if path else None
        except FileNotFoundError:
            return None

    def write(self, item):
        """Writes one item if it is as the caller expects; says what is there now."""
        href = item.href or item.key  # the caller may leave the name to us; its key is a good one
        path = self.path(href)
        if path is None:
            raise Error(Code.INVALID, "no file can have that name")
        known = self.load(href)
        if item.kind is CommitKind.CREATE:
            if known is not None:
                raise Error(Code.EXISTS, "a note of that name is there")
        elif known is None:
            raise Error(Code.NOT_FOUND, "it is gone")
        elif revision(known) != item.expected:
            raise Error(Code.PRECONDITION, "the note is not what it was")
        if item.kind is CommitKind.DELETE:
            path.unlink()
            return Done(href, b"")
        self.store(path, item.data, item.kind is CommitKind.CREATE)
        return Done(href, revision(item.data), digest=item.digest)

    def store(self, path, data, is_new):
        """Whole or not at all, and on the disk before it gets its name. A new file replaces none. What
        another program saves between our look and an update is lost here: docs/protocol.md says how to
        do without that moment ("With files")."""
        unfinished = path.with_name(UNFINISHED + path.name)
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not is_new:
            return os.replace(unfinished, path)
        try:
            os.link(unfinished, path)
        finally:
            os.unlink(unfinished)

    def sync(self):
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


if __name__ == "__main__":
    sys.exit(outrigger.serve(Notes()))
