"""A process that writes a journal as fast as it can and prints each durable seq, until it is killed."""

import sys
from pathlib import Path

from gateway.journal.errors import JournalFull
from gateway.journal.recovery import recover
from tests.unit.journal_files import Waiter, open_writer, run_of


def main(directory: Path) -> None:
    recovered = recover(directory)
    writer = open_writer(directory, recovered, segment_bytes=65536, buffer_bytes=32768)
    waiter = Waiter(writer)
    seq = told = recovered.last_seq
    while True:
        for _ in range(5):
            run = run_of([seq + 1, seq + 2, seq + 3], is_group=True)
            try:
                writer.submit(run, seq + 3)
            except JournalFull:
                break
            seq += 3
        durable = waiter.wait(told + 1)
        if writer.failed:
            sys.exit(f"{writer.failed_op}: {writer.failed}")
        if durable > told:
            told = durable
            print(told, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
