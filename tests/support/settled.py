"""What the server that forks imports last (`forked.py`): what it forks begins settled.

A process inherits half a million objects that stay, and would look them all over for garbage, and get its own copy of
their pages: 0.2 s of processor time, which is more than most commands take.
"""

import gc

from tools.cli.main import command

# Made of the signatures of a hundred functions; each process would do so again.
command()
gc.collect()
gc.freeze()
