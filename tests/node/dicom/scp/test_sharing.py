"""Connections shared out among the processes of a port."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from node.dicom.scp.sharing import Place, Shares


@pytest.fixture
def shares() -> Shares:
    made = Shares(3)
    for number in range(3):
        made.join(number)
    return made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_connections_go_in_turn_to_whom_has_the_fewest(shares: Shares) -> None:
    assert Counter(shares.place(0) for _ in range(9)) == {0: 3, 1: 3, 2: 3}
    shares.left(2)
    assert shares.place(0) == 2


def test_among_equals_who_accepted_serves(shares: Shares) -> None:
    assert shares.place(2) == 2


def test_nobody_hands_over_to_a_process_that_is_gone(shares: Shares) -> None:
    shares.gone(1)
    assert {shares.place(0) for _ in range(6)} == {0, 2}
    shares.left(1)  # what it still had ends: it does not come back by that
    assert {shares.place(0) for _ in range(6)} == {0, 2}
    shares.join(1)
    assert shares.place(0) == 1


def test_where_all_others_are_gone_everybody_serves_what_he_accepts(shares: Shares) -> None:
    for number in range(3):
        shares.gone(number)
    assert shares.place(1) == 1


def test_a_connection_that_was_handed_over_works_at_the_other_end(
    shares: Shares, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    first, second = Place(shares, 0), Place(shares, 1)
    shares.count(0)
    assert first.give(ours)
    ours.close()
    taken = second.take(5.0)
    assert taken is not None
    with taken:
        theirs.sendall(b"hello")
        assert taken.recv(5) == b"hello"
    assert second.take(0.01) is None


def test_a_connection_that_cannot_be_handed_over_is_served_where_it_was_accepted(
    shares: Shares, pair: tuple[socket.socket, socket.socket]
) -> None:
    place = Place(shares, 0)
    shares.gone(2)
    kept = 0
    for _ in range(2000):  # nobody takes them: the way is full at some time
        kept += not place.give(pair[0])
    assert kept > 1000
    while (taken := shares.handed(1, 0.01)) is not None:
        taken.close()


def test_the_lock_of_a_process_that_is_killed_holds_nobody_up(shares: Shares) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with shares._alone():
            os.write(writing, b"x")
            threading.Event().wait()
    os.read(reading, 1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert shares.place(0) == 0
    os.close(reading)
    os.close(writing)
