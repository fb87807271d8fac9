"""Postgres and Redis from testcontainers, where a Docker engine answers and has the images already."""

import os
import socket
from contextlib import ExitStack

import docker
import docker.errors
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer

POSTGRES_IMAGE = "postgres:18"
REDIS_IMAGE = "valkey/valkey:8.1"


_DEFAULT_SOCKET = "/var/run/docker.sock"


def _engine_listens() -> bool:
    """Asked first, because Docker's client leaves its socket open when no engine answers."""
    if "DOCKER_HOST" in os.environ:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(_DEFAULT_SOCKET)
        except OSError:
            return False
    return True


def _has_image(image: str) -> bool:
    """A test must not wait for a download that may never come: only images that are there count."""
    if not _engine_listens():
        return False
    try:
        client = docker.from_env(timeout=3)
        try:
            client.images.get(image)
        finally:
            client.close()
    except docker.errors.DockerException:
        return False
    return True


def postgres_container_url(stack: ExitStack) -> str | None:
    if not _has_image(POSTGRES_IMAGE):
        return None
    container = stack.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
    return str(container.get_connection_url())


def redis_container_url(stack: ExitStack) -> str | None:
    if not _has_image(REDIS_IMAGE):
        return None
    container = stack.enter_context(RedisContainer(REDIS_IMAGE))
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
