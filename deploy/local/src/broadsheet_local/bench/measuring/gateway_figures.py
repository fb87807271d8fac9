"""What `bench gateway` has measured, and how slow the machine was."""

import time

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """One kind of request. `per_s`, `ms_…`: at the highest of the tried rates that was held; `is_held` false: none was,
    and these are of the lowest. `most_per_s`: with every connection asking again at once. `cpu_us`: of each process,
    for one request, at that rate.
    """

    per_s: float
    ms_p50: float
    ms_p99: float
    is_held: bool
    refused: int
    wrong: int
    most_per_s: float
    most_ms_p99: float
    quiet_ms_p50: float
    cpu_us: dict[str, float]


class Overload(msgspec.Struct, frozen=True):
    """Five times what the gateway carries. `admin_ms_p99`: an admin page, meanwhile."""

    offered_per_s: float
    taken_per_s: float
    taken_ms_p99: float
    refused: int
    refused_ms_p99: float
    wrong: int
    lost: int
    admin_pages: int
    admin_ms_p99: float
    admin_wrong: int


class GatewayFigures(msgspec.Struct, frozen=True):
    """The first keys are the short form of what stands below.

    `hop_ratio`: the time of one read through the gateway, with nobody else asking, divided by the time at the service
    alone. `slowness`: how long a fixed piece of work took this machine before and after, in milliseconds; compare runs
    by it. `sign_ups_lost`: acknowledged, but not in the database as they must be.
    """

    sign_ups_per_s: float
    sign_up_p99_ms: float
    sign_ups_lost: int
    reads_per_s: float
    lists_per_s: float
    archive_per_s: float
    one_click_per_s: float
    webhooks_per_s: float
    hop_ratio: float
    cpu_us_by_process: dict[str, float]
    connections: int
    seconds: int
    processors: int
    load_before: float
    slowness: float
    through_gateway: dict[str, Measured]
    service_alone: dict[str, Measured]
    overload: Overload | None
    lost: dict[str, int]

    @property
    def is_whole(self) -> bool:
        """Nothing that was acknowledged is lost, and no answer was wrong."""
        measured = [*self.through_gateway.values(), *self.service_alone.values()]
        return not any(self.lost.values()) and not any(one.wrong for one in measured)


def slowness_ms() -> float:
    """Milliseconds of processor time, the best of three: work of the kind that services do."""
    best_s = float("inf")
    for _ in range(3):
        began_s = time.process_time()
        for number in range(20_000):
            text = msgspec.json.encode({"number": number, "name": "Reader", "tags": ["a", "b"]})
            msgspec.json.decode(text)["name"].upper().encode()
        best_s = min(best_s, time.process_time() - began_s)
    return best_s * 1000
