"""This process as a replica, with an id that no other process ever has."""

import os
import socket
import uuid
from importlib.metadata import version

import msgspec


class Replica(msgspec.Struct, frozen=True):
    id: uuid.UUID
    host: str
    pid: int
    version: str


def this_replica() -> Replica:
    return Replica(uuid.uuid4(), socket.gethostname(), os.getpid(), version("broadsheet-delivery"))
