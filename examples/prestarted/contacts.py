#!/usr/bin/env python3
"""The same application as main.rs beside it, in Python: a keeper of contacts with commands on its standard input,
that runs anyway and can be found. The README tells how to try it."""
import hashlib
import os
import pathlib
import re
import sys
import threading

sys.path.insert(0, os.environ.get("OUTRIGGER_PYTHON", str(pathlib.Path(__file__).parents[2] / "plugin-sdk/python")))
import outrigger
from outrigger import Code, CommitKind, Done, Effect, Error, Item, NotFound


class Book:
    """Contacts by UID, each a vCard; in memory and in a file, that the user edits at any time."""

    def __init__(self, file):
        self.file, self.changed = pathlib.Path(file), threading.Condition()
        text = self.file.read_bytes().decode() if self.file.exists() else ""
        self.cards = {uid(card): card for card in re.findall(r"BEGIN:VCARD.*?END:VCARD\r\n", text, re.DOTALL)}
        self.held = self.quits = False

    def edit(self, edit):
        """Changes the book and writes it down: when this returns, the change survives a crash."""
        with self.changed:
            edit(self.cards)
            beside = self.file.with_suffix(".tmp")
            with open(beside, "wb") as file:
                file.write("".join(self.cards.values()).encode())
                os.fsync(file.fileno())
            os.replace(beside, self.file)

    def set(self, **what):
        with self.changed:
            vars(self).update(what)
            self.changed.notify_all()


def uid(card):
    found = re.search(r"^UID:(.*?)\r?$", card, re.MULTILINE)
    return found[1] if found else "nameless"


def revision(card):
    return hashlib.sha256(card.encode()).hexdigest().encode()


class Connector(outrigger.Plugin):
    """What a broker sees of the application: a connector like any other, on a thread of its own."""

    def __init__(self, book):
        self.book = book

    def initialize(self, request, context):
        pass  # it has no settings

    def discover(self, context):
        return [outrigger.Collection("book", ["contact"], ["vcard"])]

    def get_changes(self, sink, request, changes):
        for name, card in dict(self.book.cards).items():
            changes.push(outrigger.Change(name.encode(), revision(card), "contact", "vcard"))
        return outrigger.ListingEnd(True)

    def read(self, sink, items, results):
        for item in items:
            card = self.book.cards.get(item.href.decode())
            results.push(NotFound() if card is None else Item(revision(card), "vcard", card.encode()))

    def commit(self, sink, items, context):
        if self.book.held:
            context.progress(0)
            print("a broker waits", flush=True)
        with self.book.changed:
            self.book.changed.wait_for(lambda: not self.book.held or self.book.quits)
        if self.book.quits:
            raise Error(Code.CANCELLED, "the application quits", effect=Effect.NOT_STARTED)
        return [self.write(item) for item in items]

    def write(self, item):
        """Writes one item if it is as the caller expects, however the user has edited it meanwhile."""
        card = item.data.decode()
        name = uid(card) if item.kind is CommitKind.CREATE else item.href.decode()
        failed = []

        def change(cards):
            now = revision(cards[name]) if name in cards else None
            if item.kind is CommitKind.CREATE and now is not None:
                failed.append(Error(Code.EXISTS, "this contact is there"))
            elif item.kind is not CommitKind.CREATE and now != item.expected:
                failed.append(Error(Code.PRECONDITION if now else Code.NOT_FOUND, "this contact was edited, or is gone"))
            elif item.kind is CommitKind.DELETE:
                del cards[name]
            else:
                cards[name] = card

        self.book.edit(change)
        if failed:
            return failed[0]
        if item.kind is CommitKind.DELETE:
            return Done(name.encode(), b"")
        return Done(name.encode(), revision(card), digest=item.digest)


def command(book, line):
    """One command of the user. False: quit."""
    word, *rest = line.split(" ", 2)
    if word in ("add", "edit") and len(rest) == 2:
        name, who = rest
        book.edit(lambda cards: cards.update({name: "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%s\r\nFN:%s\r\nN:%s;;;;\r\n"
                                                    "END:VCARD\r\n" % (name, who, who)}))
    elif word == "delete" and len(rest) == 1:
        book.edit(lambda cards: cards.pop(rest[0], None))
    elif word == "list":
        for card in book.cards.values():
            print(card.replace("\r\n", " "))
    elif word in ("hold", "release"):
        book.set(held=word == "hold")
    elif word == "quit":
        return False
    else:
        print("commands: add UID NAME, edit UID NAME, delete UID, list, hold, release, quit", flush=True)
        return True
    print("ok", flush=True)
    return True


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: contacts.py NAME PROFILE")
    name, profile = sys.argv[1:]
    book = Book(os.path.join(profile, "contacts.vcf"))
    try:
        end = outrigger.End(name, profile)
    except OSError as error:
        sys.exit(error.strerror or str(error))  # without the number of the error
    serving = threading.Thread(target=end.serve, args=(lambda: Connector(book),))
    serving.start()
    print(f"{name} is here; its code is {end.code}", flush=True)
    for line in sys.stdin:
        if not command(book, line.rstrip("\n")):
            break
    end.stop()  # also in the middle of a call
    book.set(quits=True)
    serving.join()


if __name__ == "__main__":
    main()
