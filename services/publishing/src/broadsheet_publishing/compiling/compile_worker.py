"""The compiler's program: `python -m …compiling.compile_worker`. It reads orders from standard input and writes an
answer to each to standard output, until its input ends.

It is a process of its own, because a text can make a parser run for minutes, take all memory or crash. Then only this
process ends, which has no secrets and opens no connection.

The service ends a process that takes too long. If the service was killed meanwhile, nobody would: so each order has an
alarm, whose default is that the kernel ends the process, whatever code it is in.
"""

import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import BinaryIO, Final

from broadsheet_publishing.checks.check_subject import check_subject
from broadsheet_publishing.compiling.compile_issue import compile_issue
from broadsheet_publishing.compiling.compile_message import (
    LENGTH_BYTES,
    Answer,
    Checked,
    CheckOrder,
    Compiled,
    Failed,
    Faulty,
    Order,
    decode_order,
    encode,
)
from broadsheet_publishing.compiling.compiled_issue import CompileError, Fault

_TOO_MUCH_MEMORY: Final = Fault(
    code="too-large", field="content", detail="It takes too much memory to compile. Shorten it, or simplify its styles."
)


def main() -> None:
    memory_bytes_max, alarm_s = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    # A crash is reported by its exit status; the text would be in the core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # What a library prints must not be taken for an answer.
    sys.stdout = sys.stderr
    _send(sink, b"")
    while (order := _next(source)) is not None:
        signal.alarm(alarm_s)
        answer = encode(_answer(order))
        signal.alarm(0)
        _send(sink, answer)


def _send(sink: BinaryIO, message: bytes) -> None:
    sink.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
    sink.flush()


def _next(source: BinaryIO) -> Order | None:
    head = source.read(LENGTH_BYTES)
    return decode_order.decode(source.read(int.from_bytes(head, "big"))) if len(head) == LENGTH_BYTES else None


def _answer(order: Order) -> Answer:
    try:
        if isinstance(order, CheckOrder):
            return Checked(check_subject(order.subject))
        return Compiled(compile_issue(order.source, layout=order.layout, look=order.look, attributes=order.attributes))
    except CompileError as error:
        return Faulty(error.faults)
    except MemoryError:
        return Faulty((_TOO_MUCH_MEMORY,))
    except Exception as error:  # noqa: BLE001  # the service logs it and tells the author; the next order is answered
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(type(error).__name__, f"{Path(last.filename).name}:{last.lineno}")


if __name__ == "__main__":
    main()
