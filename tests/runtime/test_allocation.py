"""Is memory that was freed taken again without asking the system for it?"""

import multiprocessing
import resource

from services.runtime.allocation import keep_freed_memory

BLOCK_BYTES, BLOCKS = 1 << 23, 8


def take_and_free():
    blocks = [bytearray(b"x") * BLOCK_BYTES for _ in range(BLOCKS)]
    assert len(blocks) == BLOCKS


def faults_of_blocks(asked, answers):
    kept = keep_freed_memory() if asked else None
    take_and_free()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        take_and_free()
    answers.put((kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))


def faults(asked):
    # In a process of its own: what is asked of the C library holds until its end.
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=faults_of_blocks, args=(asked, answers))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def test_blocks_are_taken_again_without_a_page_being_asked_for():
    _, before = faults(False)
    kept, after = faults(True)

    assert kept
    assert after * 5 < before
