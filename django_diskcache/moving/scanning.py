"""What a pickle would do, found without doing it.

A few bytes of a pickle can claim a text of 2**40 bytes, or place 2**28 in the memo, for which
memory is then taken. They can nest tuples a million deep, which as a key end the process, since
Python hashes them by recursion in C; or make pairs of the same pair, forty times over, which
are hashed in 2**40 steps. So before a pickle is loaded its instructions are followed here, on
*things* that stand for the objects and only know their parts.

A thing is looked at with all its parts, as often as they occur, where the loader would do so:
when it is hashed, and when it is an argument of a call. How much of that there may be is a
multiple of the length of the pickle. For one that was written by `pickle.dumps` it is about
that length, apart from what is made once and used as a part of many keys.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

WORK = 16, 2**20  # steps for each byte of a pickle, and beside them
DEPTH = 400  # of what is hashed; the recursion limit keeps `pickle.dumps` from more than 500
TEXT = ("builtins str", "__builtin__ str")


class Excessive(ValueError):
    """A pickle would take more time or memory than its length allows for."""


class Thing:
    """What stands for an object."""

    __slots__ = ("literal", "name", "parts", "size")

    def __init__(self, parts: Any = None, literal: Any = None, name: str = "") -> None:
        self.parts: list[Thing] = [] if parts is None else parts
        self.literal = literal
        self.name = name  # of a function or class: module, blank, name
        self.size = 1
        if isinstance(literal, (str, bytes, bytearray)):
            self.size += len(literal)
        elif isinstance(literal, int):
            self.size += literal.bit_length() // 8


class Scan:
    """Follows one pickle.

    :param length: how many bytes there are
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.left = WORK[0] * length + WORK[1]
        self.stack: list[Thing] = []
        self.below: list[list[Thing]] = []  # stacks below the marks
        self.memo: dict[int, Thing] = {}

    def look(self, thing: Thing) -> None:
        """Count a thing with all its parts.

        :raises Excessive: when they are too many or too deep
        """
        if not thing.parts:
            # The hash of a text is remembered; that of a number is not.
            self._spend(1 if isinstance(thing.literal, (str, bytes)) else thing.size)
            return
        path = [iter((thing,))]
        while path:
            for each in path[-1]:
                self._spend(each.size)
                if each.parts:
                    path.append(iter(each.parts))
                    if len(path) > DEPTH:
                        raise Excessive("too deep to be hashed")
                    break
            else:
                path.pop()

    def _spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Excessive("too much work for its length")

    def _marked(self) -> list[Thing]:
        found, self.stack = self.stack, self.below.pop()
        return found

    def _popped(self, number: int) -> list[Thing]:
        found = self.stack[-number:] if number else []
        if len(found) < number:
            raise IndexError
        del self.stack[len(self.stack) - number :]
        return found

    def _call(self, function: Thing, *args: Thing) -> None:
        # Of other things it makes a text that may be longer than they are, again and again.
        if function.name in TEXT:
            raise Excessive("a text is not made like this")
        for each in args:
            if each.parts:
                self.look(each)
            else:
                self._spend(each.size)
        self.stack.append(Thing(list(args)))

    # Instructions; all take their argument and the number of bytes before them

    def frame(self, size: int, position: int) -> None:
        if size > self.length - position:
            raise Excessive("a frame that is not there")

    def mark(self, _: Any, position: int) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop(self, _: Any, position: int) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def pop_mark(self, _: Any, position: int) -> None:
        self._marked()

    def dup(self, _: Any, position: int) -> None:
        self.stack.append(self.stack[-1])

    def put(self, index: int, position: int) -> None:
        if index > position:  # they are counted up
            raise Excessive("a memo for more than there is")
        self.memo[index] = self.stack[-1]

    def memoize(self, _: Any, position: int) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int, position: int) -> None:
        self.stack.append(self.memo[index])

    def tuple_of(self, number: int) -> None:
        self.stack.append(Thing(self._popped(number)))

    def sequence(self, _: Any, position: int) -> None:
        parts = self._marked()
        self.stack.append(Thing(parts))

    def dictionary(self, _: Any, position: int) -> None:
        parts = self._marked()
        self.stack.append(Thing())
        self._hold(parts, 2)

    def members(self, _: Any, position: int) -> None:
        parts = self._marked()
        self.stack.append(Thing())
        self._hold(parts, 1)

    def append(self, _: Any, position: int) -> None:
        parts = self._popped(1)
        self.stack[-1].parts.extend(parts)

    def appends(self, _: Any, position: int) -> None:
        parts = self._marked()
        self.stack[-1].parts.extend(parts)

    def set_item(self, _: Any, position: int) -> None:
        self._hold(self._popped(2), 2)

    def set_items(self, _: Any, position: int) -> None:
        self._hold(self._marked(), 2)

    def add_items(self, _: Any, position: int) -> None:
        self._hold(self._marked(), 1)

    def build(self, _: Any, position: int) -> None:
        self._hold(self._popped(1), 1)

    def reduce(self, _: Any, position: int) -> None:
        self._call(*self._popped(2))

    def make(self, _: Any, position: int) -> None:
        self._call(*self._popped(3))

    def instance(self, _: Any, position: int) -> None:
        self._call(*self._marked() or [Thing()])

    def named_instance(self, name: str, position: int) -> None:
        parts = self._marked()
        self._call(Thing(name=name), *parts)

    def named(self, name: str, position: int) -> None:
        self.stack.append(Thing(name=name))

    def computed_name(self, _: Any, position: int) -> None:
        module, name = (each.literal for each in self._popped(2))
        if not isinstance(module, str) or not isinstance(name, str):
            raise Excessive("a name that is not written out")
        self.stack.append(Thing(name=f"{module} {name}"))

    def nothing(self, _: Any, position: int) -> None:
        pass

    def _hold(self, parts: list[Thing], every: int) -> None:
        """Put parts into a dict or a set, or a state into what makes use of it."""
        for each in parts[::every]:
            self.look(each)
        self.stack[-1].parts.extend(parts)


# What is not here puts a new object on the stack.
STEPS: dict[str, Callable[[Scan, Any, int], None]] = {
    "ADDITEMS": Scan.add_items,
    "APPEND": Scan.append,
    "APPENDS": Scan.appends,
    "BINGET": Scan.get,
    "BINPERSID": Scan.nothing,
    "BINPUT": Scan.put,
    "BUILD": Scan.build,
    "DICT": Scan.dictionary,
    "DUP": Scan.dup,
    "FRAME": Scan.frame,
    "FROZENSET": Scan.members,
    "GET": Scan.get,
    "GLOBAL": Scan.named,
    "INST": Scan.named_instance,
    "LIST": Scan.sequence,
    "LONG_BINGET": Scan.get,
    "LONG_BINPUT": Scan.put,
    "MARK": Scan.mark,
    "MEMOIZE": Scan.memoize,
    "NEWOBJ": Scan.reduce,
    "NEWOBJ_EX": Scan.make,
    "OBJ": Scan.instance,
    "POP": Scan.pop,
    "POP_MARK": Scan.pop_mark,
    "PROTO": Scan.nothing,
    "PUT": Scan.put,
    "READONLY_BUFFER": Scan.nothing,
    "REDUCE": Scan.reduce,
    "SETITEM": Scan.set_item,
    "SETITEMS": Scan.set_items,
    "STACK_GLOBAL": Scan.computed_name,
    "STOP": Scan.nothing,
    "TUPLE": Scan.sequence,
    "TUPLE1": lambda scan, _, position: scan.tuple_of(1),
    "TUPLE2": lambda scan, _, position: scan.tuple_of(2),
    "TUPLE3": lambda scan, _, position: scan.tuple_of(3),
}


def scan(file: Any) -> None:
    """Follow the next pickle of a seekable binary file, which then stands where it did.

    :raises Excessive: when to load it would take more than its length allows for
    :raises Exception: one of GARBAGE, when it is no pickle
    """
    start = file.tell()
    length = file.seek(0, 2) - start
    file.seek(start)
    following = Scan(length)
    for opcode, argument, position in pickletools.genops(file):
        step = STEPS.get(opcode.name)
        if step is None:
            following.stack.append(Thing(literal=argument))
        else:
            step(following, argument, (position or 0) - start)
    file.seek(start)
