"""No event of the audit is written twice, whatever is sent again and wherever the writer was stopped."""

from hypothesis import given
from hypothesis import strategies as st

from actors.core.audit.batch import Batch
from actors.core.audit.sources import MAX_SOURCES, Sources


def batch(source: str, sequence: int, count: int = 2) -> Batch:
    return Batch(source, sequence, tuple(b"%d.%d" % (sequence, number) for number in range(count)))


class Writer:
    """A log as a list of lines, and a memory that may be lost and is made from them again."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, bytes]] = []
        self.sources = Sources()

    def write(self, batch: Batch, most: int | None = None) -> None:
        """Write a batch, or no more than the first few lines, and then the memory is gone."""
        events = self.sources.unwritten(batch)[:most]
        self.lines += [(batch.source, batch.sequence, event) for event in events]
        if most is None:
            self.sources.wrote(batch)
        else:
            self.recall()

    def recall(self) -> None:
        self.sources = Sources()
        for source, sequence, _ in self.lines:
            self.sources.found(source, sequence)


steps = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0, 1, 2]), st.booleans()), max_size=20)


@given(steps=steps, counts=st.lists(st.integers(1, 4), min_size=20, max_size=20))
def test_every_event_is_written_once_and_in_order(steps: list[tuple[str, int | None, bool]], counts: list[int]) -> None:
    writer, sent = Writer(), {"a": 0, "b": 0}

    for source, most, twice in steps:
        sent[source] += 1
        wanted = batch(source, sent[source], counts[sent[source] - 1])
        if most is not None:
            writer.write(wanted, most)
        writer.write(wanted)
        if twice:
            writer.write(wanted)

    for source, last in sent.items():
        events = [event for each, _, event in writer.lines if each == source]
        assert events == [
            event for number in range(1, last + 1) for event in batch(source, number, counts[number - 1]).events
        ]


def test_a_batch_before_the_last_one_is_written_already() -> None:
    sources = Sources()
    sources.wrote(batch("a", 2))

    assert sources.unwritten(batch("a", 1)) == ()
    assert sources.unwritten(batch("b", 1)) == batch("b", 1).events


def test_beyond_the_bound_the_source_that_was_silent_for_longest_is_forgotten() -> None:
    sources = Sources()
    for number in range(MAX_SOURCES):
        sources.wrote(batch(f"s{number}", 1))

    sources.wrote(batch("s0", 1))
    sources.wrote(batch("another", 1))

    assert sources.unwritten(batch("s0", 1)) == ()
    assert sources.unwritten(batch("s1", 1)) == batch("s1", 1).events
